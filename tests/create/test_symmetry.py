"""Mirrors of the asset's cube."""

import numpy as np
import pytest

from near_core.create.create import create_from_mesh
from near_core.create.symmetry import (
    DIAGONAL,
    FRONT_BACK,
    LEFT_RIGHT,
    MIRRORS,
    Movement,
    average_twins,
    carve_twins,
    find_mirrors,
    list_movements,
    measure_asymmetry,
)
from near_core.create.view import compute_cell_centres
from tests.create.pictures import box

TURNS = (Movement((1, 2, 0), (-1, 1, 1)), Movement((0, 2, 1), (1, 1, -1)))


def cells_at(points: np.ndarray, resolution: int) -> tuple:
    return tuple(np.round((points + 0.5) * resolution - 0.5).astype(int).T)


@pytest.mark.parametrize("movement", [*MIRRORS, *TURNS])
def test_grids_and_cells_move_as_points_do(movement):
    grid = np.random.default_rng(0).random((6, 6, 6))
    there = cells_at(movement.move(compute_cell_centres(6)), 6)
    np.testing.assert_array_equal(movement.fetch(grid).ravel(), grid[there])
    inside = np.arange(128**3)
    there = np.ravel_multi_index(cells_at(movement.move(compute_cell_centres(128)), 128), (128,) * 3)
    np.testing.assert_array_equal(movement.find_twins(inside), there)


def test_movements_follow_each_other():
    points = np.random.default_rng(1).random((5, 3)).astype(np.float32)
    for first, second in (TURNS, TURNS[::-1], (DIAGONAL, FRONT_BACK)):
        np.testing.assert_allclose(first.then(second).move(points), second.move(first.move(points)))
    assert [len(list_movements(MIRRORS[:count])) for count in range(5)] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_what_is_carved_and_averaged_is_its_own_image_in_every_mirror(count):
    grid = np.random.default_rng(2).random((8, 8, 8)).astype(np.float32)
    for made in (carve_twins(grid, MIRRORS[:count]), average_twins(grid, MIRRORS[:count])):
        for movement in list_movements(MIRRORS[:count]):
            np.testing.assert_allclose(movement.fetch(made), made, atol=1e-6)


def test_what_is_no_square_is_not_asked_for_its_diagonal():
    asked = []
    assert find_mirrors(lambda mirror, _: asked.append(mirror) or mirror == LEFT_RIGHT) == (LEFT_RIGHT,)
    assert DIAGONAL not in asked
    assert find_mirrors(lambda mirror, _: True) == MIRRORS


def test_a_box_is_its_own_mirror_image_where_it_stands_in_the_middle(model):
    surfels = create_from_mesh(box((0.9, 0.6, 0.5)), name="box", model=model).surfels
    assert max(measure_asymmetry(surfels, mirror) for mirror in MIRRORS[:3]) < 0.01
    assert measure_asymmetry(surfels, DIAGONAL) > 0.1
    aside = Movement().move_surfels(surfels)
    aside.position[:, 1] += 0.1
    assert measure_asymmetry(aside, FRONT_BACK) > 0.1 > measure_asymmetry(aside, LEFT_RIGHT)
