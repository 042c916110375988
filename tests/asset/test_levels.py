"""Surfels merged over coarser cells stand for the same surface: its area, its sides, its colours, its extent."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import CELL, Surfels, levels
from near_core.asset.surfels import concatenate
from near_core.image import srgb_encode
from tests.random_assets import some_surfels
from tests.surfaces import lay, spread


def sheet(side: int = 32) -> Surfels:
    """A level square that looks up, one surfel a cell, its colours at random."""
    color = np.random.default_rng(0).uniform(0, 1, (side * side, 3))
    return lay(np.insert(spread(side), 2, 0.3 * CELL, 1), (0, 0, 1), color, roughness=0.5, metallic=1)


def test_a_sheet_is_covered_by_fewer_squares_of_its_mean_colours():
    level = levels.merge(levels.merge(levels.start(sheet())))
    assert level.number == 2 and level.resolution == 32 and len(level.surfels) == 8 * 8
    np.testing.assert_allclose(level.surfels.area, 1, rtol=1e-5)
    np.testing.assert_allclose(level.surfels.roughness, 0.5, atol=0.03)  # normals do not spread
    np.testing.assert_allclose(level.spread[:, [0, 3]], level.cell ** 2 / 12, rtol=1e-4)  # of a square
    np.testing.assert_allclose(level.spread[:, [1, 2, 4, 5]], 0, atol=1e-10)
    corner = (np.abs(sheet().position[:, :2] + 14 * CELL) < 2 * CELL).all(1)
    assert corner.sum() == 16
    np.testing.assert_allclose(level.surfels.base_color[0], sheet().base_color[corner].mean(0), rtol=1e-5)


def test_the_sides_of_a_sheet_stay_apart():
    both = concatenate([sheet(), sheet().flip()])
    level = levels.merge(levels.start(both))
    assert len(level.surfels) == 2 * 16 * 16
    assert (np.abs(level.surfels.normal[:, 2]) > 0.999).all() and level.surfels.normal[:, 2].sum() == pytest.approx(0)


def test_where_normals_spread_reflections_get_wider():
    surfels = some_surfels(2000)
    level = levels.start(surfels)
    for _ in range(3):
        level = levels.merge(level)
    assert len(level.surfels) < 0.95 * 2000
    assert level.surfels.roughness.mean() > surfels.roughness.mean()
    np.testing.assert_allclose(np.linalg.norm(level.surfels.normal, axis=1), 1, atol=1e-5)


def test_the_finer_surfels_are_texels_of_the_coarser():
    finer = levels.start(sheet())
    level = levels.merge(finer)
    texels, rows = level.make_texels()
    assert (np.diff(texels.surfel) >= 0).all() and sorted(rows) == list(range(32 * 32))
    np.testing.assert_array_equal(texels.position, finer.surfels.position[rows])
    assert np.abs(texels.position - level.surfels.position[texels.surfel]).max() < level.cell
    np.testing.assert_allclose(texels.compute_colors(level.surfels), finer.surfels.base_color[rows], atol=1e-4)
    assert srgb_encode(finer.surfels.base_color[rows]).std() > 0.1


def test_a_sheet_is_as_thick_as_its_sides_are_apart():
    apart = sheet().position + np.float32([0, 0, 0.5 * CELL])
    for other, thickness in ((sheet(), 0), (replace(sheet(), position=apart), 0.5)):
        both = concatenate([sheet().flip(), other])
        np.testing.assert_allclose(levels.measure_thickness(both, CELL), thickness, atol=1e-4)
    assert np.isinf(levels.measure_thickness(concatenate([sheet(), other.flip()]), CELL)).all()  # they face each other
    assert np.isinf(levels.start(sheet()).thickness).all()
