"""Cameras against projections done by hand."""

import numpy as np
import pytest

from near_core.errors import NearError
from near_core.scene import camera as cameras

VIEW = {"matrix_world": [[1, 0, 0, 0], [0, 0, -1, -2], [0, 1, 0, 0], [0, 0, 0, 1]], "fov_x_deg": 40,
        "resolution": [60, 40]}


def pixels(camera: cameras.Camera, points: np.ndarray) -> np.ndarray:
    """Where world points (K, 3) fall, (K, 2)."""
    seen = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    flat = seen if camera.orthographic else seen / seen[:, 2:]
    return flat[:, :2] * np.diag(camera.intrinsics)[:2] + camera.intrinsics[:2, 2]


def test_a_camera_at_minus_y_sees_x_on_the_right_and_z_on_top():
    for camera in (cameras.from_json(VIEW), cameras.orbit(0, 0, 2, 40, 60, 40)):
        np.testing.assert_allclose(camera.position, [0, -2, 0], atol=1e-12)
        np.testing.assert_allclose(camera.forward, [0, 1, 0], atol=1e-12)
        middle, right, top = pixels(camera, np.float64([[0, 0, 0], [0.1, 0, 0], [0, 0, 0.1]]))
        np.testing.assert_allclose(middle, [30, 20], atol=1e-9)
        assert right[0] > 31 and top[1] < 19


@pytest.mark.parametrize("orthographic", [False, True])
def test_rays_pass_through_what_falls_on_their_pixels(orthographic):
    view = VIEW | ({"type": "ORTHO", "ortho_scale": 1.5} if orthographic else {})
    camera = cameras.from_json(view | {"shift_x": 0.1, "shift_y": -0.2})
    point = np.float64([[0.2, 0.3, -0.1]])
    column, row = np.floor(pixels(camera, point)[0]).astype(int)
    towards = camera.pixel_directions()[row, column]
    assert np.linalg.norm(towards) == pytest.approx(1, rel=1e-6)
    assert towards @ -camera.directions_to(point.astype(np.float32))[0] > 0.999


def test_an_orthographic_camera_is_nearly_one_that_is_far_away():
    """In the cube of 1 m around the origin; to and fro, and through a file, it is itself."""
    camera = cameras.from_json(VIEW | {"type": "ORTHO", "ortho_scale": 1.5, "shift_x": 0.1, "shift_y": -0.2})
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    far = camera.narrow()
    assert not far.orthographic and far.narrow() is far
    assert np.abs(pixels(far, points) - pixels(camera, points)).max() < 0.1  # of 60
    for same in (far.flatten(), cameras.from_json(cameras.to_json(camera))):
        np.testing.assert_allclose(pixels(same, points), pixels(camera, points), atol=1e-9)


def test_windows_and_sizes_keep_what_is_seen():
    camera, point = cameras.from_json(VIEW), np.float64([[0.2, 0.3, -0.1]])
    at = pixels(camera, point)
    window = camera.crop(20, 10, 30, 25)
    np.testing.assert_allclose(pixels(window, point), at - [20, 10])
    assert window.frame == (-20, -10, 60, 40) and window.crop(5, 5, 10, 10).frame == (-25, -15, 60, 40)
    np.testing.assert_allclose(pixels(camera.resize(120, 80), point), 2 * at)


@pytest.mark.parametrize("change", [
    {"fov_x_deg": 0}, {"fov_x_deg": "wide"}, {"resolution": [0, 10]}, {"resolution": [10.5, 10]}, {"clip": [2, 1]},
    {"matrix_world": [[1, 0], [0, 1]]}, {"matrix_world": np.zeros((4, 4)).tolist()}, {"type": "ORTHO"},
    {"resolution": [100_000, 10]}])
def test_cameras_that_make_no_sense_are_refused(change):
    with pytest.raises(NearError):
        cameras.from_json(VIEW | change)


@pytest.mark.parametrize("change, said", [
    ({"type": "ortho"}, "'ortho'"), ({"type": "PANO"}, "'PANO'"), ({"type": 3}, "3"),
    ({"type": "ORTHO", "ortho_scale": 0}, "out of range"), ({"type": "ORTHO", "ortho_scale": -1}, "out of range")])
def test_what_is_wrong_with_a_lens_is_named(change, said):
    with pytest.raises(NearError, match=said):
        cameras.from_json(VIEW | change)


@pytest.mark.parametrize("size", [(0, 8), (8, -1), (32769, 1), (2**40, 16)])
def test_pictures_that_nobody_can_draw_are_named(size):
    with pytest.raises(NearError, match="cannot be drawn.*from 1 to 32768"):
        cameras.check_size(*size)
