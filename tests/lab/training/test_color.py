"""near_core.lab.training.data.color: the same curves as image.color's, with slopes."""

import numpy as np
import torch

from near_core import image
from near_core.lab.training.data.color import srgb_decode, srgb_encode

VALUES = np.linspace(0, 1, 10001, dtype=np.float32)


def test_tensors_take_the_curves_of_arrays():
    values = torch.from_numpy(VALUES)
    np.testing.assert_allclose(srgb_encode(values), image.srgb_encode(VALUES), rtol=0, atol=3e-7)
    np.testing.assert_allclose(srgb_decode(values), image.srgb_decode(VALUES), rtol=0, atol=3e-7)
    np.testing.assert_allclose(srgb_encode(torch.tensor([-1.0, 2.0])), [0, 1], rtol=0, atol=1e-7)


def test_slopes_are_those_of_the_curve_and_finite_at_black():
    values = torch.tensor([-0.5, 0.0, 0.001, 0.2, 0.9, 2.0], dtype=torch.float64, requires_grad=True)
    srgb_encode(values).sum().backward()
    step = 1e-6
    with torch.no_grad():
        expected = (srgb_encode(values + step) - srgb_encode(values - step)) / (2 * step)
    expected[1] = 12.92  # at the end of the range the difference is one-sided
    np.testing.assert_allclose(values.grad, expected, rtol=1e-5)
