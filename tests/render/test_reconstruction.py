"""The filter by which samples become pixels."""

import numpy as np
import pytest

from near_core.render import reconstruction
from near_core.render.config import SplattingConfig

EVEN = np.array(SplattingConfig().skin_offsets)


@pytest.mark.parametrize(("width", "side"), [(0.3, 1), (1.5, 3), (3.0, 7), (50, 7)])
def test_samples_weigh_as_the_filter_falls(width, side):
    offset = reconstruction.spread(EVEN, width)
    weight = reconstruction.weigh(offset, width)
    assert weight.shape == (8, side, side) and np.isclose(weight.sum(), 1) and weight.min() >= 0
    # nearer samples weigh more
    middle = weight[:, side // 2, side // 2]
    assert middle[np.abs(offset).max(1).argmin()] == middle.max()


def test_a_sample_weighs_most_on_the_side_where_it_lies():
    weight = reconstruction.weigh(np.float32([[0.4, 0]]), 1.5)[0]
    assert weight[1, 2] > 3 * weight[1, 0] and np.isclose(weight[0, 1], weight[2, 1])


def test_placed_samples_lie_as_densely_as_even_ones_weigh():
    placed = reconstruction.place(np.stack([np.linspace(-0.499, 0.499, 999)] * 2, 1), 1.5)[:, 0]
    dense = reconstruction.weigh(reconstruction.spread(np.stack([np.linspace(-0.5, 0.5, 999), np.zeros(999)], 1), 1.5),
                                 1.5).sum(1)
    pixels = np.array([-1, 0, 1]) - np.linspace(-0.5, 0.5, 999)[:, None]
    variance = (dense * pixels ** 2).sum() / dense.sum()
    assert np.isclose(variance, placed.var(), rtol=0.02) and np.isclose(placed.mean(), 0, atol=3e-3)
