"""Fair fields, and what they stand on."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from near_core.create.config import ReconstructionConfig
from near_core.create.fairing import fair, fill_below, measure_narrowing
from near_core.models.mini.layout import SIZE
from near_core.scene.camera import orbit
from tests.create.pictures import view_of


def test_a_fair_field_solves_its_equation():
    rng = np.random.default_rng(0)
    field = rng.normal(0, 1, (6, 7, 8)).astype(np.float32)
    weight = np.where(rng.random(field.shape) < 0.5, 1, 0.02).astype(np.float32)
    bend = sparse.csr_matrix((field.size,) * 2)
    for axis, size in enumerate(field.shape):
        step = sparse.diags([-1.0, 1.0], [0, 1], (size - 1, size))
        parts = [sparse.identity(n) for n in field.shape]
        parts[axis] = -(step.T @ step)
        bend = bend + sparse.kron(sparse.kron(*parts[:2]), parts[2])
    whole = (sparse.diags(weight.ravel()) + 0.7 * bend @ bend).tocsc()
    exact = spsolve(whole, (weight * field).ravel()).reshape(field.shape)
    np.testing.assert_allclose(fair(field, weight, 0.7), exact, atol=5e-3)


def test_a_fair_field_goes_straight_on_where_nothing_is_known():
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32), (16, 16, 16)).copy()
    weight = np.ones_like(ramp)
    weight[5:11, 5:11, 5:11] = 1e-4
    given = ramp.copy()
    given[5:11, 5:11, 5:11] = -3
    # not at the border, whose values go on outside
    assert np.abs(fair(given, weight, 1.0) - ramp)[4:12, 4:12, 4:12].max() < 0.2


@pytest.mark.parametrize("least", [ReconstructionConfig.guess.hidden_weight, ReconstructionConfig.hidden_weight])
def test_a_field_as_large_as_a_solids_is_nearly_fair(least):
    """A bumpy ball whose back is hardly known, on the cells that a solid is straightened on."""
    grid = np.indices((32,) * 3) - 15.5
    ball = np.clip(9 - np.sqrt((grid**2).sum(0)), -1, 1) + 0.3 * np.random.default_rng(0).normal(size=(32,) * 3)
    weight = np.where(grid[1] < 0, 1, least).astype(np.float32)
    given = ball.astype(np.float32)
    exact = fair(given, weight, ReconstructionConfig.stiffness, 1000)
    left = fair(given, weight, ReconstructionConfig.stiffness) - exact
    assert np.sqrt((left**2).mean() / ((exact - given)**2).mean()) < 0.1


def test_a_cell_is_as_deep_as_the_one_above_less_a_fade_and_one_at_most():
    column = np.full((1, 1, 6), -4, np.float32)
    column[0, 0, 3:5] = 0.5, 3
    np.testing.assert_allclose(fill_below(column, np.full(6, 0.2))[0, 0], [0.2, 0.4, 0.6, 0.8, 3, -4], atol=1e-6)


@pytest.mark.parametrize(("shape", "narrows"), [("ball", True), ("box", False), ("waist", False)])
def test_a_ball_narrows_toward_its_foot_and_a_box_does_not(shape, narrows):
    view = view_of(orbit(0, 0, 3, 22, SIZE, SIZE), np.zeros((SIZE, SIZE), np.float32))
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    inside = {"ball": np.hypot(x, y) < 45, "box": (np.abs(x) < 40) & (np.abs(y) < 45),
              "waist": (np.abs(x) < np.where(np.abs(y) < 20, 15, 40)) & (np.abs(y) < 45)}[shape]
    view.mask[:] = inside
    total = measure_narrowing(view)[:64].sum()
    assert total > 0.5 if narrows else total < 0.05
    view.mask[:] = False
    assert not measure_narrowing(view).any()
