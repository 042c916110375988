"""Run inside a Blender with a window by test_showcase.py: a turntable, and Check Setup, to the end and stopped.

OUT: a folder with ball.near; gets showcase.json and screenshots
"""

import time

import bpy

import near_blender
from near_blender.operators import setup, showcase
from tests.gui import hand, holds, stepper
from tests.gui.stepper import OUT, events

_ended: list[str] = []


def watch_end() -> None:
    """Notes when a turntable's operator gives everything back."""
    cancel = showcase.NEAR_OT_render_turntable.cancel

    def watched(operator, context):
        cancel(operator, context)
        _ended.append("ended")
    showcase.NEAR_OT_render_turntable.cancel = watched


def press_escape() -> float:
    hand.press("Escape")
    return time.monotonic()


def turn(frames: int, stop_after: int | None = None):
    """A turntable. stop_after: pictures, then Escape; notes how long it takes to let go."""
    folder, count = OUT / f"turn_{frames}_{stop_after}", len(_ended)
    area = hand.area("VIEW_3D")
    with bpy.context.temp_override(window=hand.window(), area=area, region=area.regions[-1]):
        operator = bpy.ops.near.render_turntable
        showcase.NEAR_OT_render_turntable._is_interactive = True  # the dialog's OK calls execute
        operator("EXEC_DEFAULT", directory=str(folder), frames=frames, movie=True)
    if stop_after is not None:
        yield from stepper.until(lambda: len(list(folder.glob("turntable_0*.png"))) >= stop_after, 120)
        start = press_escape()
        yield from stepper.until(lambda: len(_ended) > count, 60)
        events.setdefault("turntable_stopped_after", []).append(round(time.monotonic() - start, 3))
        yield from stepper.until((folder / "turntable_sheet.png").is_file, 60)
        events.setdefault("sheets", []).append((folder / "turntable_sheet.png").is_file())
        return
    start = time.monotonic()
    yield from stepper.until(lambda: len(_ended) > count, 300)
    events["turntable"] = round(time.monotonic() - start, 3)
    events["files"] = sorted(path.name for path in folder.iterdir())


def check(stop_after: float | None = None, button: bool = False):
    hand.in_viewport(bpy.ops.near.check_setup, "INVOKE_DEFAULT")
    start = time.monotonic()
    if stop_after is not None:
        yield stop_after
        events["check_was_under_way"] = setup.get_current() is not None
        if button:
            bpy.ops.near.stop(what="CHECK")
        start = time.monotonic() if button else press_escape()
        yield from stepper.until(lambda: setup.get_current() is None, 60)
        events.setdefault("check_stopped_after", []).append(round(time.monotonic() - start, 3))
        events.setdefault("check_says", []).append(setup.list_findings()[-1][1])
        return
    yield from stepper.until(lambda: setup.get_current() is None, 60)
    events["check"] = round(time.monotonic() - start, 3)
    events["found"] = [[well, text] for well, text in setup.list_findings()]


def steps():
    with holds.waiting():
        bpy.ops.near.import_asset(filepath=str(OUT / "ball.near"))
    ball = bpy.context.object
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    scene = bpy.context.scene
    scene.render.engine, scene.render.resolution_x, scene.render.resolution_y = "NEAR", 480, 270
    bpy.context.view_layer.objects.active = ball
    watch_end()
    yield 0.5
    yield from check()
    yield 0.3
    yield from check(stop_after=0.1)  # the second takes half a second
    yield from check(stop_after=0.1, button=True)
    yield 0.3
    before = scene.camera.matrix_world.copy()
    yield from turn(4)
    yield 0.3
    for stop_after in (1, 2):
        yield from turn(40, stop_after)
        yield 0.5
    events["camera_is_back"] = max(abs(a - b) for one, two in zip(before, scene.camera.matrix_world)
                                   for a, b in zip(one, two)) < 1e-5
    hand.screenshot(OUT / "after.png")


bpy.context.preferences.view.show_splash = False
near_blender.register()
stepper.run(steps())
