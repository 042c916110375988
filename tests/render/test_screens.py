"""Squares behind what assets hide whole."""

import numpy as np
import pytest

from near_core.render import screens
from near_core.scene import camera as cameras

CAMERA = cameras.orbit(30, 20, 3, 40, 96, 70)
EDGE, AROUND = screens.ScreenConfig.edge, screens.ScreenConfig.around


def ball(camera, radius=0.7):
    """Alpha and depth of a ball on the origin, whose outline is a pixel wide."""
    eye, way = camera.position, camera.pixel_directions().astype(np.float64)
    if camera.orthographic:
        at = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), -1).reshape(-1, 2)
        eye = camera.lift(at, np.zeros(len(at))).reshape(*way.shape)
    along = -(way * eye).sum(-1)
    off = np.linalg.norm(eye + along[..., None] * way, axis=-1)
    inside = np.clip((radius - off) / camera.measure_pixel(along.astype(np.float32)) + 0.5, 0, 1)
    near = along - np.sqrt(np.maximum(radius**2 - off**2, 0))
    depth = np.where(inside > 0, ((eye + near[..., None] * way) @ camera.forward + camera.world_to_camera[2, 3]), 0)
    return inside.astype(np.float32), depth.astype(np.float32)


def look_at(camera, points):
    """Where points (..., 3) of the world lie in a picture, and how far away."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    scale = np.diag(camera.intrinsics)[:2] / (1 if camera.orthographic else seen[..., 2:])
    return seen[..., :2] * scale + camera.intrinsics[:2, 2], seen[..., 2]


@pytest.mark.parametrize("camera", [CAMERA, CAMERA.flatten(), CAMERA.crop(11, 5, 70, 60)])
def test_squares_lie_behind_what_hides_them(camera):
    alpha, depth = ball(camera)
    found = screens.find(alpha, depth, camera)
    assert 0.5 < EDGE ** 2 * len(found) / (alpha == 1).sum() < 0.95
    at, away = look_at(camera, found.astype(np.float64))
    for (left, top), (right, bottom), place in zip(at.min(1).round().astype(int), at.max(1).round().astype(int), away):
        assert (right - left, bottom - top) == (EDGE, EDGE)
        around = slice(max(top - AROUND, 0), bottom + AROUND), slice(
            max(left - AROUND, 0), right + AROUND)
        assert (alpha[around] == 1).all()
        assert (place > depth[top:bottom, left:right].max() + 10 * camera.measure_pixel(place)).all()


def test_wide_filters_and_gaps_keep_squares_away():
    alpha, depth = np.ones((40, 40), np.float32), np.ones((40, 40), np.float32)
    camera = CAMERA.resize(40, 40)
    assert len(screens.find(alpha, depth, camera)) == 100
    alpha[:, 20] = 0.99
    usual, wide = (look_at(camera, screens.find(alpha, depth, camera, width))[0][..., 0] for width in (1.5, 10))
    apart = [np.abs(each.round() - 20.5).min() for each in (usual, wide)]
    assert apart[0] >= 3.5 and apart[1] >= 7.5


@pytest.mark.parametrize("shape", [(3, 40), (40, 40)])
def test_where_nothing_is_hidden_there_are_none(shape):
    assert screens.find(*np.zeros((2, *shape), np.float32), CAMERA.resize(*shape[::-1])).shape == (0, 4, 3)
