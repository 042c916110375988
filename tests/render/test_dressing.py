"""Looks against assets that were made of what the look asks for."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core.create.create import create_from_mesh
from near_core.lab.bench.inputs import SAMPLES
from near_core.mesh import Material, Mesh, load
from near_core.scene import INSTANCES, PASSES, AssetLook, Environment, Instance, Settings
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from tests.random_assets import some_surfels

ANALYTIC = Settings(shading="transport")
VIEW = cameras.orbit(30, 20, 2.2, 40, 96, 96)


def bowl(color, roughness: float = 0.5, metallic: float = 0.0):
    """Two spheres that touch: they bounce light onto each other."""
    parts = [trimesh.creation.icosphere(3, 0.22).apply_translation((x, 0, 0)) for x in (-0.2, 0.2)]
    shape = trimesh.util.concatenate(parts)
    mesh = Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                materials=(Material(base_color=(*color, 1), roughness=roughness, metallic=metallic),))
    return create_from_mesh(mesh, name="bowl")


@pytest.fixture(scope="module")
def sky() -> Environment:
    map = np.full((32, 64, 3), 0.3, np.float32)
    map[4:8, 10:20] = 6
    return Environment(map)


def draw(renderer, sky, *instances, settings=ANALYTIC):
    return renderer.render(list(instances), VIEW, sky, settings)


@pytest.mark.parametrize("surface", ["skin", "surfels"])
def test_a_look_is_what_an_asset_of_that_material_looks_like(renderer, sky, surface):
    plain, wanted = bowl((0.8, 0.8, 0.8)), bowl((0.8, 0.2, 0.1), 0.2, 0.5)
    if surface == "surfels":
        plain, wanted = replace(plain, skin=None), replace(wanted, skin=None)
    look = AssetLook(tint=(1.0, 0.25, 0.125), roughness=-0.6, metallic=0.5)
    made = draw(renderer, sky, Instance(plain, np.eye(4), look=look))
    truth = draw(renderer, sky, Instance(wanted, np.eye(4)))
    for name in ("Combined", "Base Color", "Roughness", "Metallic"):
        # normals that differ within a pixel of a skin add to its roughness before the look does
        assert np.abs(made[name] - truth[name]).mean() < (0.006 if name == "Roughness" else 0.003), name
    assert np.abs(made["Combined"] - draw(renderer, sky, Instance(plain, np.eye(4)))["Combined"]).mean() > 0.01


def test_hue_and_saturation_keep_the_luminance():
    color = np.float32([[0.4, 0.2, 0.1], [0.2, 0.25, 0.3]])
    for look in (AssetLook(hue=0.3), AssetLook(saturation=0.2), AssetLook(hue=-0.5, saturation=0.5)):
        made = look.recolor(color)
        assert made @ np.float32([0.2126, 0.7152, 0.0722]) == pytest.approx(
            color @ np.float32([0.2126, 0.7152, 0.0722]), rel=0.02)
        assert np.abs(made - color).max() > 0.02
    red = np.float32([[0.3, 0.05, 0.05]])
    assert AssetLook(hue=1 / 3, saturation=0.3).recolor(red).argmax() == 1, "red goes on to green"
    assert np.ptp(AssetLook(saturation=0).recolor(color), axis=1).max() < 1e-6


def test_what_glows_is_dyed_too_and_stays_as_bright():
    surfels = replace(some_surfels(50), emission=np.full((50, 3), 40, np.float32))
    np.testing.assert_allclose(AssetLook(tint=(0.5, 1, 2)).dress(surfels).emission, [[20, 40, 80]] * 50)
    assert AssetLook(tint=(0.5, 1, 2)).dress(some_surfels(50)).emission is None


def test_exposure_multiplies_the_picture_alone(renderer, sky):
    asset = load_keg()
    plain = draw(renderer, sky, Instance(asset, np.eye(4)))
    made = draw(renderer, sky, Instance(asset, np.eye(4), look=AssetLook(exposure=1)))
    np.testing.assert_allclose(made["Combined"][..., :3], 2 * plain["Combined"][..., :3], rtol=1e-4, atol=1e-5)
    for name in set(PASSES) - {"Combined"}:
        np.testing.assert_array_equal(made[name], plain[name])


def load_keg():
    return create_from_mesh(load(SAMPLES / "keg.glb"), name="keg", normalize=True)


def test_a_faded_object_shows_what_lies_behind_it_and_not_its_inside(renderer):
    white = environments.uniform((1, 1, 1))
    behind = np.eye(4)
    behind[:3, 3] = -0.8 * VIEW.position / np.linalg.norm(VIEW.position)
    front, back = bowl((0.9, 0.1, 0.1)), bowl((0.1, 0.1, 0.9))
    settings = replace(ANALYTIC, passes=(*PASSES, INSTANCES), quality="draft")  # no light from one to the other
    alone = [draw(renderer, white, instance, settings=settings)
             for instance in (Instance(front, np.eye(4)), Instance(back, behind))]
    made = draw(renderer, white, Instance(front, np.eye(4), look=AssetLook(opacity=0.25)), Instance(back, behind),
                settings=settings)
    over, under = (each["Combined"] for each in alone)
    off = np.abs(made["Combined"] - (0.25 * over + (1 - 0.25 * over[..., 3:]) * under)).max(-1)
    edges = (under[..., 3] > 0.01) & (under[..., 3] < 0.99)
    assert off[~edges].max() < 0.03 and off.mean() < 0.003
    shares = made[INSTANCES].reshape(*made["Combined"].shape[:2], -1, 2)
    both = (over[..., 3] > 0.99) & (under[..., 3] > 0.99)
    assert both.sum() > 100
    for number, share in ((1, 0.25), (2, 0.75)):
        found = np.where(shares[..., 0] == number, shares[..., 1], 0).sum(-1)[both]
        assert found.mean() == pytest.approx(share, abs=0.02)
    gone = draw(renderer, white, Instance(front, np.eye(4), look=AssetLook(opacity=0)), Instance(back, behind),
                settings=settings)
    np.testing.assert_array_equal(gone["Combined"], under)
