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


@pytest.mark.parametrize("believable", [True, False])
def test_evidence_counts_as_far_as_outlines_allow(believable):
    """A photo from the front that shows an object everywhere, and a solid that fills the front half of the cube; or
    that is missing on one side of the photo, which cannot be."""
    view = view_of(cameras.orbit(0, 0, 3, 18, 128, 128), np.full((128, 128), -0.4, np.float32))
    logits = np.full((64, 64, 64), -8, np.float32)
    logits[:, :32] = 8
    if not believable:
        logits[:20] = -30
    hull = np.full((128, 128, 128), 4, np.float32)
    solid = weigh_evidence([view], logits, hull)
    if believable:
        assert (solid[20:-20, 14:54, 20:-20] > 0).all() and (solid[20:-20, 80:, 20:-20] < 0).all()
    else:
        assert (solid > 0).all()
