"""Instances drawn by their skins, beside others that are not."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.create import create_from_mesh
from near_core.render import deferred
from near_core.render.renderer import Renderer
from near_core.render.sight import SeenInstance
from near_core.scene import INSTANCES, Environment, Instance, Settings
from near_core.scene import camera as cameras
from tests.create.test_skin import ball

CAMERA = cameras.orbit(20, 20, 3, 40, 96, 96)
GREY = Environment(np.full((64, 128, 3), 0.5, np.float32))


@pytest.fixture(scope="module")
def asset():
    mesh = ball(24)
    return create_from_mesh(replace(mesh, corner_normal=2 * mesh.vertices[mesh.faces]), name="Ball")


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


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


def test_the_nearer_picture_lies_over_the_farther():
    near = np.zeros((1, 2, 5), np.float32)
    near[0, 0] = 0.5, 0.5 * 2.0, 0.5, 0, 0  # half covered, in depth 2
    far = np.broadcast_to(np.float32([1, 3, 0, 1, 0]), near.shape)
    for one, other in (((near, np.float32([[0.5, 0]])), (far, np.ones((1, 2), np.float32))),):
        for pair in ((*one, *other), (*other, *one)):
            image, alpha = deferred.merge(*pair)
            assert np.allclose(image[0, 0], [1, 2.5, 0.5, 0.5, 0]) and np.allclose(image[0, 1], far[0, 1])
            assert np.allclose(alpha, 1)


def test_a_skin_takes_its_light_from_the_finest_level(asset):
    levels = [SeenInstance(0, Instance(asset, np.eye(4)), np.eye(4), level, share, 1.2)
              for level, share in ((1, 0.7), (0, 0.3))]
    kept = deferred.keep_one_level(levels, "final")
    assert [(each.level, each.share) for each in kept] == [(0, 1.0)]
    assert deferred.keep_one_level(levels, "draft") == levels
    far = [replace(each, pixels=0.3) for each in levels]
    assert deferred.keep_one_level(far, "final") == far
