"""Cameras by the agreement of outlines."""

import numpy as np
import pytest

from near_core.create.alignment import Agreement, align_cameras
from near_core.create.config import AlignmentConfig
from near_core.create.photo import prepare
from near_core.create.view import move_camera
from near_core.scene import camera as cameras

BALLS = np.array([[0.0, -0.1, -0.3, 0.2], [0.1, 0.2, 0.1, 0.15], [-0.25, 0.0, 0.35, 0.12]])  # place, radius


def outline(camera, balls=BALLS) -> np.ndarray:
    """(H, W, 4) uint8: balls as a camera sees them."""
    rays = camera.pixel_directions().astype(np.float64)
    picture = np.zeros((camera.height, camera.width, 4), np.uint8)
    for *place, radius in balls:
        to = np.array(place) - camera.position
        along = rays @ to
        picture[to @ to - along**2 < radius**2] = 200, 90, 60, 255
    return picture


def photographed(azimuths, elevation=12.0, balls=BALLS):
    whole = [cameras.orbit(azimuth, elevation, 2.6, 35, 200, 200) for azimuth in azimuths]
    photos = [prepare(outline(camera, balls)) for camera in whole]
    return photos, [photo.cropped(camera) for photo, camera in zip(photos, whole)]


def test_cameras_that_stand_wrong_come_back():
    photos, true = photographed((0, 90, 180, 270))
    wrong = [true[0], move_camera(true[1], np.array([0, 0.03, 0.1, 0.02, -0.02])), true[2], true[3]]
    before = Agreement(photos, wrong).measure_lack().mean()
    made = align_cameras(photos, wrong, [False, True, False, False], config=AlignmentConfig(points=40, rounds=4))
    assert Agreement(photos, made).measure_lack().mean() < 0.3 * before
    assert made[0] is true[0]
    assert made[1].world_to_camera[2, 3] == pytest.approx(true[1].world_to_camera[2, 3], rel=0.08)


def test_a_photo_of_something_else_is_found():
    photos, true = photographed((0, 90, 180, 270))
    assert Agreement(photos, true).find_stranger() is None
    other, _ = photographed((180,), balls=np.array([[0.0, 0, 0.2, 0.1], [0.0, 0, -0.3, 0.1]]))
    assert Agreement([*photos[:2], other[0], photos[3]], true).find_stranger() == 2
