"""Run inside a Blender with a window by test_gone.py: the add-on is disabled while F12 and Rendered mode draw.

    blender -P gone.py -- OUT      OUT: a folder; gets gone.json and again.png
"""

import os
import sys
import time
from pathlib import Path

import bpy

OUT = Path(sys.argv[sys.argv.index("--") + 1])
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path += os.environ["NEAR_GUI_PACKAGES"].split(os.pathsep)  # the extension brings its own, a checkout does not

import near_blender
from near_blender import client
from tests.gui import hand, holds, stepper

events: dict = {"blender": bpy.app.version_string}


def build() -> None:
    """The sample beside a cube that Cycles draws."""
    bpy.ops.near.add_sample()
    scene = bpy.context.scene
    scene.render.engine, scene.near.samples = "NEAR", 64
    scene.render.image_settings.file_format = "PNG"


def list_workers() -> list[int]:
    """Processes of ours that run."""
    pids = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    return [pid for pid in pids if b"near" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def script():
    build()
    for way in ("F12", "Rendered"):
        if way == "F12":
            with bpy.context.temp_override(window=hand.window()):
                bpy.ops.render.render("INVOKE_DEFAULT")
        else:
            hand.area("VIEW_3D").spaces[0].shading.type = "RENDERED"
        yield from stepper.until(lambda: client.get_worker().hello or client.get_cycles().hello, 60)
        yield 0.3
        start = time.monotonic()
        holds.leave_handlers()
        near_blender.unregister()
        events[way] = {"seconds": time.monotonic() - start, "workers": list_workers()}
        yield 3.0
        events[way]["later"] = list_workers()
        near_blender.register()
        bpy.context.scene.render.engine = "NEAR"
    hand.area("VIEW_3D").spaces[0].shading.type = "SOLID"
    bpy.context.scene.render.resolution_percentage, bpy.context.scene.near.samples = 20, 1
    yield from stepper.press_f12(OUT / "again.png")


near_blender.register()
bpy.context.preferences.view.show_splash = False
stepper.run(script(), events, OUT / "gone.json")
