"""The camera of a photo of a known shape."""

import math
from dataclasses import replace

import numpy as np
import pytest

from near_core.create.photo import prepare
from near_core.create.resection import Resection, draw_over, open_resection
from near_core.create.stance import Stance
from near_core.errors import NearError
from tests.create.pictures import box

SHAPE = box((0.9, 0.6, 0.5))


@pytest.fixture(scope="module")
def resection(model, photo):
    """Begins 40 degrees beside the truth, 20 degrees too high."""
    return open_resection(model, prepare(photo[0]), SHAPE, 60.0, 35.0, 40.0)


@pytest.fixture(scope="module")
def found(resection):
    return resection.search()


def degrees_between(left, right):
    turn = left.world_to_camera[:3, :3] @ right.world_to_camera[:3, :3].T
    return math.degrees(math.acos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))


def test_the_camera_of_a_box_is_found_from_beside_it(resection, found, photo):
    found = resection.place(found)
    truth = resection.photo.cropped(photo[1])
    assert degrees_between(found, truth) < 3
    assert np.linalg.norm(found.position - truth.position) < 0.15  # of 2.9
    assert resection.measure_overlap(found) > 0.95


def test_a_shape_without_area_is_refused(resection):
    line = replace(SHAPE, vertices=SHAPE.vertices * np.float32([1, 0, 0]))
    with pytest.raises(NearError, match="no area"):
        Resection(resection.photo, np.empty(0), line, Stance(), True)


def test_the_search_stays_within_what_is_asked_for(resection):
    assert abs(resection.search(within=15.0).azimuth - 60) <= 15


def test_a_shape_fills_the_outlines_box_wherever_it_is_seen_from(resection):
    photo = resection.photo
    box_of_photo = (np.reshape(photo.box, (2, 2)) - photo.crop[:2]) * (256 / photo.crop[2])
    for azimuth, elevation, roll in ((20, 15, 0), (100, -30, 10), (-130, 80, -5)):
        mask = resection.draw(resection.place(Stance(azimuth, elevation, roll)), 256).mask
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        low, high = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]]) + 1
        middle = (low + high) / 2
        np.testing.assert_allclose(middle, box_of_photo.mean(0), atol=8)  # the nearer side reaches the edge first
        longer = int(np.argmax(np.ptp(box_of_photo, 0)))
        assert 0.6 < (high - low)[longer] / np.ptp(box_of_photo, 0)[longer] < 1.5


def test_moving_moves_what_it_says(resection):
    stance = Stance(20, 15)
    here = resection.place(stance)
    centre = lambda camera: resection.draw(camera, 128).mask.nonzero()[1].mean()
    assert centre(resection.place(replace(stance, right=0.05))) > centre(here) + 3
    away = resection.place(replace(stance, away=math.log(2)))
    assert away.world_to_camera[2, 3] == pytest.approx(2 * here.world_to_camera[2, 3])
    assert stance.move("elevation", 200).elevation == 90 and stance.move("fov", math.log(2)).fov == pytest.approx(80)


def test_the_shapes_lines_lie_over_the_photo(resection, found):
    picture = draw_over(resection, found, 256)
    lines = (picture == (255, 130, 20)).all(-1)
    outside = resection.photo.alpha < 0.5
    edge = outside ^ np.roll(outside, 1, 0) | outside ^ np.roll(outside, 1, 1)
    near = sum(np.roll(lines, (y, x), (0, 1)) for y in range(-3, 4) for x in range(-3, 4)) > 0
    assert picture.dtype == np.uint8 and lines.sum() > 300 and (near & edge).sum() > 0.9 * edge.sum()
