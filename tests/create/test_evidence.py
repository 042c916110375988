"""Evidence inside outlines."""

import numpy as np
import pytest

from near_core.create.evidence import resize_grid, weigh_evidence
from near_core.create.view import compute_cell_centres
from near_core.scene import camera as cameras
from tests.create.pictures import view_of


def test_a_grid_keeps_linear_values_at_another_size():
    centres = compute_cell_centres(128).reshape(128, 128, 128, 3)
    finer = compute_cell_centres(192).reshape(192, 192, 192, 3)
    made = resize_grid(centres[..., 0] + 2 * centres[..., 2], 192)
    inner = slice(4, -4)
    expected = (finer[..., 0] + 2 * finer[..., 2])[inner, inner, inner]
    np.testing.assert_allclose(made[inner, inner, inner], expected, atol=1e-5)


@pytest.mark.parametrize("missing", [0, 8])
def test_what_outlines_show_is_filled_where_evidence_lacks(missing):
    """A photo from the front that shows an object everywhere, and a solid that fills the front half of the cube; or
    that is missing on one side of the photo, which cannot be: there something is filled in, and nowhere else."""
    view = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    logits = np.full((64, 64, 64), -8, np.float32)
    logits[:, :32] = 8
    logits[:missing] = -30
    solid = weigh_evidence([view], logits, np.full((128, 128, 128), 4, np.float32))
    assert (solid[32:-20, 14:54, 20:-20] > 0).all() and (solid[32:-20, 80:, 20:-20] < 0).all()
    assert (solid[8:16, :, 20:-20].max(1) > 0).all()
