"""Where an object stands that cameras of a scene saw."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.create.frames import find_frame
from near_core.create.photo import prepare
from near_core.create.shot import Shot
from near_core.create.view import recentre
from near_core.errors import NearError
from near_core.scene import camera as cameras
from tests.create.test_alignment import BALLS, outline

MIDDLE, SIZE = np.array([3.0, -1.0, 2.0]), 0.5
LOW, HIGH = (BALLS[:, :3] - BALLS[:, 3:]).min(0), (BALLS[:, :3] + BALLS[:, 3:]).max(0)


def photographed(azimuths):
    """Photos of balls in a world, half as large as they are and away from its origin."""
    inside = [cameras.orbit(azimuth, 12, 2.6, 35, 200, 200) for azimuth in azimuths]
    shots = [Shot(f"{n}.png", camera=recentre(camera, -MIDDLE / SIZE, 1 / SIZE)) for n, camera in enumerate(inside)]
    return shots, [prepare(outline(camera)) for camera in inside]


@pytest.mark.parametrize("azimuths", [(0, 90), (0, 120, 240), (0, 90, 180, 270)])
def test_several_cameras_say_where_an_object_is_and_how_large(azimuths):
    frame = find_frame(*photographed(azimuths), anchor=(0, 0, 0))
    assert frame.middle == pytest.approx((LOW + HIGH) / 2 * SIZE + MIDDLE, abs=0.04 * SIZE)
    assert frame.size == pytest.approx((HIGH - LOW).max() * SIZE, rel=0.1)
    assert (frame.middle - 0.51 * frame.size < LOW * SIZE + MIDDLE).all()
    assert (frame.middle + 0.51 * frame.size > HIGH * SIZE + MIDDLE).all()


def test_an_anchor_says_how_far_away_what_one_camera_sees_is():
    shots, photos = photographed((0,))
    frame = find_frame(shots, photos, anchor=MIDDLE + (0.3, 0, 0))
    assert frame.middle == pytest.approx((LOW + HIGH) / 2 * SIZE + MIDDLE, abs=0.1 * SIZE)
    far = find_frame(shots, photos, anchor=2 * MIDDLE - shots[0].camera.position)
    assert far.size == pytest.approx(2 * frame.size, rel=0.1)


def test_orthographic_cameras_tell_it_as_well():
    """Far away and near, by their scale."""
    shots, photos = photographed((0, 90, 180))
    for number, (azimuth, away) in enumerate(((0, 1.5), (90, 40), (180, 4))):
        inside = replace(cameras.orbit(azimuth, 10, away, 40, 200, 200), orthographic=True,
                         intrinsics=np.array([[150.0, 0, 90], [0, 150, 110], [0, 0, 1]]))
        shots[number] = Shot("flat.png", camera=recentre(inside, -MIDDLE / SIZE, 1 / SIZE))
        assert shots[number].camera.intrinsics[0] == pytest.approx([150 / SIZE, 0, 90])
        photos[number] = prepare(outline(inside))
    for chosen in ([0, 1, 2], [0, 1]):
        frame = find_frame([shots[n] for n in chosen], [photos[n] for n in chosen], anchor=(0, 0, 0))
        assert frame.middle == pytest.approx((LOW + HIGH) / 2 * SIZE + MIDDLE, abs=0.04 * SIZE)
        assert frame.size == pytest.approx((HIGH - LOW).max() * SIZE, rel=0.15)
    alone = find_frame(shots[:1], photos[:1], anchor=MIDDLE)
    assert alone.size == pytest.approx((HIGH - LOW).max() * SIZE, rel=0.2)
    with pytest.raises(NearError, match="camera of flat.png does not look at the object"):
        find_frame(shots[:1], photos[:1], anchor=MIDDLE - 3 * shots[0].camera.forward)


def test_photos_without_a_camera_say_nothing():
    shots, photos = photographed((0, 90))
    frame = find_frame([*shots, Shot("view.png", azimuth=180.0)], [*photos, photos[0]], anchor=(0, 0, 0))
    assert frame.size == pytest.approx((HIGH - LOW).max() * SIZE, rel=0.1)
    assert frame.enter(Shot("view.png", azimuth=180.0)).camera is None


def test_a_camera_that_looks_elsewhere_is_named():
    shots, photos = photographed((0, 90, 180))
    away = recentre(shots[1].camera, np.array([0, 5.0, 0]), 1.0)
    with pytest.raises(NearError, match="camera of 1.png does not look at"):
        find_frame([shots[0], Shot("1.png", camera=away), shots[2]], photos, anchor=(0, 0, 0))
    with pytest.raises(NearError, match="cameras of 0.png and 1.png do not look at the same"):
        find_frame([shots[0], Shot("1.png", camera=away)], photos[:2], anchor=(0, 0, 0))
    with pytest.raises(NearError, match="camera of 0.png does not look at the object. .*3D cursor"):
        find_frame(shots[:1], photos[:1], anchor=shots[0].camera.position - shots[0].camera.forward)
