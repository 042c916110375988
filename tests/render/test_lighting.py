"""What is kept of instances in their light."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.light import transport
from near_core.render.renderer import Renderer
from near_core.scene import AssetLook, Environment, Instance, Lamp, Settings
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from near_core.scene.probe import make_empty
from tests.render.test_renderer import ball, look

LAMP = Lamp("point", np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 3, np.full(3, 50.0))
PLAIN = Settings(shading="transport", passes=("Combined",), threads=1)


@pytest.fixture(scope="module")
def grey() -> Environment:
    return environments.uniform((0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def made():
    return replace(ball(0.3), skin=None)


def test_nothing_is_kept_of_an_asset_that_is_forgotten(grey, made):
    renderer = Renderer()
    renderer.render([Instance(made, np.eye(4), look=AssetLook(tint=(1, 0, 0)))], look(), grey, PLAIN, lamps=[LAMP])
    parts = renderer, renderer._assets, renderer._lights, renderer._placed
    caches = [cache for part in parts for cache in vars(part).values() if hasattr(cache, "_results")]
    count = lambda: sum(made.hash in repr(key) for cache in caches for key in cache._results)
    assert count() >= 6
    renderer.forget(made.hash)
    assert count() == 0


@pytest.mark.parametrize("glossy", [True, False], ids=["whole", "divided"])
def test_the_lights_of_a_picture_stay_whatever_they_take(grey, made, monkeypatch, glossy):
    renderer, worked_out, world = Renderer(), [], Environment(grey.map, glossy=glossy)
    for kept in (renderer._lights._lights, *renderer._lights.posed):
        kept._capacity = 0
    instances = [Instance(made, np.eye(4), probe=make_empty(np.float64([x, 0, 0]), 4)) for x in (0, 1)]
    for name in ("illuminate", "prepare_light"):
        work = getattr(transport, name)
        monkeypatch.setattr(transport, name, lambda *given, work=work, **more: worked_out.append(work) or work(
            *given, **more))
    for _ in range(2):
        worked_out.clear()
        renderer.render(instances, look(), world, replace(PLAIN, background=False))
    assert not worked_out


def test_what_was_lit_in_the_last_picture_stays_lit_in_the_next_one(grey, made, monkeypatch):
    """Though the camera moved, and another instance came in; and then the lamp moves."""
    renderer, worked_out = Renderer(), []
    for kept in (renderer._lights._lights, *renderer._lights.posed):
        kept._capacity = 0
    instances = [Instance(made, pose, probe=make_empty(pose[:3, 3], 4))
                 for pose in (np.eye(4), np.diag([-1.0, -1, 1, 1]) + np.eye(4, k=3) * 1.5)]
    for name in ("illuminate", "prepare_light"):
        work = getattr(transport, name)
        monkeypatch.setattr(transport, name, lambda *given, work=work, **more: worked_out.append(work) or work(
            *given, **more))
    wide = cameras.orbit(0, 0, 3, 70, 192, 96)
    narrow = wide.crop(72, 24, 48, 48)
    count = []
    for camera, lamp in ((narrow, LAMP), (narrow, LAMP), (wide, LAMP), (wide, replace(LAMP, radius=0.1))):
        worked_out.clear()
        renderer.render(instances, camera, grey, replace(PLAIN, quality="draft"), lamps=[lamp])
        count.append(len(worked_out))
    assert count[2:] == [2, 0], "the light of the other one, and nothing"


def test_a_neighbour_lights_in_the_colours_that_it_has_now(grey, made):
    renderer = Renderer()

    def draw(renderer, tint):
        beside = np.eye(4) + np.eye(4, k=3) * 0.65
        return renderer.render([Instance(made, np.eye(4)), Instance(made, beside, look=AssetLook(tint=tint))], look(),
                               grey, PLAIN)["Combined"]

    red, green = draw(renderer, (1, 0, 0)), draw(renderer, (0, 1, 0))
    assert np.array_equal(green, draw(Renderer(), (0, 1, 0))) and not np.array_equal(red, green)


def test_a_faded_asset_shines_under_lamps_as_it_would(grey, made):
    renderer = Renderer()
    away = np.float64([[0, 0, 1]])
    solid, faded = (renderer.radiate(Instance(made, np.eye(4), look=AssetLook(opacity=opacity)), grey, away, PLAIN,
                                     lamps=[LAMP])[1] for opacity in (1.0, 0.0))
    np.testing.assert_array_equal(solid, faded)


def test_a_crowd_is_lit_once_for_each_way_it_stands(grey, made, monkeypatch):
    turns, whole = [], transport.illuminate_all

    def watch(prepared, light, rotations, *rest, **more):
        turns[-1] += len(rotations)
        return whole(prepared, light, rotations, *rest, **more)
    monkeypatch.setattr(transport, "illuminate_all", watch)
    for count in (4, 12):
        turns.append(0)
        Renderer().render([Instance(made, np.eye(4)) for _ in range(count)], look(), grey, PLAIN)
    assert 0 < turns[0] == turns[1]
