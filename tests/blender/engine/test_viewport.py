"""Rendered mode without a window: the real worker and scene; only the graphics card, which bpy refuses here, is out.

tests/gui looks at the real window.
"""

import math
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import stage
from asking import halt
from mathutils import Matrix

from near_blender.asset import payload
from near_blender.client import client
from near_blender.engine import viewport
from tests.machine import slowness


class Engine:
    """What View needs of a RenderEngine."""

    def __init__(self):
        self.message = ""

    def update_stats(self, title, message):
        self.message = message


@pytest.fixture
def scene(ball):
    scene = stage.make_stage()
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    stage.add_asset(ball)
    return scene


@pytest.fixture
def screen(scene, monkeypatch):
    """A viewport of 120 x 80 pixels; `shown` holds the pictures that were put on it."""
    shown: list[np.ndarray] = []
    monkeypatch.setattr(viewport, "upload", lambda rows: rows.shape[2] == 4 and shown.append(rows[::-1]) or rows)
    monkeypatch.setattr(viewport.ViewportPicture, "_show", lambda *_: None)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    window = scene.camera.calc_matrix_camera(depsgraph, x=120, y=80)
    context = SimpleNamespace(region=SimpleNamespace(width=120, height=80), space_data=None,
                              region_data=SimpleNamespace(view_perspective="PERSP",
        window_matrix=window, view_matrix=scene.camera.matrix_world.inverted()))
    view, engine = viewport.ViewportPicture(), Engine()
    view.update(depsgraph)

    def draw() -> float:
        start = time.perf_counter()
        view.draw(engine, context, bpy.context.evaluated_depsgraph_get())
        return time.perf_counter() - start

    def settle(seconds: float = 60) -> None:
        """Draws whenever there is news, as the timer does, until nothing more is coming."""
        end = time.monotonic() + seconds
        draw()
        while view.is_busy() and time.monotonic() < end:
            time.sleep(0.005)
            if view.has_news():
                draw()
        assert not view.is_busy()

    yield SimpleNamespace(view=view, engine=engine, context=context, shown=shown, draw=draw, settle=settle)
    viewport._views.discard(view)
    viewport.unregister()


def turn(context, degrees: float) -> None:
    data = context.region_data
    data.view_matrix = data.view_matrix @ Matrix.Rotation(math.radians(degrees), 4, "Z")


def test_draft_comes_first_then_the_full_picture(screen):
    screen.settle()
    assert [p.shape[1] < 120 for p in screen.shown] == [True, False]
    assert screen.shown[-1].shape == (80, 120, 4)
    assert screen.shown[-1][40, 60, 0] > 2 * screen.shown[-1][40, 60, 1], "the ball's red front"


def test_nothing_is_asked_for_while_nothing_changes(screen):
    screen.settle()
    count = len(screen.shown)
    for _ in range(5):
        screen.draw()
        time.sleep(0.1)
    assert len(screen.shown) == count and not screen.view.is_busy()


def test_every_change_of_view_is_followed(screen):
    screen.settle()
    turn(screen.context, 180)
    screen.settle()
    assert screen.shown[-1][40, 60, 1] > 2 * screen.shown[-1][40, 60, 0], "the ball's green back"


def test_change_of_scene_is_followed(screen, scene):
    screen.settle()
    stage.set_color(scene.world, (0.0, 0.0, 0.9))
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert np.allclose(screen.shown[-1][0, 0], (0, 0, 0.9, 1), atol=1e-3)


def test_what_is_not_seen_draws_nothing_anew(screen, scene):
    screen.settle()
    count = len(screen.shown)
    scene.objects["Asset"].select_set(True)
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert len(screen.shown) == count
    scene.objects["Asset"].near.look.tint = 0, 1, 1
    scene.objects["Asset"].update_tag()
    bpy.context.view_layer.update()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert len(screen.shown) == count + 2 and screen.shown[-1][40, 60, 0] < screen.shown[-1][40, 60, 1]
    turn(screen.context, 30)
    screen.draw()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert len(screen.shown) >= count + 4, "a draft is never the last picture"


def test_pictures_keep_coming_while_the_view_turns(screen):
    screen.settle()
    count, end = len(screen.shown), time.monotonic() + 60 * slowness()
    while len(screen.shown) < count + 2 and time.monotonic() < end:
        turn(screen.context, 1)
        screen.draw()
        time.sleep(0.02)
    assert len(screen.shown) == count + 2


@pytest.mark.timing
def test_drawing_never_waits_for_the_worker(screen):
    screen.settle()
    pid = client.get_worker().check()["pid"]
    halt(pid)
    try:
        times = []
        for _ in range(20):
            turn(screen.context, 5)
            times.append(screen.draw())
    finally:
        os.kill(pid, signal.SIGCONT)
    assert np.median(times) < 0.05 * slowness()
    screen.settle()


def test_picture_comes_back_after_the_worker_was_killed(screen):
    screen.settle()
    before = screen.shown[-1]
    os.kill(client.get_worker().check()["pid"], signal.SIGKILL)
    turn(screen.context, 90)
    screen.settle()
    turn(screen.context, -90)
    screen.settle()
    assert np.abs(screen.shown[-1] - before).max() < 0.01


def test_another_model_draws_it_anew(screen, monkeypatch):
    screen.settle()
    before, other = screen.shown[:], client.Lanes()
    monkeypatch.setattr(client, "_chosen", other)
    try:
        screen.settle()
        assert len(screen.shown) == 2 * len(before) and other.drawing.hello
        assert np.allclose(screen.shown[-1], before[-1], atol=1e-4)
    finally:
        other.stop()


def test_bake_does_not_hold_the_viewport_up(screen, scene):
    screen.settle()
    tree = scene.world.node_tree
    gamma = tree.nodes.new("ShaderNodeGamma")
    gamma.inputs["Color"].default_value = (0.9, 0, 0, 1)
    tree.links.new(gamma.outputs[0], tree.nodes["Background"].inputs[0])
    scene.world.near.resolution = "512"
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.draw()
    assert "Baking the World" in screen.engine.message and screen.view.is_busy()
    screen.settle(120)
    assert np.allclose(screen.shown[-1][0, 0], (0.9, 0, 0, 1), atol=1e-3)


def test_error_is_shown_and_goes_away_when_it_is_mended(screen, scene, ball):
    ob = next(o for o in scene.objects if o.type == "MESH")
    kept = ob.near.asset
    ob.near.asset = bpy.data.meshes.new("empty")
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert "is not in this file" in screen.engine.message
    ob.near.asset = kept
    assert payload.find_hash(kept)
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert screen.engine.message == "" and screen.shown


def test_the_cameras_lens_blurs_the_picture_at_rest(screen, scene):
    lens = scene.camera.data.dof
    lens.use_dof, lens.focus_distance, lens.aperture_fstop = True, 1.0, 0.1
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    sharp = screen.shown[-1]
    screen.context.region_data.view_perspective = "CAMERA"
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    edges = [np.abs(np.diff(picture[40, :, 0])).max() for picture in (sharp, screen.shown[-1])]
    assert edges[1] < 0.6 * edges[0] and [p.shape for p in screen.shown[-2:]] != [sharp.shape] * 2


def test_an_empty_view_is_told(screen, scene):
    scene.objects["Asset"].hide_set(True)
    bpy.context.view_layer.update()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert screen.engine.message == "No neural asset is visible in ViewLayer"


def test_transparent_film(screen, scene):
    scene.render.film_transparent = True
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert screen.shown[-1][0, 0, 3] == 0 and screen.shown[-1][40, 60, 3] > 0.8


def test_the_films_exposure_counts(screen, scene):
    screen.settle()
    one = screen.shown[-1]
    scene.cycles.film_exposure = 2.5
    scene.update_tag()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    assert np.allclose(screen.shown[-1], one * (2.5, 2.5, 2.5, 1), rtol=1e-4, atol=1e-6) and one[40, 60, 0] > 0.1


def count_pictures(screen, act, seconds: float) -> float:
    """Pictures a second that are shown while act() is done before every redraw."""
    count, start = len(screen.shown), time.monotonic()
    while time.monotonic() < start + seconds:
        if screen.view._job is None or screen.view.has_news():
            act()
            screen.draw()
        time.sleep(0.004)
    return (len(screen.shown) - count) / (time.monotonic() - start)


@pytest.mark.timing
@pytest.mark.slow
def test_rates(screen, scene):
    """Pictures a second of the sample beside a ball at 512 x 512, without a window; -s prints them."""
    scene.near.viewport_scale = 100
    screen.context.region = SimpleNamespace(width=512, height=512)
    bpy.ops.near.add_sample()
    mapping = stage.set_environment(scene.world)["Mapping"]

    def turn_world() -> None:
        mapping.inputs["Rotation"].default_value[2] += 0.1
        screen.view.update(bpy.context.evaluated_depsgraph_get())

    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.settle()
    acts = {"orbit": lambda: turn(screen.context, 2), "World": turn_world}
    rates = {name: (count_pictures(screen, act, 3), count_pictures(screen, act, 5))[1] for name, act in acts.items()}
    print(rates, "saving", screen.view._pace.saving, "slowness", slowness())
    photo = Path(viewport.__file__).parent / "assets" / "coffee.jpg"
    job = client.create_from_image([str(photo)], name="Coffee")
    while job.fraction < 0.05 and not job.done:
        time.sleep(0.01)
    rates["creation"] = count_pictures(screen, acts["orbit"], 5)
    beside = not job.done
    job.cancel()
    print(rates, "saving", screen.view._pace.saving, "slowness", slowness())
    assert beside, "the creation ended before it was measured"
    for name, least in (("orbit", 12), ("World", 8), ("creation", 4)):
        assert rates[name] * slowness() > least, name
