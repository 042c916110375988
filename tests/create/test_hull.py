"""What outlines carve."""

import tracemalloc

import numpy as np
import pytest

from near_core.create import hull
from near_core.create.hull import Silhouette, carve_hull, choose_resolution, extract_mesh, measure_within
from near_core.create.photo import prepare
from near_core.create.view import compute_cell_centres
from near_core.errors import NearError
from near_core.scene import camera as cameras


def outline(camera, half, shift=0.0) -> np.ndarray:
    """(H, W, 4) uint8: an upright bar about the Z axis of a width of twice half, asset units, as a camera sees it."""
    height, width = camera.height, camera.width
    x = (np.arange(width) + 0.5 - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3]
    y = (np.arange(height) + 0.5 - camera.intrinsics[1, 2]) / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3]
    inside = (np.abs(x - shift) < half) & (np.abs(y)[:, None] < 0.4)
    return np.where(inside[..., None], np.uint8([200, 100, 50, 255]), np.uint8(0))


def carved(half, shift=0.0):
    silhouettes = []
    for azimuth in (0, 90):
        whole = cameras.orbit(azimuth, 0, 20, 4, 512, 512)
        photo = prepare(outline(whole, half, shift))
        silhouettes.append(Silhouette(photo, photo.cropped(whole)))
    return carve_hull(silhouettes, choose_resolution([each.camera for each in silhouettes]))


@pytest.mark.parametrize("half", [0.2, 0.008])
def test_a_bar_keeps_its_width_thin_or_not(half):
    made = extract_mesh(carved(half), ())
    low, high = made.vertices.min(0), made.vertices.max(0)
    np.testing.assert_allclose(high, [half, half, 0.4], atol=0.004 + 0.02 * half)
    np.testing.assert_allclose(low, [-half, -half, -0.4], atol=0.004 + 0.02 * half)


def test_outlines_without_a_place_in_common_are_refused():
    silhouettes = []
    for azimuth, elevation, shift in ((0, 0, 0.0), (180, 0, 0.3)):
        whole = cameras.orbit(azimuth, elevation, 20, 4, 512, 512)
        photo = prepare(outline(whole, 0.1, shift))
        silhouettes.append(Silhouette(photo, photo.cropped(whole)))
    with pytest.raises(NearError, match="place in common"):
        carve_hull(silhouettes, 128)


def test_what_a_photo_cuts_off_counts_as_unknown():
    """A bar that goes on beyond the photo's right border; the other photo shows all of it."""
    near = cameras.orbit(0, 0, 20, 4, 512, 512).crop(0, 0, 300, 512)
    far = cameras.orbit(180, 0, 20, 4, 512, 512)
    photos = [prepare(outline(far, 0.2)[:, :300].copy()), prepare(outline(far, 0.2))]
    silhouettes = [Silhouette(photo, photo.cropped(camera)) for photo, camera in zip(photos, (near, far))]
    made = extract_mesh(carve_hull(silhouettes, 128), ())
    assert made.vertices[:, 0].max() == pytest.approx(0.2, abs=0.01)
    assert made.vertices[:, 0].min() == pytest.approx(-0.2, abs=0.01)


def test_what_is_surely_on_one_side_is_not_looked_at_closely(monkeypatch):
    """From near by, where a pixel shows less before the frame's origin: the hull is as if every cell were looked at."""
    silhouettes, counts, intersect = [], [], hull._intersect
    for azimuth in (0, 90):
        whole = cameras.orbit(azimuth, 0, 1.6, 40, 128, 128)
        photo = prepare(outline(whole, 0.2))
        silhouettes.append(Silhouette(photo, photo.cropped(whole)))
    monkeypatch.setattr(hull, "_intersect", lambda seen, points: counts.append(len(points)) or intersect(seen, points))
    made = carve_hull(silhouettes, 128)
    true = intersect(silhouettes, compute_cell_centres(128)).reshape(made.shape)
    near = np.abs(true) < 1
    np.testing.assert_array_equal(made[near], true[near])
    np.testing.assert_array_equal(made > 0, true > 0)
    assert sum(counts) < 0.35 * 128**3


def test_distances_to_an_outline_need_few_pictures_at_once():
    """A disc of a radius of 100 pixels, cut off at 40 of them."""
    y, x = np.mgrid[:256, :256] - 127.5
    off = np.hypot(x, y)
    tracemalloc.start()
    found = hull._distances_within(off < 100, 40)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, np.clip(100 - off, 0, 39.5), atol=0.8)
    assert most < 10 * found.nbytes


def test_how_far_cells_lie_within_a_box():
    within = measure_within(np.array([-0.25, -0.5, -0.5]), np.array([0.25, 0.5, 0.125]), 64)
    assert within[32, 32, 39] == 1 and within[32, 32, 40] == -1 and within[20, 32, 32] == pytest.approx(9)
    assert within[10, 32, 63] == -47


def test_averaged_normals_do_not_show_steps():
    """A slope of half cells' steps."""
    x = np.arange(128) / 8
    deep = np.broadcast_to((64.3 + np.floor(x)[:, None] - np.arange(128)).astype(np.float32)[:, None], (128,) * 3)
    upward = lambda made: made.corner_normal[(made.corner_normal[..., 2] > 0.5)
                                             & (np.abs(made.vertices[made.faces][..., :2]) < 0.3).all(-1)]
    rough, smooth = upward(extract_mesh(deep, ())), upward(extract_mesh(deep, (), 16))
    assert smooth.std(0)[0] < 0.3 * rough.std(0)[0]
    np.testing.assert_allclose(smooth.mean(0), [-0.124, 0, 0.99], atol=0.03)
