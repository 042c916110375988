"""Light from around in a viewport at rest: it comes, is that of the newest scene, and nobody waits for it."""

import math
import time

import bpy
import numpy as np
import pytest
import stage

from near_blender.client import client
from near_blender.engine import refinement, surroundings, viewport
from near_blender.scene import sync
from tests.blender.engine.test_viewport import scene, screen, turn  # noqa: F401  fixtures
from tests.machine import slowness


def find_middle(screen) -> np.ndarray:  # noqa: F811
    rows, columns, _ = screen.shown[-1].shape
    return screen.shown[-1][rows // 2, columns // 2]


@pytest.fixture
def asked(monkeypatch):
    """Quality and probe of each picture that the worker is asked for."""
    asked, submit = [], client.get_worker().submit
    monkeypatch.setattr(client.get_worker(), "submit", lambda op, *arguments, **fields: (asked.append((
        fields["settings"].quality, fields["instances"][0]["probe"])), submit(op, *arguments, **fields))[1])
    return asked


@pytest.fixture
def card(scene):  # noqa: F811
    """A glowing card before the ball, which nothing else lights."""
    stage.set_color(scene.world, (0, 0, 0))
    bpy.ops.mesh.primitive_plane_add(size=2, location=(0, -2, 0), rotation=(math.pi / 2, 0, 0))
    card = bpy.context.object
    card.data.materials.append(bpy.data.materials.new("Glow"))
    card.data.materials[0].use_nodes = True
    principled = card.data.materials[0].node_tree.nodes["Principled BSDF"]
    principled.inputs["Emission Color"].default_value = 1, 1, 1, 1
    principled.inputs["Emission Strength"].default_value = 5
    return card


def rest(screen, until=lambda: False) -> None:  # noqa: F811
    """Draws and asks for light as the timer does, until nothing more is coming."""
    end = time.monotonic() + 60 * slowness()
    screen.draw()
    while screen.view.is_busy() and not until() and time.monotonic() < end:
        time.sleep(0.02)
        screen.view.refine()
        if screen.view.has_news():
            screen.draw()
    assert until() or not screen.view.is_busy()


def test_light_from_around_comes_at_rest(screen, card, asked):  # noqa: F811
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen, lambda: screen.view._refinement.is_busy)
    dark, count = find_middle(screen), len(screen.shown)
    rest(screen)
    assert screen.engine.message == ""
    assert dark[3] > 0.9 and dark[0] < 0.01 and screen.shown[-1][40, 60, 0] > 0.1
    assert all(each.shape[1] == 120 for each in screen.shown[count:]), "no draft of what is nearly on the screen"
    assert [quality for quality, _ in asked[-2:]] == ["final", "draft"], "what the next change begins with is ready"
    assert screen.shown[-1][0, 0, 3] == 0, "the draft draws what is behind"
    card.location.z = 0.1  # what is known of the light stays until it is renewed
    bpy.context.view_layer.update()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    screen.draw()
    assert asked[-1][1]


def test_light_of_before_a_change_is_asked_for_again(screen, card):  # noqa: F811
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen, lambda: screen.view._refinement.is_busy)
    card.location.y = -60
    bpy.context.view_layer.update()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen)
    assert find_middle(screen)[3] > 0.9 and find_middle(screen)[0] < 0.01


def test_light_that_another_asks_away_comes_after_it(screen, scene, card):  # noqa: F811
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen, lambda: screen.view._refinement.is_busy)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    other = surroundings.OrdinaryThings(depsgraph, sync.collect_assets(depsgraph))
    asked = [job for job in other.ask_light(True) if job is not None]
    rest(screen)
    assert asked and all(job.result() for job in asked) and find_middle(screen)[0] > 0.1


def test_a_change_while_light_arrives_is_answered_in_the_light_of_before(screen, card, asked):  # noqa: F811
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen, lambda: asked[-1][1])
    turn(screen.context, 5)
    screen.draw()
    assert asked[-1] == ("draft", None), "the worker has this light ready"
    rest(screen, lambda: screen.view._refinement._draft)
    assert [(quality, bool(probe)) for quality, probe in asked[-2:]] == [("final", True), ("draft", True)]
    assert screen.view._refinement._draft[0].take()
    turn(screen.context, 5)
    screen.draw()
    assert asked[-1] == asked[-2], "and now the newest"


def test_what_takes_too_long_to_hand_over_is_told(screen, monkeypatch):  # noqa: F811
    monkeypatch.setattr(viewport, "MOST_SHOWN", 1)
    bpy.ops.mesh.primitive_plane_add()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    rest(screen)
    screen.draw()
    assert screen.engine.message == "Light from around comes with F12 only: too much is shown"


def test_each_window_has_the_light_of_its_own_scene(screen, scene):  # noqa: F811
    bpy.data.scenes.new("Other")
    assert refinement.find_depsgraph(scene.name, "ViewLayer").scene == scene
    assert refinement.find_depsgraph("Other", "ViewLayer") is refinement.find_depsgraph(scene.name, "Other") is None


def test_what_changes_just_before_light_arrives_has_a_draft_first(screen, monkeypatch):  # noqa: F811
    asked, submit = [], client.get_worker().submit
    monkeypatch.setattr(client.get_worker(), "submit", lambda op, *arguments, **fields: (
        asked.append(fields["settings"].quality), submit(op, *arguments, **fields))[1])
    bpy.ops.mesh.primitive_plane_add(size=2, location=(0, 0, -1))
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    with monkeypatch.context() as patch:
        patch.setattr(screen.view._refinement, "collect", lambda: False)
        rest(screen, lambda: screen.view._refinement.is_done)
    bpy.data.objects["Asset"].location.x += 0.3
    bpy.context.view_layer.update()
    screen.view.update(bpy.context.evaluated_depsgraph_get())
    asked.clear()
    screen.draw()
    assert screen.view._lit == screen.view._version and asked == ["draft"]
    rest(screen)
