"""How much hulls bulge."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core.create.bulge import measure_bulge, settle_frame
from near_core.create.view import project
from near_core.mesh import Mesh
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

SIDES = (0, 90, 180, -90)


def views_from(azimuths, distance=2.5):
    return [view_of(cameras.orbit(turn, 10, distance, 40, 128, 128), np.zeros((128, 128), np.float32))
            for turn in azimuths]


def make_bulging(solid: trimesh.Trimesh) -> Mesh:
    """A solid, close points on it, its longest side 0.9: what is left in a cube that its hull fills."""
    points = trimesh.sample.sample_surface(solid, 20_000, seed=0)[0]
    points = 0.9 * points / np.ptp(points, axis=0).max()
    return Mesh(points.astype(np.float32), np.array([[0, 1, 2]], np.int32))


def test_a_box_bulges_by_its_near_side_and_a_ball_by_its_tangent():
    near = 0.2
    assert measure_bulge(200, near) == pytest.approx(1 / (1 - near), rel=0.03)
    assert measure_bulge(2, near) == pytest.approx(1 / np.sqrt(1 - near**2), rel=1e-3)


def test_a_box_becomes_larger_than_a_ball_and_photos_stay_on_it():
    grown, ball = {}, trimesh.creation.icosphere(3).apply_scale((1, 1, 0.6))
    for name, solid in (("box", trimesh.creation.box((1, 0.8, 0.6))), ("ball", ball)):
        shape, views = make_bulging(solid), views_from(SIDES)
        before = [project(shape.vertices, view.camera) for view in views]
        settled = settle_frame(shape, views)
        grown[name] = np.ptp(settled.vertices, axis=0).max() / np.ptp(shape.vertices, axis=0).max()
        for (uv, depth), view in zip(before, views):
            seen, below = project(settled.vertices, view.camera)
            np.testing.assert_allclose(seen, uv, atol=1e-4)
            np.testing.assert_allclose(below, depth * grown[name], atol=1e-4)
        assert np.abs(settled.vertices).max() < 0.5001
    assert 0.99 < grown["ball"] < 1.02 < 1.07 < grown["box"]


@pytest.mark.parametrize("azimuths", [(0, 45, 90), (30, 120, 210, 300)])
def test_what_photos_see_along_no_side_stays(azimuths):
    shape = make_bulging(trimesh.creation.box((1, 0.8, 0.6)))
    assert settle_frame(shape, views_from(azimuths)) is shape


def test_what_is_upright_stays_as_high():
    shape = make_bulging(trimesh.creation.box((0.3, 0.3, 1)))
    shape = replace(shape, vertices=shape.vertices / np.float32(0.9))
    np.testing.assert_allclose(settle_frame(shape, views_from(SIDES)).vertices, shape.vertices, atol=1e-5)
