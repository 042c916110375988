"""Run inside a Blender with a window by test_killed.py: workers are killed under two viewports and a creation.

OUT: a folder; gets killed.json and screenshots
"""

import hashlib
import math
import os
import random
import signal
from pathlib import Path

import bpy
import numpy as np

import near_blender
from near_blender.asset import payload
from near_blender.client import client
from near_blender.engine import viewport
from near_blender.operators import jobs
from tests.gui import hand, stepper
from tests.gui.stepper import OUT, events

events |= {"killed": []}


def list_areas() -> list:
    return [area for area in hand.window().screen.areas if area.type == "VIEW_3D"]


def settle():
    """Until both viewports show their last word."""
    yield 0.3
    yield from stepper.until(lambda: len(viewport._views) > 1 and not any(
        view.is_busy() for view in viewport._views), 90)


def read_views() -> list[str]:
    """What each viewport shows, in some order."""
    shown = [view._texture.read() for view in viewport._views if view._texture is not None]
    for buffer in shown:  # of three dimensions numpy takes none in 4.3
        buffer.dimensions = math.prod(buffer.dimensions)
    return sorted(hashlib.sha256(np.array(buffer, np.float32)).hexdigest() for buffer in shown)


def kill(worker) -> int:
    pid = worker.hello.get("pid", 0)
    if pid:
        os.kill(pid, signal.SIGKILL)
    return pid


def make():
    """Makes an asset of a mesh; its bytes' hash goes to the events, and it leaves the scene."""
    before = set(bpy.data.objects)
    hand.in_viewport(bpy.ops.near.create_asset_from_mesh, "INVOKE_DEFAULT", object_name="Suzanne", placement="BESIDE")
    job = jobs.get_current().job
    yield
    yield from stepper.until(lambda: jobs.get_current() is None, 150)
    found = list(set(bpy.data.objects) - before)
    events.setdefault("made", []).append([payload.find_hash(payload.find_payload(ob)) for ob in found])
    events.setdefault("warnings", []).append(job.warning)
    for ob in found:
        bpy.data.objects.remove(ob)


def script():
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    hand.in_viewport(bpy.ops.mesh.primitive_monkey_add)
    bpy.context.object.modifiers.new("Smooth", "SUBSURF").levels = 2
    hand.in_viewport(bpy.ops.near.add_sample)
    bpy.context.scene.render.engine, bpy.context.scene.near.ordinary = "NEAR", "NONE"
    sample, rng = bpy.context.object, random.Random(1)
    with bpy.context.temp_override(window=hand.window(), area=list_areas()[0]):
        bpy.ops.screen.area_split(direction="VERTICAL", factor=0.5)
    yield 0.5
    for area in list_areas():
        area.spaces[0].shading.type = "RENDERED"
    yield from settle()
    events["before"] = read_views()
    making = make()
    next(making)
    yield from making
    making = make()
    next(making)
    for number in range(6):
        sample.location.x = 0.1 * (number + 1)
        yield 0.02 + rng.random() ** 2
        yield from stepper.until(lambda: client.get_worker().hello, 60)  # on a busy machine it starts late
        events["killed"].append(kill(client.get_worker()))
        if number == 0:
            events["maker"] = kill(client._embedded.creating)
        yield from settle()
    hand.screenshot(OUT / "killed.png")
    yield from making
    sample.location.x = 0
    yield from settle()
    yield from settle()
    events["after"] = read_views()
    events["messages"] = [view._message for view in viewport._views]
    pids = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    events["workers"] = sum(b"near_core.worker" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    hand.screenshot(OUT / "after.png")
    yield 1.0


near_blender.register()
bpy.context.preferences.view.show_splash = False
stepper.run(script())
