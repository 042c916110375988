"""Normals that lean to what networks see."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.hull import extract_mesh
from near_core.create.leaning import lean_normals
from near_core.create.view import compute_cell_centres
from near_core.directions import unit
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

CAMERA = cameras.orbit(0, 0, 3, 30, 128, 128)


def test_a_crease_goes_where_networks_see_none_but_a_whole_side_stays():
    """A ball whose normals are those of a roof, its ridge before the camera. The photo's are the ball's, all of them
    turned by 20 degrees to the right."""
    away = np.linalg.norm(compute_cell_centres(128), axis=1).reshape((128,) * 3)
    ball = extract_mesh((0.35 - away).astype(np.float32) * 128, (), 1)
    points = ball.vertices[ball.faces]
    true = unit(points)
    roof = unit(np.stack([np.sign(points[..., 0]) * 0.5, np.full(points.shape[:2], -1.0), points[..., 2]], -1))
    pixel = np.stack(np.meshgrid(*[np.arange(128) - 63.5] * 2)) / CAMERA.intrinsics[0, 0] * 2.7 / 0.35
    flat = np.stack([*pixel, -np.sqrt(np.maximum(1 - (pixel**2).sum(0), 0.05))])
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    view = view_of(CAMERA, np.zeros((128, 128), np.float32))
    view.normal = np.tensordot(np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]), flat, 1).astype(np.float32)
    made = lean_normals(replace(ball, corner_normal=roof.astype(np.float32)), [view]).corner_normal
    near = (np.abs(points[..., 0]) < 0.03) & (points[..., 1] < -0.3)
    error = lambda normals: np.degrees(np.arccos(np.clip((unit(normals) * true).sum(-1)[near], -1, 1))).mean()
    assert error(made) < 0.75 * error(roof)
    side = (points[..., 0] < -0.12) & (points[..., 1] < -0.25)
    assert made[side].mean(0) == pytest.approx(roof[side].mean(0), abs=0.05)
    behind = points[..., 1] > 0.1
    assert made[behind] == pytest.approx(roof[behind], abs=1e-5)
