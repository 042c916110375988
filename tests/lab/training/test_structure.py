"""The stage `structure`."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.create.symmetry import LEFT_RIGHT
from near_core.create.view import compute_cell_centres, gather_grid_inputs
from near_core.lab.training.stages import structure
from near_core.scene import camera as cameras


def test_a_mirrored_sample_is_the_mirrored_object():
    """The grid's inputs of a photo, and those of its mirror image, belong to the solid and to its mirror image."""
    camera = cameras.orbit(30, 20, 2.5, 40, 96, 96)
    centres = compute_cell_centres(8)
    twin = cameras.orbit(-30, 20, 2.5, 40, 96, 96)
    direct, image = gather_grid_inputs(twin, centres), gather_grid_inputs(camera, LEFT_RIGHT.move(centres))
    image["uv"][..., 0] *= -1
    image["towards"][0] *= -1
    for key in direct:
        np.testing.assert_allclose(image[key], direct[key], atol=1e-5)


def test_f1_counts_what_is_near():
    truth = np.zeros((16, 16, 16), bool)
    truth[8, 4:12, 4:12] = True
    assert structure.measure_f1(truth, truth, 1.0) == 1
    assert structure.measure_f1(np.roll(truth, 1, 0), truth, 1.0) == 1
    assert structure.measure_f1(np.roll(truth, 3, 0), truth, 1.0) == 0
    half = truth.copy()
    half[:, :8] = False  # all of it is right, half is missing
    assert structure.measure_f1(half, truth, 0.0) == pytest.approx(2 / 3)
    assert structure.measure_f1(np.zeros_like(truth), truth, 1.0) == 0


def test_few_cells_stand_for_all():
    """What a step learns from has about the loss of the whole."""
    torch.manual_seed(0)
    solid = torch.zeros(2, 64, 64, 64)
    solid[:, 20:44, 16:40, 24:48] = 1
    logits = solid * 2 - 1 + torch.randn(solid.shape)
    near = structure.find_surface(solid)
    cells, stands = structure.choose_cells(near, 8192)
    few = [structure.split_cells(grid[:, None])[:, 0].gather(2, cells[:, None].expand(-1, 8, -1))
           for grid in (logits, solid)]
    assert near.gather(1, cells).mean() > 3 * near.mean()
    assert structure.compute_loss(*few, near.gather(1, cells), stands).item() == pytest.approx(
        structure.judge_solid(logits, solid).item(), rel=0.05)
