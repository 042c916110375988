"""Colours of a surface that several photos show."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.config import LightFitConfig
from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.fusion import even_out, measure_front, spread
from near_core.create.shot import Shot
from near_core.image import srgb_decode, srgb_encode
from near_core.scene import camera as cameras
from tests.create.pictures import box, photographed


def test_values_spread_from_where_they_are_known():
    place = np.float32([[-0.4, 0, 0], [-0.38, 0, 0], [0.4, 0, 0], [0.39, 0, 0]])
    values, weight = np.float32([[1], [9], [5], [9]]), np.float32([100, 0, 100, 0])
    made = spread(place, values, weight)[:, 0]
    assert made == pytest.approx([1, 1, 5, 5], abs=0.8)


def test_the_front_of_a_box_is_as_far_away_as_it_is(model):
    asset = create_from_mesh(box((0.6, 0.4, 0.5)), name="box", model=model)
    front = measure_front(asset.surfels, cameras.orbit(0, 0, 3, 22, 256, 256))
    assert front[64, 64] == pytest.approx(-0.2, abs=0.01) and np.isinf(front[2, 2])
    assert np.isfinite(front[40:88, 40:88]).all()


def test_each_side_takes_the_colour_of_the_photo_that_sees_it(model):
    """A box with sides of four colours in photos from four sides."""
    asset = create_from_mesh(box((0.7, 0.6, 0.5)), name="box", model=model)
    tints = np.float32([[0.7, 0.1, 0.1], [0.1, 0.6, 0.1], [0.1, 0.1, 0.7], [0.6, 0.6, 0.1]])
    sides = [(1, -1), (0, 1), (1, 1), (0, -1)]
    color = tints[np.argmax([asset.surfels.normal[:, axis] * sign for axis, sign in sides], 0)]
    painted = replace(asset, surfels=replace(asset.surfels, base_color=color), skin=None)
    pictures = [photographed(painted, cameras.orbit(turn, 10, 2.9, 25, 128, 128)) for turn in (0, 90, 180, 270)]
    made = create_from_image([Shot(picture, camera=camera) for picture, camera in pictures], name="box", model=model)
    place, shown = made.surfels.position, made.surfels.base_color
    assert np.abs(place).max(0) == pytest.approx([0.35, 0.3, 0.25], abs=0.1)
    for (axis, sign), tint in zip(sides, tints):
        side = (made.surfels.normal[:, axis] * sign > 0.9) & (np.abs(place[:, 2]) < 0.15)
        mean = shown[side].mean(0)
        assert mean[tint > 0.3].min() > 1.5 * mean[tint < 0.3].max(), (axis, sign, mean)


def test_photos_that_differ_in_exposure_agree_afterwards():
    rng = np.random.default_rng(0)
    color = srgb_encode(rng.uniform(0.05, 0.3, (300, 3)).astype(np.float32))
    brighter = srgb_encode(np.clip(srgb_decode(color) * np.float32([2, 1.5, 1]), 0, 1))
    weight = np.ones((2, 300), np.float32)
    weight[0, 200:], weight[1, :100] = 0, 0  # only a third is seen by both
    first, second = even_out(np.stack([color, brighter]), weight, LightFitConfig(even_stiffness=1e-4))
    np.testing.assert_allclose(first, second, atol=0.01)
    between = srgb_encode(srgb_decode(color) * np.sqrt(np.float32([2, 1.5, 1])))
    np.testing.assert_allclose(first, between, atol=0.01)
