"""The stage `joint`."""

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from near_core.lab.training.stages import joint


def test_one_step_of_both_networks(made):
    _, _, room, coarse = made
    torch.manual_seed(0)
    room.restart(1)
    networks = joint.JointNetworks()
    with torch.no_grad():
        shots = room.shoot(2, 1, 0.0, 1)
    loss, parts = joint.judge(networks, shots, coarse, True)
    loss.backward()
    assert math.isfinite(loss.item()) and 0 <= float(parts["iou"]) <= 1
    for part in (networks.intrinsics.out[-1], networks.structure.fine[-1]):
        assert part.weight.grad.abs().sum() > 0


def test_layers_are_worse_only_in_depth_and_thickness():
    from near_core.models.mini.layout import LAYERS
    torch.manual_seed(1)
    layers, mask = torch.rand(40, LAYERS, 16, 16), torch.ones(40, 16, 16)
    worse = joint.worsen_layers(layers, mask)
    changed = (worse - layers).abs().amax((2, 3)) > 1e-6
    assert not changed[:, 2:].any()
    assert torch.equal(changed[:, 0], changed[:, 1]) and 8 <= changed[:, 0].sum() <= 32
