"""Cameras by the agreement of outlines."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.alignment import Agreement, align_cameras, measure_hull
from near_core.create.config import AlignmentConfig
from near_core.create.photo import prepare
from near_core.create.shot import ORTHOGRAPHIC
from near_core.create.view import move_camera
from near_core.scene import camera as cameras

BALLS = np.array([[0.0, -0.1, -0.3, 0.2], [0.1, 0.2, 0.1, 0.15], [-0.25, 0.0, 0.35, 0.12]])  # place, radius


def outline(camera, balls=BALLS) -> np.ndarray:
    """(H, W, 4) uint8: balls as a camera sees them."""
    rays, starts = camera.pixel_directions().astype(np.float64), camera.position
    if camera.orthographic:
        at = np.moveaxis(np.mgrid[:camera.height, :camera.width][::-1] + 0.5, 0, 2) - camera.intrinsics[:2, 2]
        starts = starts + at / np.diag(camera.intrinsics)[:2] @ camera.world_to_camera[:2, :3]
    picture = np.zeros((camera.height, camera.width, 4), np.uint8)
    for *place, radius in balls:
        to = np.array(place) - starts
        along = (rays * to).sum(-1)
        picture[(to * to).sum(-1) - along**2 < radius**2] = 200, 90, 60, 255
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


def draw_sheet(azimuths):
    """Crops of drawings of the balls without perspective, and their cameras."""
    whole = [replace(cameras.orbit(azimuth, 0, 3, 40, 200, 200), orthographic=True,
                     intrinsics=np.array([[140.0, 0, 100], [0, 140, 100], [0, 0, 1]])) for azimuth in azimuths]
    photos = [prepare(outline(camera)) for camera in whole]
    return photos, [photo.cropped(camera.narrow()) for photo, camera in zip(photos, whole)]


def test_drawings_without_perspective_come_back_as_well():
    """Cameras far away are shifted by steps as fine as near ones."""
    photos, true = draw_sheet((0, 90, 180, 270))
    assert Agreement(photos, true).measure_lack().mean() < 0.1
    guessed = [photo.guess_camera(azimuth, 0, ORTHOGRAPHIC) for photo, azimuth in zip(photos, (0, 90, 180, 270))]
    made = align_cameras(photos, guessed, [True] * 4)
    assert Agreement(photos, made).measure_lack().mean() < 0.15
    low, high = measure_hull(photos, made, AlignmentConfig())
    true_size = (BALLS[:, :3] + BALLS[:, 3:]).max(0) - (BALLS[:, :3] - BALLS[:, 3:]).min(0)
    np.testing.assert_allclose((high - low) / (high - low).max(), true_size / true_size.max(), atol=0.04)


SIDES = {"front": (0, 0, 0, 2), "right": (90, 0, 1, 2), "back": (180, 0, 0, 2), "left": (-90, 0, 1, 2),
         "top": (0, 90, 0, 1)}  # azimuth and elevation, the axes that lie across and up
PLAN, AROUND = ("front", "right", "top"), ("front", "right", "back", "left")


def draw_box(size, view) -> np.ndarray:
    """(480, 480, 4) uint8: a box, metres, without perspective, 200 pixels a metre."""
    half = np.array([size[axis] for axis in SIDES[view][:1:-1]]) * 100
    picture = np.zeros((480, 480, 4), np.uint8)
    picture[tuple(slice(round(240 - each), round(240 + each)) for each in half)] = 200, 90, 60, 255
    return picture


@pytest.mark.parametrize("size, views", [((0.8, 2, 0.7), AROUND), ((0.3, 2, 0.3), PLAN), ((0.35, 0.35, 1.5), AROUND),
                                         ((1, 1, 0.1), PLAN)])
def test_drawings_of_what_is_long_or_flat_fit(size, views):
    """A narrow crop has no finer pixels than there are points, and these stand in no lines behind each other."""
    config = AlignmentConfig()
    photos = [prepare(draw_box(size, view)) for view in views]
    guessed = [photo.guess_camera(*SIDES[view][:2], ORTHOGRAPHIC) for photo, view in zip(photos, views)]
    made = align_cameras(photos, guessed, [True] * len(views))
    agreement = Agreement(photos, made)
    assert agreement.find_stranger() is None and not agreement.contradicts(0.5 * config.doubt)
    low, high = measure_hull(photos, made, config)
    np.testing.assert_allclose((high - low) / (high - low).max(), np.array(size) / max(size), atol=0.03)


def test_a_photo_of_something_else_is_found():
    photos, true = photographed((0, 90, 180, 270))
    assert Agreement(photos, true).find_stranger() is None
    other, _ = photographed((180,), balls=np.array([[0.0, 0, 0.2, 0.1], [0.0, 0, -0.3, 0.1]]))
    assert Agreement([*photos[:2], other[0], photos[3]], true).find_stranger() == 2
