"""Sizes and distances by the boxes around outlines."""

import numpy as np
import pytest

from near_core.create.config import AlignmentConfig
from near_core.create.extents import fit_block, stretch_points
from near_core.create.photo import prepare
from near_core.create.view import move_camera
from near_core.scene import camera as cameras


def photographed(size, azimuths, elevation=10.0, cut=0):
    """What cameras see of an upright ellipsoid, and these. cut: pixels of 200 that are missing on both sides."""
    whole = [cameras.orbit(azimuth, elevation, 2.4, 35, 200, 200).crop(cut, 0, 200 - 2 * cut, 200)
             for azimuth in azimuths]
    photos = []
    for camera in whole:
        rays, place = camera.pixel_directions() / size, camera.position / size  # as a ball's
        along = -(rays @ place) / (rays * rays).sum(-1)
        inside = ((place + rays * along[..., None]) ** 2).sum(-1) < 0.25
        photos.append(prepare(np.where(inside[..., None], [200, 90, 60, 255], 0).astype(np.uint8)))
    return photos, [photo.cropped(camera) for photo, camera in zip(photos, whole)]


def distance(camera) -> float:
    return camera.world_to_camera[2, 3]


def test_a_narrow_front_is_as_far_away_as_a_long_side():
    size = np.array([0.4, 1.0, 0.6])
    photos, true = photographed(size, (0, 90, 180, -90))
    guess = [photo.guess_camera(turn, 10, 35) for photo, turn in zip(photos, (0, 90, 180, -90))]
    assert distance(guess[0]) > 1.3 * distance(guess[1])
    block = fit_block(photos, guess, [True] * 4, AlignmentConfig(block_roundness=2))
    ratio = np.array([distance(c) / distance(t) for c, t in zip(block.cameras, true)]) / block.size.max()
    assert ratio == pytest.approx(1, abs=0.04) and block.size / block.size.max() == pytest.approx(size, abs=0.03)


def test_known_cameras_stay_and_tell_where_the_thing_is():
    photos, true = photographed(np.array([0.5, 0.8, 0.6]), (0, 90))
    beside = move_camera(true[1], np.array([0, 0, 0.2, 0.05, 0.0]))
    block = fit_block(photos, [true[0], beside], [False, True])
    assert block.cameras[0] is true[0]
    assert distance(block.cameras[1]) == pytest.approx(distance(true[1]), rel=0.05)
    assert np.abs(block.centre).max() < 0.06


def test_where_a_photo_ends_the_thing_may_go_on():
    photos, true = photographed(np.array([1.0, 0.4, 0.4]), (0, 90), cut=60)
    assert photos[0].box[0] == 0 and photos[0].box[2] == 80
    block = fit_block(photos, true, [False, False])
    assert block.size[1:] == pytest.approx([0.4, 0.4], abs=0.03)


def test_points_are_stretched_until_they_fill_the_outlines():
    size = np.array([0.5, 0.9, 0.6])
    photos, true = photographed(size, (0, 90, 180, -90))
    ball = np.random.default_rng(0).normal(size=(4000, 3))
    ball = ball / np.linalg.norm(ball, axis=1, keepdims=True) / 2 * size
    low, high = stretch_points(np.where(ball > 0, 0.8 * ball, ball), photos, true)
    assert low == pytest.approx(-size / 2, abs=0.015) and high == pytest.approx(size / 2, abs=0.015)
