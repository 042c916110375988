"""What light is made of: that the parts are all of it, and what each of them is."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core.create.create import create_from_mesh
from near_core.mesh import Material, Mesh
from near_core.render.light_parts import leave_whole
from near_core.render.renderer import Renderer
from near_core.scene import PARTS, AssetLook, Environment, Instance, Lamp, Settings, Shutter
from near_core.scene import camera as cameras
from near_core.scene import environment as environments

ALL = tuple(PARTS)
VIEW = cameras.orbit(20, 15, 2.2, 35, 64, 64)


@pytest.fixture(scope="module")
def asset():
    """A cup of three materials, one of them a metal and one that glows; its inside sees itself."""
    parts = [trimesh.creation.annulus(0.25, 0.32, 0.5, sections=48), trimesh.creation.icosphere(3, 0.18),
             trimesh.creation.box((0.5, 0.1, 0.1))]
    parts[2].apply_translation((0.2, 0.3, 0.3))
    corners = np.cumsum([0, *(len(part.vertices) for part in parts)])
    return create_from_mesh(Mesh(
        np.concatenate([part.vertices for part in parts]).astype(np.float32),
        np.concatenate([part.faces + start for part, start in zip(parts, corners)]).astype(np.int32),
        material_index=np.repeat(np.arange(3, dtype=np.int32), [len(part.faces) for part in parts]),
        materials=(Material(base_color=(0.8, 0.3, 0.1, 1), roughness=0.4),
                   Material(base_color=(0.9, 0.7, 0.3, 1), roughness=0.2, metallic=1),
                   Material(base_color=(0.1, 0.2, 0.8, 1), roughness=0.8, emission=(0.5, 0.2, 0)))), name="cup")


@pytest.fixture(scope="module")
def world():
    sky = np.full((32, 64, 3), 0.3, np.float32)
    sky[6, 20] = 200, 180, 150
    return Environment(sky)


LAMP = Lamp("point", np.eye(4) + np.eye(4, k=3) * np.array([[-1], [-1], [1.5], [0]]), np.float64([40, 60, 80]))


def draw(renderer, asset, world, settings, **options) -> dict[str, np.ndarray]:
    settings = replace(settings, passes=("Combined", "Emission", *ALL))
    look = AssetLook(exposure=0.5, opacity=0.8)
    return renderer.render([Instance(asset, np.eye(4), look=look)], VIEW, world, settings, lamps=[LAMP], **options)


@pytest.mark.parametrize("quality", ["final", "draft"])
@pytest.mark.parametrize("shading", ["auto", "transport", "split-sum"])
@pytest.mark.parametrize("background", [False, True])
def test_parts_are_all_of_the_light(renderer, asset, world, quality, shading, background):
    made = draw(renderer, asset, world, Settings(quality, shading, background))
    for kind in "Diffuse", "Glossy":
        np.testing.assert_allclose(made[f"{kind} Direct"] + made[f"{kind} Indirect"], made[kind], atol=1e-5)
        assert min(made[f"{kind} {path}"].min() for path in ("Direct", "Indirect", "Color")) >= 0
        assert made[f"{kind} Color"].max() <= 1
    whole = made["Diffuse"] + made["Glossy"] + made["Emission"] + made["Environment"] * background
    assert np.abs(whole - made["Combined"][..., :3]).max() < 1e-3
    assert made["Environment"][0, 0].max() > 0.2 and made["Environment"][34, 32].max() < 0.1


def test_a_lamp_that_takes_light_away(renderer, asset, world):
    made = renderer.render([Instance(asset, np.eye(4))], VIEW, world, Settings(passes=("Combined", "Emission", *ALL)),
                           lamps=[replace(LAMP, color=-LAMP.color)])
    whole = made["Diffuse"] + made["Glossy"] + made["Emission"]
    assert np.abs(whole - made["Combined"][..., :3]).max() < 1e-3 and made["Diffuse Direct"].min() < -0.1


@pytest.mark.parametrize("kind", ["diffuse", "glossy"])
def test_a_world_that_lights_one_kind_alone(renderer, asset, kind):
    dark = Environment(environments.uniform((0.5, 0.5, 0.5)).map, **{kind: False})
    made = renderer.render([Instance(asset, np.eye(4))], VIEW, dark, Settings(
        passes=("Combined", "Emission", *ALL), shading="transport"))
    whole = made["Diffuse"] + made["Glossy"] + made["Emission"]
    assert np.abs(whole - made["Combined"][..., :3]).max() < 1e-3
    unlit, lit = (f"{each} Direct" for each in (("Diffuse", "Glossy") if kind == "diffuse" else ("Glossy", "Diffuse")))
    solid = made["Combined"][..., 3] > 0.99
    assert np.median(made[unlit][solid]) < 0.05 * np.median(made[lit][solid])  # what glows lights both ways


def test_blurred(renderer, asset, world):
    moved = np.eye(4)
    moved[0, 3] = 0.2
    shutter = Shutter([VIEW, VIEW], np.stack([[np.eye(4)], [moved]]))
    made = draw(renderer, asset, world, Settings(), shutter=shutter)
    assert renderer.blurred
    assert np.abs(made["Diffuse"] + made["Glossy"] + made["Emission"] - made["Combined"][..., :3]).max() < 1e-3


def test_light_is_drawn_twice_only_where_it_is_asked_for_by_how_it_comes(asset, world, monkeypatch):
    made, plain, drawn = Renderer(), Renderer(), []
    monkeypatch.setattr(made, "_draw", lambda *args: drawn.append(args[3].passes) or Renderer._draw(made, *args))
    instances = [Instance(asset, np.eye(4))]
    asked = made.render(instances, VIEW, world, Settings(passes=("Combined", "Diffuse", "Glossy Color")))
    assert drawn == [("Combined", "Diffuse", "Glossy Color")] and asked.keys() == {*drawn[0]}
    both = made.render(instances, VIEW, world, Settings(passes=("Combined", "Glossy Indirect")))
    assert drawn[1:] == [("Combined", "Glossy"), ("Glossy",)] and both.keys() == {"Combined", "Glossy Indirect"}
    alone = plain.render(instances, VIEW, world, Settings(passes=("Combined",)))["Combined"]
    np.testing.assert_array_equal(asked["Combined"], alone)
    np.testing.assert_array_equal(both["Combined"], alone)


def test_what_nothing_tells_apart_is_whole():
    combined, glow = np.full((2, 3, 4), 0.5, np.float32), np.full((2, 3, 3), 0.1, np.float32)
    made = leave_whole(combined, glow, ("Combined", "Diffuse Direct", "Diffuse Color", "Glossy Indirect"))
    assert np.allclose(made.pop("Diffuse Direct"), 0.4) and np.allclose(made.pop("Diffuse Color"), 0.5)
    assert made.keys() == {"Glossy Indirect"} and not made["Glossy Indirect"].any()
