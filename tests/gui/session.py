"""Run inside a Blender with a window by test_window.py: works like an artist and writes down what happened.

OUT: a folder; gets session.json and screenshots
"""

import faulthandler
import os
import signal
import time
from pathlib import Path

import bpy

import near_blender
from near_blender.asset import payload, proxy
from near_blender.client import client, worker_process
from near_blender.engine import viewport
from near_core import asset as assets
from tests.gui import stepper
from tests.gui.hand import area, window
from tests.gui.stepper import OUT, events

HDRI = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world"
events |= {"gaps": {}}
_ticks = [time.monotonic(), 0.0]  # last tick of the main thread, longest pause since it was asked for


def tick() -> float:
    now = time.monotonic()
    _ticks[:] = now, max(_ticks[1], now - _ticks[0])
    return 0.01


def longest_pause() -> float:
    """Seconds that the interface stood still since the last call, whoever made it wait."""
    pause, _ticks[1] = _ticks[1], 0.0
    return round(pause, 3)


_drawn: list[float] = []  # when, in time.monotonic() seconds, our own drawing ended
_answers: list[float] = []  # seconds that the worker says it spent on each picture


def watch_drawing() -> None:
    """Notes the longest processor time that our drawing took in the main thread, and what the worker spent."""
    draw, result = viewport.ViewportPicture.draw, worker_process.JobHandle.result

    def watched(*args):
        start = time.thread_time()
        draw(*args)
        events["longest_draw"] = round(max(events.get("longest_draw", 0), time.thread_time() - start), 3)
        _drawn.append(time.monotonic())

    def watched_result(job):
        answer = result(job)
        _answers.append(answer.get("seconds", 0))
        return answer
    viewport.ViewportPicture.draw, worker_process.JobHandle.result = watched, watched_result


def screenshot(name: str) -> None:
    os.system(f"import -window root {OUT / name}.png")
    _ticks[0] = time.monotonic()


def press(key: str) -> None:
    os.system(f"xdotool key {key} &")


def view() -> viewport.ViewportPicture:
    """The viewport's View; a changed engine object leaves old ones behind until they are collected."""
    return max(viewport._views, key=lambda v: v._changed)


def changed(name: str, act, full: bool = False):
    """Does act() and notes how long it takes until the viewport shows its result."""
    longest_pause()
    before = view()._shown if viewport._views else None
    start = time.monotonic()
    act()
    area("VIEW_3D").tag_redraw()
    yield 0.0

    def is_new() -> bool:
        return bool(viewport._views) and view()._shown != before and view()._shown[1] > 0 and (
            not full or not view().is_busy())
    yield from stepper.until(is_new, 60)
    events[name] = round(time.monotonic() - start, 3)
    events["gaps"][name] = longest_pause()


def measured(name: str, act, times: int = 5):
    """Does act() a few times, each once the viewport is at rest, and notes under `name` for each time the seconds until
    the old picture was drawn again, until a new one was shown, and what the worker spent on that."""
    events[name] = []
    for _ in range(times):
        yield from stepper.until(lambda: not view().is_busy(), 60)
        yield 0.3
        drawn, answers, start = len(_drawn), len(_answers), time.monotonic()
        yield from changed("last_change", act)
        events[name].append({"at_once": round(_drawn[drawn] - start, 3), "new": events.pop("last_change"),
                             "worker": round(_answers[answers], 3), "pause": events["gaps"].pop("last_change")})


def without_worker():
    """Turns the view while the worker stands still: Blender has to go on. Notes the seconds until each drawing."""
    pid = client.get_worker().check()["pid"]
    yield from stepper.until(lambda: not view().is_busy(), 60)
    events["worker_stands_still"] = []
    os.kill(pid, signal.SIGSTOP)
    for _ in range(5):
        drawn, start = len(_drawn), time.monotonic()
        turn_view()
        area("VIEW_3D").tag_redraw()
        yield from stepper.until(lambda: len(_drawn) > drawn, 10)  # noqa: B023 (used before the next turn)
        events["worker_stands_still"].append(round(time.monotonic() - start, 3))
    os.kill(pid, signal.SIGCONT)


def build_scene() -> None:
    scene = bpy.context.scene
    scene.render.engine = "NEAR"
    for ob in list(scene.objects):
        if ob.type == "MESH":
            bpy.data.objects.remove(ob)
    data = (OUT / "ball.near").read_bytes()
    for x in (-0.8, 0.8):
        ob = proxy.build(assets.from_bytes(data), "Ball")
        payload.attach(ob, data, "Ball")
        ob.location.x = x
        scene.collection.objects.link(ob)
    scene.camera.location, scene.camera.rotation_euler = (0, -5, 1), (1.37, 0, 0)
    tree = scene.world.node_tree
    nodes = {kind: tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexCoord", "Mapping", "TexEnvironment")}
    nodes["TexEnvironment"].image = bpy.data.images.load(str(HDRI / "forest.exr"))
    background = next(n for n in tree.nodes if n.type == "BACKGROUND")
    for a, b in zip((*nodes.values(),), (*list(nodes.values())[1:], background)):
        tree.links.new(a.outputs[0], b.inputs[0])


def show_rendered() -> None:
    space = area("VIEW_3D").spaces[0]
    space.shading.type = "RENDERED"


def turn_view() -> None:
    region = area("VIEW_3D").spaces[0].region_3d
    region.view_rotation.rotate(__import__("mathutils").Euler((0, 0, 0.4)))


def move_asset() -> None:
    bpy.data.objects["Ball"].location.z += 0.1


def turn_world() -> None:
    node = next(n for n in bpy.context.scene.world.node_tree.nodes if n.type == "MAPPING")
    node.inputs["Rotation"].default_value[2] += 1


def look_through_camera() -> None:
    area("VIEW_3D").spaces[0].region_3d.view_perspective = "CAMERA"


def enter_local_view() -> None:
    """Or leaves it: shows the selected ball alone."""
    for ob in bpy.context.scene.objects:
        ob.select_set(ob.name == "Ball")
    region = next(r for r in area("VIEW_3D").regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=area("VIEW_3D"), region=region):
        bpy.ops.view3d.localview(frame_selected=False)


def look_at_sky() -> None:
    tree = bpy.context.scene.world.node_tree
    background = next(n for n in tree.nodes if n.type == "BACKGROUND")
    tree.links.new(tree.nodes.new("ShaderNodeTexSky").outputs[0], background.inputs[0])


def open_large_image() -> None:
    """What Blender has not opened yet, as after a file's load."""
    node = next(n for n in bpy.context.scene.world.node_tree.nodes if n.type == "TEX_ENVIRONMENT")
    node.image = bpy.data.images.load(str(OUT / "large.exr"))


def kill_worker() -> None:
    os.kill(client.get_worker().hello["pid"], signal.SIGKILL)
    turn_world()


def render(name: str, percentage: int, stop_after: float | None = None):
    """F12; notes how it ended, the seconds from the key to the end, or from Escape to the end, and of these the ones
    from when the engine noticed."""
    ended: list[tuple[str, float]] = []
    noticed: list[float] = []
    cancel = worker_process.JobHandle.cancel
    worker_process.JobHandle.cancel = lambda job: (noticed.append(time.monotonic()), cancel(job))
    done = lambda *_: ended.append(("complete", time.monotonic()))
    cancelled = lambda *_: ended.append(("cancelled", time.monotonic()))
    bpy.app.handlers.render_complete.append(done)
    bpy.app.handlers.render_cancel.append(cancelled)
    bpy.context.scene.render.resolution_percentage = percentage
    yield from stepper.until(lambda: not view().is_busy(), 60)
    longest_pause()
    start = time.monotonic()
    with bpy.context.temp_override(window=window()):
        bpy.ops.render.render("INVOKE_DEFAULT")
    if stop_after is not None:
        yield from stepper.until(lambda: time.monotonic() > start + stop_after, 60)
        if not ended:
            start = time.monotonic()
            press("Escape")
    yield from stepper.until(lambda: ended, 60)
    how, end = ended[0]
    events[name] = [how, round(end - start, 3), round(end - noticed[0], 3) if noticed else 0.0]
    worker_process.JobHandle.cancel = cancel
    events["gaps"][name] = longest_pause()
    bpy.app.handlers.render_complete.remove(done)
    bpy.app.handlers.render_cancel.remove(cancelled)


def close_render():
    """Closes the window of the render."""
    yield 0.3
    yield from stepper.close_windows()


def steps():
    build_scene()
    watch_drawing()
    yield 0.5
    yield from changed("first_picture", show_rendered)
    yield from stepper.until(lambda: not view().is_busy(), 60)
    screenshot("1_first")
    yield from measured("orbit", turn_view)
    yield from measured("turned_world", turn_world)
    yield from measured("moved_asset", move_asset)
    screenshot("2_turned")
    yield from without_worker()
    yield from changed("local_view", enter_local_view, full=True)
    screenshot("2_local")
    yield from changed("left_local_view", enter_local_view, full=True)
    yield from changed("camera_view", look_through_camera, full=True)
    screenshot("3_camera")
    yield from changed("large_image", open_large_image, full=True)
    screenshot("3_large")
    yield from changed("killed_worker", kill_worker, full=True)
    yield from render("f12", 100)
    yield 1.0
    screenshot("4_f12")
    yield from close_render()
    for number, seconds in enumerate((0.1, 0.3, 0.5)):
        turn_world()  # so that the light is computed again
        yield from render(f"escape_{number}", 100, stop_after=seconds)
        yield from close_render()
    yield from stepper.until(lambda: not view().is_busy(), 60)
    yield from changed("sky", look_at_sky, full=True)
    screenshot("5_sky")
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "scene.blend"))
    events["message"] = view()._message
    events["worker"] = {k: v for k, v in client.get_worker().check().items() if k != "event"}


_stuck = open(OUT / "stuck.txt", "w")
faulthandler.dump_traceback_later(float(os.environ.get("NEAR_GUI_STUCK", 150)), file=_stuck)
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.render_display_type = "WINDOW"
near_blender.register()
bpy.app.timers.register(tick)
stepper.run(steps())
