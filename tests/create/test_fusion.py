"""Colours of a surface that several photos show."""

import numpy as np
import pytest

from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.fusion import measure_front, spread
from near_core.create.shot import Shot
from near_core.image import srgb_encode
from near_core.scene import camera as cameras
from tests.create.pictures import box, photographed


def test_values_spread_from_where_they_are_known():
    place = np.float32([[-0.4, 0, 0], [-0.38, 0, 0], [0.4, 0, 0], [0.39, 0, 0]])
    values, weight = np.float32([[1], [9], [5], [9]]), np.float32([100, 0, 100, 0])
    made = spread(place, values, weight)[:, 0]
    assert made == pytest.approx([1, 1, 5, 5], abs=0.1)


def test_the_front_of_a_box_is_as_far_away_as_it_is(model):
    asset = create_from_mesh(box((0.6, 0.4, 0.5)), name="box", model=model)
    front = measure_front(asset.surfels, cameras.orbit(0, 0, 3, 22, 256, 256))
    assert front[64, 64] == pytest.approx(-0.2, abs=0.01) and np.isinf(front[2, 2])
    assert np.isfinite(front[40:88, 40:88]).all()


def test_each_side_takes_the_colour_of_the_photo_that_sees_it(model):
    """A white box of which the photos from four sides are tinted, each in its own colour."""
    asset = create_from_mesh(box((0.7, 0.6, 0.5), base_color=(0.8, 0.8, 0.8, 1)), name="box", model=model)
    tints = np.array([[1, 0.4, 0.4], [0.4, 1, 0.4], [0.4, 0.4, 1], [1, 1, 0.3]])
    shots = []
    for azimuth, tint in zip((0, 90, 180, 270), tints):
        picture, camera = photographed(asset, cameras.orbit(azimuth, 10, 2.9, 25, 128, 128))
        picture[..., :3] = picture[..., :3] * tint
        shots.append(Shot(picture, camera=camera))
    made = create_from_image(shots, name="box", model=model)
    place, color = made.surfels.position, srgb_encode(made.surfels.base_color)
    assert np.abs(place).max(0) == pytest.approx([0.35, 0.3, 0.25], abs=0.1)
    for axis, sign, tint in ((1, -1, tints[0]), (0, 1, tints[1]), (1, 1, tints[2]), (0, -1, tints[3])):
        side = (made.surfels.normal[:, axis] * sign > 0.9) & (np.abs(place[:, 2]) < 0.15)
        shown = color[side].mean(0)
        low, high = shown[tint < 0.6].max(), shown[tint > 0.6].min()
        assert high > low + 0.1, (axis, sign, shown)
