"""Instances drawn by their skins, beside others that are not."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.create import create_from_mesh
from near_core.light.config import TransportConfig
from near_core.render import deferred
from near_core.render.config import SplattingConfig
from near_core.render.renderer import Renderer
from near_core.render.sight import SeenInstance, find_seen
from near_core.scene import INSTANCES, Environment, Instance, Settings
from near_core.scene import camera as cameras
from tests.create.test_skin import ball

CAMERA = cameras.orbit(20, 20, 3, 40, 96, 96)
GREY = Environment(np.full((64, 128, 3), 0.5, np.float32))


@pytest.fixture(scope="module")
def asset():
    mesh = ball(24)
    return create_from_mesh(replace(mesh, corner_normal=2 * mesh.vertices[mesh.faces]), name="Ball")


def test_a_skin_looks_like_its_surfels_with_cleaner_edges(asset, renderer):
    draw = lambda what: renderer.render([Instance(what, np.eye(4))], CAMERA, GREY)
    fine, coarse = draw(asset), draw(replace(asset, skin=None))
    both = (fine["Combined"][..., 3] > 0.99) & (coarse["Combined"][..., 3] > 0.99)
    for name in ("Combined", "Base Color", "Normal", "Roughness", "Depth", "Shadow"):
        assert np.abs(fine[name] - coarse[name])[both].mean() < 0.03, name
    radius = 48 / np.tan(np.radians(20)) * np.tan(np.arcsin(0.5 / 3))
    assert np.isclose(fine["Combined"][..., 3].sum(), np.pi * radius ** 2, rtol=0.01)


def test_skins_stand_among_splats(asset, renderer):
    near = np.eye(4)
    near[:3, 3] = 0.6 * CAMERA.position / np.linalg.norm(CAMERA.position) + 0.2 * CAMERA.world_to_camera[0, :3]
    settings = Settings(passes=("Combined", "Depth", INSTANCES))
    plain = replace(asset, skin=None)
    for front, back in ((asset, plain), (plain, asset)):
        made = renderer.render([Instance(back, np.eye(4)), Instance(front, near)], CAMERA, GREY, settings)
        alone = renderer.render([Instance(front, near)], CAMERA, GREY, settings)
        inside = alone["Combined"][..., 3] > 0.99
        assert inside.sum() > 500 and np.abs(made["Combined"] - alone["Combined"])[inside].mean() < 0.02
        assert (made[INSTANCES][inside][:, 0] == 2).mean() > 0.98 and (made[INSTANCES][..., 0] == 1).sum() > 200


def test_a_ball_that_the_camera_cuts_open_is_dark_inside(asset, renderer):
    cut = replace(CAMERA, near=float(np.linalg.norm(CAMERA.position)))
    inside, outside = (renderer.render([Instance(asset, np.eye(4))], camera, GREY)["Combined"][40:56, 40:56]
                       for camera in (cut, CAMERA))
    assert inside[..., 3].min() > 0.99 and inside[..., :3].max() < 0.02 < 0.2 < outside[..., :3].min()


def test_the_nearer_picture_lies_over_the_farther():
    near = np.zeros((1, 2, 5), np.float32)
    near[0, 0] = 0.5, 0.5 * 2.0, 0.5, 0, 0  # half covered, in depth 2
    far = np.broadcast_to(np.float32([1, 3, 0, 1, 0]), near.shape)
    for one, other in (((near, np.float32([[0.5, 0]])), (far, np.ones((1, 2), np.float32))),):
        for pair in ((*one, *other), (*other, *one)):
            image, alpha = deferred.merge(*pair)
            assert np.allclose(image[0, 0], [1, 2.5, 0.5, 0.5, 0]) and np.allclose(image[0, 1], far[0, 1])
            assert np.allclose(alpha, 1)


def test_a_skin_takes_its_light_from_the_level_that_surfels_would_have_and_fades(asset):
    levels = [SeenInstance(0, Instance(asset, np.eye(4)), np.eye(4), level, share, 1.2)
              for level, share in ((1, 0.7), (0, 0.3))]
    kept = deferred.add_skins(levels, "final")
    assert [(each.level, each.share, each.skin) for each in kept] == [(0, 1.0, 1.0)]
    small = [replace(each, exact=1.3) for each in levels]
    assert [(each.level, each.share) for each in deferred.add_skins(small, "final")] == [(1, 1.0)]
    almost = replace(levels[0], exact=0.6, pixels=0.8)
    several, crowd = ([replace(almost, number=number) for number in range(count)] for count in (2, 60))
    assert {each.level for each in deferred.add_skins(several, "final")} == {0}, "alone it loses nothing"
    lit = SplattingConfig(skin_surfels=10 * 3.5 * len(asset.coords))
    assert {each.level for each in deferred.add_skins(crowd, "final", lit)} == {1}
    assert {each.level for each in deferred.add_skins(several + [replace(levels[0], number=n) for n in range(2, 42)],
                                                      "final", lit)} == {0}, "who is near does not count"
    assert deferred.add_skins(levels, "draft") == levels
    far = [replace(each, pixels=0.3) for each in levels]
    assert deferred.add_skins(far, "final") == far
    sizes = np.geomspace(0.28, 0.4, 40)
    way = [deferred.measure_nearness(replace(levels[0], pixels=size), "final") for size in sizes]
    assert way[0] == 0 and way[-1] == 1 and 0 <= np.diff(way).min() and np.diff(way).max() < 0.12
    coarse = [deferred.measure_nearness(replace(levels[0], exact=exact), "final") for exact in (2.6, 2.85, 3.0)]
    assert coarse[0] == 1 and 0 < coarse[1] < 1 and coarse[2] == 0


def test_a_skin_fades_into_surfels_without_a_pop(asset):
    """A quarter of the way half a skin lies over its surfels; where it is whole, these are gone at edges, too."""
    seen = find_seen([Instance(asset, np.eye(4))], CAMERA, "final")[0]
    made = []
    for way in (0.0, 0.01, 0.25, 0.5, 0.99, 1.0):
        renderer = Renderer(splatting=SplattingConfig(skin_cell=seen.pixels / 2 ** (way * SplattingConfig.fade)))
        made.append(renderer.render([Instance(asset, np.eye(4))], CAMERA, GREY)["Combined"])
    none, begun, half, over, nearly, whole = made
    solid = (none[..., 3] > 0.99) & (whole[..., 3] > 0.99)
    assert np.abs(whole - none).max() > 0.1
    assert np.abs(begun - none).max() < 0.04 and np.abs(nearly - whole).max() < 0.06
    assert np.abs(half - (none + whole) / 2)[solid].max() < 0.02 and np.abs(over - whole)[solid].max() < 0.01


def test_light_between_points_is_what_is_worked_out_for_each(asset, renderer):
    near = cameras.orbit(20, 20, 0.8, 40, 160, 160)
    quick, whole = (each.render([Instance(asset, np.eye(4))], near, GREY, Settings(passes=("Combined",)))["Combined"]
                    for each in (renderer, Renderer(transport=TransportConfig(even_roughness=2))))
    assert (quick != whole).any(-1).mean() > 0.3, "it is interpolated"
    assert np.abs(quick - whole).max() < 0.01
