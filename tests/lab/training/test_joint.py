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
