"""Our filters, held to scipy's."""

import time

import numpy as np
import pytest
from scipy import ndimage, signal

from near_core.image import filters
from tests.machine import slowness


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def mask(rng) -> np.ndarray:
    """Blobs of many sizes, (50, 50) bool."""
    return ndimage.gaussian_filter(rng.standard_normal((50, 50)), 1.5) > 0.05


@pytest.mark.parametrize("radius", [1, 6])
def test_a_box_blur_is_scipys(rng, radius):
    picture = rng.random((31, 44))
    np.testing.assert_allclose(filters.blur_box(picture, radius),
                               ndimage.uniform_filter(picture, 2 * radius + 1, mode="nearest"), atol=1e-12)


def test_a_masked_blur_takes_no_pixel_from_outside(rng, mask):
    """Two box blurs of what lies in the mask over two of the mask, as Knutsson and Westin (1993) normalise."""
    values = rng.random((3, 50, 50)).astype(np.float32)
    twice = lambda plane: ndimage.uniform_filter(ndimage.uniform_filter(plane, 9, mode="nearest"), 9, mode="nearest")
    truth = np.stack([twice(plane * mask) / twice(mask.astype(float)) for plane in values])
    np.testing.assert_allclose(filters.blur_masked(values, mask, 4), truth, atol=3e-3)
    np.testing.assert_array_equal(filters.blur_masked(np.where(mask, values, 9), mask, 4),
                                  filters.blur_masked(values, mask, 4))
    far = np.zeros((50, 50), bool)
    far[:4, :4] = True
    np.testing.assert_allclose(filters.blur_masked(values, far, 2)[:, -1, -1], values[:, far].mean(1), rtol=1e-5)


def test_a_binomial_blur_is_scipys(rng):
    grid = rng.random((9, 10, 11))
    truth = grid
    for axis in range(3):
        truth = ndimage.convolve1d(truth, [0.25, 0.5, 0.25], axis, mode="nearest")
    np.testing.assert_allclose(filters.blur_binomial(grid), truth, atol=1e-12)


def test_a_binomial_blur_keeps_slopes_and_loses_scratches():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 8))
    scratched = ramp + np.float32([1, -1] * 4)[:, None]
    np.testing.assert_allclose(filters.blur_binomial(scratched)[1:-1, 1:-1], ramp[1:-1, 1:-1], atol=1e-6)


def test_doubling_is_scipys_linear_zoom(rng):
    grid = rng.random((5, 6, 7)).astype(np.float32)
    truth = ndimage.zoom(grid, 2, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(filters.double(grid), truth, atol=1e-6)


def test_local_minimum_and_range_are_scipys(rng):
    picture = rng.random((20, 30))
    least, most = (f(picture, 3, mode="nearest") for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    np.testing.assert_array_equal(filters.local_minimum(picture), least)
    np.testing.assert_array_equal(filters.local_range(picture), most - least)
    picture[5:9, 5:9] = np.nan
    holes = np.isnan(picture)
    least = ndimage.minimum_filter(np.where(holes, np.inf, picture), 3, mode="nearest")
    most = ndimage.maximum_filter(np.where(holes, -np.inf, picture), 3, mode="nearest")
    np.testing.assert_array_equal(filters.local_range(picture), np.where(np.isfinite(least), most - least, 0))


def test_the_largest_around_is_scipys(rng):
    grid = rng.random((9, 10, 11))
    np.testing.assert_array_equal(filters.local_maximum(grid, 2), ndimage.maximum_filter(grid, 5, mode="nearest"))


def test_cubes_are_measured_inside_a_slab():
    slab = np.zeros((20, 20, 20), bool)
    slab[:, :, 4:11] = True
    np.testing.assert_array_equal(filters.measure_inside(slab, 3)[10, 10, 3:12], [0, 0, 1, 2, 3, 2, 1, 0, 0])
    np.testing.assert_array_equal(filters.measure_inside(slab, 2)[10, 10, 3:12], [0, 0, 1, 2, 2, 2, 1, 0, 0])


def test_distances_are_scipys(mask):
    truth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_allclose(filters.distances(mask), truth, atol=1e-5)
    np.testing.assert_allclose(filters.distances(mask, beyond=True), ndimage.distance_transform_edt(mask), atol=1e-5)
    assert np.isinf(filters.distances(np.ones_like(mask), beyond=True)).all()


def test_growing_is_scipys_dilation(mask):
    np.testing.assert_array_equal(filters.grow(mask), ndimage.binary_dilation(mask))


def test_pieces_are_scipys(mask):
    ours, (truth, count) = filters.label_pieces(mask), ndimage.label(mask)
    pairs = set(zip(ours.ravel().tolist(), truth.ravel().tolist()))
    assert count > 5 and len(pairs) == count + 1 and (0, 0) in pairs  # the same pieces, in another order


def test_a_full_mask_is_one_piece_and_an_empty_one_none():
    full, empty = np.ones((3, 4), bool), np.zeros((3, 4), bool)
    assert (filters.label_pieces(full) == 1).all() and not filters.label_pieces(empty).any()


@pytest.mark.timing
def test_pieces_that_wind_take_no_longer():
    y, x = np.mgrid[:512, :512] - 256
    spiral = (np.hypot(x, y) / 20 + np.arctan2(y, x) / (2 * np.pi)) % 1 < 0.5
    before = time.process_time()
    ours = filters.label_pieces(spiral)
    assert time.process_time() - before < 0.2 * slowness()  # from pixel to pixel it took more than a second
    assert len(np.unique(ours)) == ndimage.label(spiral)[1] + 1


def test_pieces_of_a_grid_are_scipys(rng):
    grid = rng.random((9, 10, 11)) < 0.4
    truth = ndimage.label(grid)[0]
    found = filters.label_pieces(grid)
    assert found.max() == truth.max() and len({*zip(found[grid], truth[grid])}) == truth.max()


def test_specks_are_dropped():
    mask = np.zeros((40, 60), bool)
    mask[5:25, 5:25], mask[30:36, 40:50], mask[0, 59] = True, True, True  # 400, 60 and 1 pixels
    kept = filters.drop_specks(mask, 0.1)
    assert kept[10, 10] and kept[32, 45] and not kept[0, 59]
    weight = mask.astype(float)
    weight[30:36, 40:50] = 0.1
    assert not filters.drop_specks(mask, 0.1, weight)[32, 45]


def test_clusters_lie_where_values_do(rng):
    values = rng.permutation(np.repeat(np.eye(3), 30, 0)) + rng.normal(0, 0.02, (90, 3))
    found = filters.find_clusters(values, 3)
    assert sorted(found.argmax(1)) == [0, 1, 2]
    np.testing.assert_allclose(found.max(1), 1, atol=0.02)
    np.testing.assert_allclose(filters.find_clusters(np.ones((5, 2)), 3), 1)  # fewer values than centres


def test_what_most_have_spreads():
    """A blue spot on yellow, seen over a wider window, is yellow and no mixture of both; a wide blue half stays."""
    picture = np.float32([0.9, 0.8, 0.1])[:, None, None] * np.ones((3, 48, 48), np.float32)
    picture[:, 20:26, 20:26] = np.float32([0.1, 0.3, 0.9])[:, None, None]
    mask = np.zeros((48, 48), bool)
    mask[4:44, 4:44] = True
    centres = filters.find_clusters(picture[:, mask].T, 4)
    spread = filters.spread_dominant(picture, mask, centres, 8)
    np.testing.assert_allclose(spread[:, 23, 23], [0.9, 0.8, 0.1], atol=0.04)
    picture[:, :24] = np.float32([0.1, 0.3, 0.9])[:, None, None]
    spread = filters.spread_dominant(picture, mask, centres, 4)
    np.testing.assert_allclose(spread[:, 10, 24], [0.1, 0.3, 0.9], atol=0.01)
    np.testing.assert_allclose(spread[:, 40, 0], [0.9, 0.8, 0.1], atol=0.01)  # beside the mask too


@pytest.mark.parametrize("window", [1, 3, 9, 31])
def test_parabolas_are_fitted_as_scipy_does(rng, window):
    values = rng.normal(size=31)
    expected = signal.savgol_filter(values, window, min(2, window - 1))
    np.testing.assert_allclose(filters.fit_parabolas(values, window), expected, atol=1e-9)
