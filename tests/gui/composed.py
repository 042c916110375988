"""Run inside a Blender with a window by test_composed.py: F12 and Escape with ordinary objects around an asset.

OUT: a folder with ball.near; gets composed.json and screenshots
"""

import os
import time

import bpy

import near_blender
from tests.gui import holds, stepper
from tests.gui.stepper import OUT, events


def build_scene() -> None:
    scene = bpy.context.scene
    scene.render.engine = "NEAR"
    scene.render.resolution_x, scene.render.resolution_y = 480, 270
    scene.view_settings.view_transform = "Standard"
    for ob in list(scene.objects):
        if ob.type == "MESH":
            bpy.data.objects.remove(ob)
    with holds.waiting():
        bpy.ops.near.import_asset(filepath=str(OUT / "ball.near"))
    bpy.ops.mesh.primitive_plane_add(size=6, location=(0, 0, -0.5))
    bpy.ops.mesh.primitive_cube_add(size=0.4, location=(0.35, -0.9, -0.1))
    scene.camera.location, scene.camera.rotation_euler = (0, -4, 0.6), (1.42, 0, 0)
    scene.near.samples = 4


def render(name: str, stop_after: float | None = None):
    """F12; notes how it ended, and the seconds from the key, or from Escape, to the end."""
    ended: list[tuple[str, float]] = []
    done = lambda *_: ended.append(("complete", time.monotonic()))
    cancelled = lambda *_: ended.append(("cancelled", time.monotonic()))
    bpy.app.handlers.render_complete.append(done)
    bpy.app.handlers.render_cancel.append(cancelled)
    window = bpy.context.window_manager.windows[0]
    start = time.monotonic()
    with bpy.context.temp_override(window=window):
        bpy.ops.render.render("INVOKE_DEFAULT")
    while not ended and time.monotonic() < start + 150:
        if stop_after is not None and time.monotonic() > start + stop_after:
            start, stop_after = time.monotonic(), None
            os.system("xdotool key Escape &")
        yield 0.02
    how, end = ended[0] if ended else ("hung", time.monotonic())
    events[name] = [how, round(end - start, 3)]
    bpy.app.handlers.render_complete.remove(done)
    bpy.app.handlers.render_cancel.remove(cancelled)
    yield 1.0
    os.system(f"import -window root {OUT / name}.png")
    yield from stepper.until(lambda: not bpy.app.is_job_running("RENDER"), 60)  # which keeps windows open
    yield from stepper.close_windows()


def steps():
    build_scene()
    yield 0.5
    yield from render("f12")
    yield from render("again")
    bpy.context.scene.near.samples = 4096
    yield from render("escape", stop_after=4.0)
    events["objects"] = sorted(ob.name for ob in bpy.data.objects)
    events["scenes"] = len(bpy.data.scenes)


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.render_display_type = "WINDOW"
near_blender.register()
stepper.run(steps())
