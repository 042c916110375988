"""Crops of pictures under mixed lights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training.data import photos
from near_core.models.mini.layout import SIZE, Picture
from near_core.scene import camera as cameras


def test_views_are_grouped_by_camera(tiny):
    folder = tiny / "data" / "views" / "data"
    views = photos.read_views(folder)
    assert [view.pictures.shape for view in views] == [(2, 64, 64, 4)] * 2
    assert len(photos.read_views(folder, 1)) == 1
    for view, camera in zip(views, photos.read_cameras(folder), strict=True):
        np.testing.assert_array_equal(view.camera.world_to_camera, camera.world_to_camera)


def test_the_crop_is_a_square_around_what_is_opaque():
    alpha = np.zeros((40, 60), np.float32)
    alpha[10:20, 30:50] = 1
    assert photos.find_crop(alpha) == (40, 15, photos.MARGIN * 20)
    assert photos.find_crop(0 * alpha) == (30, 20, 60)


@pytest.mark.parametrize("roll, mirrored", [(0.0, False), (0.0, True), (0.3, False)])
def test_pixels_of_a_crop_lie_where_it_says(roll, mirrored):
    where = photos.place_pixels((30, 20, 10), (40, 60), roll, mirrored, 2)
    corner = np.array([2.5 if mirrored else -2.5, -2.5])  # of the first pixel, in pixels from the middle
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    expected = (np.array([30, 20]) + turn @ corner) / (60, 40) * 2 - 1
    np.testing.assert_allclose(where[0, 0], expected, atol=1e-6)


def test_the_network_sees_display_colour_over_grey():
    picture = torch.zeros(4, 50, 50)
    picture[:, 10:40, 10:40] = torch.tensor([1.0, 0.0, 0.2140, 1.0])[:, None, None]
    seen = photos.make_network_image(picture, (25, 25, 36))
    middle = seen[:, SIZE // 2, SIZE // 2]
    np.testing.assert_allclose(middle, [1, -1, 0, 1], atol=2e-3)
    assert (seen[:, 0, 0] == 0).all()
    assert float(seen[Picture.ALPHA].mean()) == pytest.approx((30 / 36) ** 2, abs=0.02)


def test_an_object_and_its_camera_turn_together():
    camera = cameras.orbit(30, 20, 2.5, 40, 96, 96)
    turned, turn = photos.turn_camera(camera, 90)
    points = np.random.default_rng(0).normal(size=(5, 4))
    points[:, 3] = 1
    moved = np.c_[points[:, :3] @ turn.T, points[:, 3]]
    np.testing.assert_allclose(moved @ turned.world_to_camera.T, points @ camera.world_to_camera.T, atol=1e-12)


def test_mixed_lights_keep_the_alpha(tiny):
    view = photos.read_views(tiny / "data" / "views" / "data", 1)[0]
    plain = photos.mix_lights(view, np.random.default_rng(0), False)
    np.testing.assert_array_equal(plain, view.pictures[0].astype(np.float32).transpose(2, 0, 1))
    mixed = photos.mix_lights(view, np.random.default_rng(0), True)
    assert torch.equal(mixed[Picture.ALPHA], plain[Picture.ALPHA]) and not torch.equal(mixed, plain)
