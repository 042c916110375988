"""Discs for surfels: as wide as their area says, thin along their normal, moved as their asset is."""

import numpy as np
import pytest

from near_core.asset import CELL, EDGE, Texels, levels
from near_core.render import gaussians
from near_core.render.config import SplattingConfig
from tests.random_assets import some_surfels

CONFIG = SplattingConfig()


def matrices(covariance: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of (N, 6)."""
    return covariance[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]


def test_a_disc_is_thin_along_its_normal_and_as_wide_as_its_area():
    surfels = some_surfels(200)
    made = gaussians.from_level(levels.start(surfels))
    value, vector = np.linalg.eigh(matrices(made.covariance.astype(np.float64)))
    wide = CONFIG.disc_width * CELL * np.sqrt(np.clip(surfels.area, CONFIG.least_area, CONFIG.greatest_area))
    thin = np.minimum(CONFIG.disc_thickness * CELL, wide)
    np.testing.assert_allclose(np.sqrt(value), np.stack([thin, wide, wide], 1), rtol=2e-3)
    flat = thin < 0.9 * wide
    assert np.abs((vector[:, :, 0] * surfels.normal).sum(1))[flat].min() > 0.999
    np.testing.assert_allclose(surfels.position - made.xyz, surfels.normal * CONFIG.inset * CELL, atol=1e-6)
    np.testing.assert_allclose(made.opacity, CONFIG.opacity * surfels.opacity, rtol=1e-6)


@pytest.mark.parametrize("linear", [np.diag([2.0, 2, 2]), np.diag([-1.0, 0.5, 3]), np.eye(3) + 0.4 * np.eye(3, k=1)])
def test_discs_move_with_their_asset(linear):
    surfels, matrix = some_surfels(50), np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, (1, -2, 3)
    still = gaussians.from_level(levels.start(surfels))
    moved = still.move(matrix)
    np.testing.assert_allclose(moved.xyz, still.xyz @ linear.T + matrix[:3, 3], atol=1e-5)
    np.testing.assert_allclose(matrices(moved.covariance), linear @ matrices(still.covariance) @ linear.T, atol=1e-9)


def test_a_surfel_cut_into_texels_is_covered_by_them():
    surfels = some_surfels(20)
    surfel = np.repeat(np.arange(20, dtype=np.int32), EDGE ** 2)
    texels = Texels(surfel, surfels.position[surfel], np.zeros((len(surfel), 3), np.float32),
                    surfels.area[surfel] / EDGE ** 2)
    level = levels.start(surfels)
    one, many = gaussians.from_level(level), gaussians.from_texels(texels, level)
    np.testing.assert_allclose(many.covariance * EDGE ** 2, one.covariance[surfel], rtol=1e-4, atol=1e-12)
    np.testing.assert_array_equal(many.opacity, one.opacity[surfel])


def test_lists_are_taken_apart_and_put_together():
    made = gaussians.from_level(levels.start(some_surfels(30)))
    again = gaussians.concatenate([made.take(np.arange(10)), made.take(np.arange(30) >= 10)])
    np.testing.assert_array_equal(again.xyz, made.xyz)
    np.testing.assert_array_equal(again.covariance, made.covariance)
