"""Run inside a Blender with a window by test_gone.py: the add-on is disabled while F12 and Rendered mode draw, while
somebody draws on a photo, and while a turntable is rendered.

OUT: a folder; gets gone.json and again.png
"""

import time
from pathlib import Path

import bpy

import near_blender
from near_blender.client import client
from near_blender.operators import drawing, showcase
from near_core import errors
from tests.gui import hand, holds, stepper
from tests.gui.stepper import OUT, events


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


def disable() -> float:
    """Seconds that it took."""
    start = time.monotonic()
    holds.leave_handlers()
    near_blender.unregister()
    return time.monotonic() - start


def draw_on_photo():
    """In a window of its own, which goes."""
    photo = str(Path(near_blender.__file__).parent / "assets" / "coffee.jpg")
    with bpy.context.temp_override(window=hand.window(), area=hand.area("VIEW_3D")):
        drawing.begin(bpy.context, drawing.PhotoDrawing(photo, "", "near", errors.Message("leave"), lambda *_: set()))
    yield from stepper.until(lambda: drawing.NAME in bpy.data.images, 120)
    disable()
    windows = bpy.context.window_manager.windows
    yield from stepper.until(lambda: len(windows) == 1, 20)
    events["drawing"] = [len(windows), drawing.NAME in bpy.data.images]
    near_blender.register()


def turn_around():
    """Camera, file and handlers are as they were."""
    scene, handlers = bpy.context.scene, bpy.app.handlers.render_complete
    before = [list(row) for row in scene.camera.matrix_world], scene.render.filepath, len(handlers)
    showcase.NEAR_OT_render_turntable._is_interactive = True  # as if the dialog had been confirmed
    with bpy.context.temp_override(window=hand.window()):
        bpy.ops.near.render_turntable(directory=str(OUT / "turn"), frames=3)
    yield from stepper.until(lambda: (OUT / "turn" / "turntable_0000.png").is_file(), 120)
    yield 0.5
    disable()
    yield from stepper.until(lambda: not bpy.app.is_job_running("RENDER"), 60)
    bpy.context.view_layer.update()  # Blender works matrices out anew when it draws next
    now = [list(row) for row in scene.camera.matrix_world], scene.render.filepath, len(handlers)
    events["turntable"] = before == now
    near_blender.register()


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
        events[way] = {"seconds": disable(), "workers": list_workers()}
        yield 3.0
        events[way]["later"] = list_workers()
        near_blender.register()
        bpy.context.scene.render.engine = "NEAR"
    hand.area("VIEW_3D").spaces[0].shading.type = "SOLID"
    bpy.context.scene.render.resolution_percentage, bpy.context.scene.near.samples = 20, 1
    yield from stepper.press_f12(OUT / "again.png")
    yield from draw_on_photo()
    bpy.context.scene.render.engine = "NEAR"
    yield from turn_around()


near_blender.register()
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.render_display_type = "NONE"
stepper.run(script())
