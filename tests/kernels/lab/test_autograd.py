"""The splatting kernels in torch: gradients against those of the twin."""

import numpy as np
import pytest
import torch

from kernels.lab import autograd
from kernels.twins import splat as twin
from tests.kernels.gaussians import HEIGHT, WIDTH, doubles, orthographic, scene


@pytest.mark.parametrize("ortho, closing, samples",
                         [(False, False, 1), (True, False, 1), (False, True, 1), (False, False, 4)])
@pytest.mark.parametrize("count, scale", [(300, 0.05), (120, 0.3)])
def test_gradients_are_the_twins(ortho, closing, samples, count, scale):
    inputs, features = scene(count, seed=2, scale=scale)
    inputs = orthographic(inputs) if ortho else inputs
    rng = np.random.default_rng(3)
    losses = [torch.tensor(rng.normal(size=size)) for size in ((HEIGHT, WIDTH, 5), (HEIGHT, WIDTH), (HEIGHT, WIDTH))]
    mine = [torch.tensor(a, requires_grad=True) for a in (*inputs[:3], features)]
    theirs = [a.requires_grad_() for a in doubles((*inputs[:3], features))]
    occlusion_depth = torch.full((count,), 0.1) if closing else None
    outputs = autograd.splat(*mine, *map(torch.tensor, inputs[3:]), WIDTH, HEIGHT, orthographic=ortho,
                             occlusion_depth=occlusion_depth, samples=samples)
    sum((out * loss).sum() for out, loss in zip(outputs, losses)).backward()
    seen = twin.project(*theirs[:3], *doubles(inputs[3:]), WIDTH, HEIGHT, orthographic=ortho)
    outputs = twin.rasterize(seen, theirs[3], WIDTH, HEIGHT, occlusion_depth=occlusion_depth, samples=samples)
    sum((out * loss).sum() for out, loss in zip(outputs, losses)).backward()
    for a, b in zip(mine, theirs):
        assert b.grad.abs().max() > 0
        assert (a.grad - b.grad).norm() <= 1e-3 * b.grad.norm()
        assert (a.grad - b.grad).abs().max() <= 1e-3 * b.grad.abs().max()


@pytest.mark.parametrize("asked", [0, 1, 2])
def test_what_a_loss_leaves_out_is_as_good_as_zero(asked):
    inputs, features = scene(200, seed=2, scale=0.1)
    found = []
    for others in ([], [0, 1, 2]):
        mine = [torch.tensor(a, requires_grad=True) for a in (*inputs[:3], features)]
        outputs = autograd.splat(*mine, *map(torch.tensor, inputs[3:]), WIDTH, HEIGHT)
        (outputs[asked].square().sum() + sum(0 * outputs[other].sum() for other in others)).backward()
        found.append([a.grad for a in mine])
    assert found[0][0].abs().max() > 0
    for alone, beside in zip(*found):
        np.testing.assert_allclose(alone, beside, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))
