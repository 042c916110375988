"""Gradients of splatting: over a background, and of losses that are not there. tests/kernels/lab has those by torch."""

import numpy as np
import pytest
import torch

from kernels import library, splat, splat_gradients
from kernels.twins import splat as twin
from tests.kernels.gaussians import HEIGHT, WIDTH, doubles, scene


def test_gradient_over_a_background():
    inputs, features = scene(60)
    over = np.array([0.3, -1, 2, 0.5, 1], np.float32)
    loss = np.random.default_rng(5).normal(size=(HEIGHT, WIDTH, 5)).astype(np.float32)
    seen = splat.project(*inputs, WIDTH, HEIGHT)
    opacity = torch.tensor(seen.opacity, dtype=torch.float64, requires_grad=True)
    theirs = twin.ProjectionTensors(*doubles(seen[:3]), torch.tensor(seen.radius), opacity)
    (twin.rasterize(theirs, torch.tensor(features).double(), WIDTH, HEIGHT, background=torch.tensor(over).double())[0]
     * torch.tensor(loss)).sum().backward()
    mine = splat_gradients.rasterize_backward(seen, features, WIDTH, HEIGHT, loss, background=over)
    np.testing.assert_allclose(mine.opacity, opacity.grad, atol=1e-3 * opacity.grad.abs().max(), rtol=1e-3)


@pytest.mark.parametrize("isa", library.ISAS)
@pytest.mark.parametrize("channels", [1, 5, 12, 33])
def test_what_has_no_loss_is_as_good_as_zero(channels, isa, monkeypatch):
    monkeypatch.setenv("NEAR_ISA", isa)
    inputs, features = scene(count=400, scale=0.1, channels=channels)
    loss = np.random.default_rng(6).normal(size=(HEIGHT, WIDTH, channels)).astype(np.float32)
    seen, zeros = splat.project(*inputs, WIDTH, HEIGHT), np.zeros((HEIGHT, WIDTH), np.float32)
    given = splat_gradients.rasterize_backward(seen, features, WIDTH, HEIGHT, loss, zeros, zeros)
    for losses in ((), (zeros,), (None, zeros)):
        for a, b in zip(splat_gradients.rasterize_backward(seen, features, WIDTH, HEIGHT, loss, *losses), given):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(given.features).max())
