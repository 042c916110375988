"""Run inside a Blender with a window by test_creation.py: creates and imports assets as an artist does.

OUT: a folder with block.near; gets creation.json and screenshots
"""

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import bpy

import near_blender
from near_blender.asset import payload
from near_blender.client import client
from near_blender.operators import jobs, pictures
from tests.gui import holds, stepper
from tests.gui.hand import area, in_viewport, press, window
from tests.gui.stepper import OUT, events

PHOTO = str(Path(near_blender.__file__).parent / "assets" / "coffee.jpg")


def look(name: str) -> None:
    """A screenshot, beside what goes on."""
    subprocess.Popen(["import", "-window", "root", str(OUT / f"{name}.png")])


def names() -> list[str]:
    return sorted(ob.name for ob in bpy.data.objects)


def choose_file(name: str):
    """Confirms the open file dialog with OUT/name."""
    yield 5.0
    dialog = bpy.context.window_manager.windows[-1]
    browser = next(each for each in dialog.screen.areas if each.type == "FILE_BROWSER")
    browser.spaces[0].params.directory = bytes(OUT)
    browser.spaces[0].params.filename = name
    yield 2.0
    with bpy.context.temp_override(window=dialog, area=browser):
        bpy.ops.file.execute()
    yield 2.0


def watch_cancel(name: str, job: Any) -> None:
    """Notes under `name` the seconds from job.cancel() until the worker has let go; a thread, for this window draws
    slowly."""
    cancel, start = job.cancel, []

    def watched() -> None:
        start.append(time.monotonic())
        cancel()

    def wait() -> None:
        while not job.done:
            time.sleep(0.005)
        events[name] = round(time.monotonic() - start[0], 3) if start else "never cancelled"
    job.cancel = watched
    threading.Thread(target=wait, daemon=True).start()


def escape(name: str, preview: bool):
    """Presses Escape once a creation is under way, and its preview is seen."""
    job = jobs.get_current().job
    watch_cancel(name, job)
    yield from stepper.until(lambda: job.preview is not None if preview else job.fraction > 0.1, 10)
    if preview:
        yield 0.5
        look("preview")
        yield 0.5
    press("Escape")
    yield from stepper.until(lambda: name in events, 60)


def steps():
    near = bpy.ops.near
    area("VIEW_3D").spaces[0].show_region_ui = True
    yield 0.5
    next(r for r in area("VIEW_3D").regions if r.type == "UI").active_panel_category = "NeAR"
    client.get_worker().check(60)
    in_viewport(bpy.ops.mesh.primitive_monkey_add)
    monkey = bpy.context.view_layer.objects.active
    monkey.modifiers.new("Smooth", "SUBSURF").levels = 3
    bpy.ops.ed.undo_push(message="Monkey")
    yield 1.0
    events["before"] = names()

    in_viewport(near.create_asset_from_mesh, "INVOKE_DEFAULT")
    events["is_modal"] = jobs.get_current() is not None
    events["second_is_refused"] = not in_viewport(near.create_asset_from_mesh.poll)
    statuses = set()
    while jobs.get_current() is not None and len(statuses) < 10_000:
        statuses.add(jobs.get_current().status)
        if len(statuses) == 3:
            look("creation")
        yield 0.05
    events["statuses"] = sorted(statuses)
    events["created"] = names()
    in_viewport(bpy.ops.ed.undo)
    events["undone"] = names()
    in_viewport(bpy.ops.ed.redo)
    events["redone"] = [ob.name for ob in bpy.data.objects if payload.decode_asset(ob) is not None]

    with holds.waiting():
        in_viewport(bpy.ops.mesh.primitive_grid_add, x_subdivisions=1000, y_subdivisions=1000, location=(4, 0, 0))
    yield 1.0
    in_viewport(near.create_asset_from_mesh, "INVOKE_DEFAULT", detail="DRAFT")
    yield from stepper.until(lambda: jobs.get_current() is None, 120)
    events["large"] = [list(bpy.context.object.location), len(bpy.data.objects["Grid"].data.polygons),
                       payload.decode_asset(bpy.context.object) is not None]
    for name in (bpy.context.object.name, "Grid"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.ed.undo_push(message="Removed")

    bpy.context.view_layer.objects.active = bpy.data.objects["Suzanne"]
    in_viewport(near.create_asset_from_mesh, "INVOKE_DEFAULT")
    yield from escape("mesh_stopped_after", preview=False)
    in_viewport(near.create_asset_from_image, "INVOKE_DEFAULT", filepath=PHOTO)
    yield from escape("photo_stopped_after", preview=True)
    events["after_escape"] = names()
    events["images_after_escape"] = [image.name for image in bpy.data.images if "coffee" in image.name]

    in_viewport(near.import_asset, "INVOKE_DEFAULT")
    yield from choose_file("block.near")
    yield from stepper.until(lambda: "Block" in bpy.data.objects, 20)
    yield 0.5
    events["imported"] = names()
    in_viewport(bpy.ops.ed.undo)
    events["import_undone"] = names()
    in_viewport(bpy.ops.wm.call_menu, name="NEAR_MT_add")
    yield 2.0
    look("menu")
    with bpy.context.temp_override(window=window(), area=area("VIEW_3D")):
        events["clipboard"] = pictures.find_problem(bpy.context)
    yield 1.0
    press("Escape")
    yield 1.0


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.edit.undo_steps = 32
near_blender.register()
stepper.run(steps())
