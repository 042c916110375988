"""Shadow maps of surfels."""

import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training.data.shadows import shadow_surfels


def test_a_plate_shades_what_is_below_it():
    axis = torch.linspace(-0.4, 0.4, 60)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    floor = torch.stack([x, y, torch.full_like(x, -0.3)], -1).reshape(-1, 3)
    plate = torch.stack([x / 2, y, torch.full_like(x, 0.3)], -1).reshape(-1, 3)  # over the middle half
    position = torch.cat([floor, plate])
    normal = torch.tensor([0.0, 0, 1]).expand(len(position), 3)
    up = torch.tensor([[[0.0, 0, 1]] * 4])
    lit, sky = shadow_surfels(position, normal, torch.zeros(len(position), dtype=torch.long), torch.tensor([1.2]), up,
                              torch.ones(1, 4, 3), up)
    below = floor[:, 0].abs() < 0.18
    beside = floor[:, 0].abs() > 0.22
    front = lit[0, :len(floor), 0]
    assert front[below].max() < 0.1 and front[beside].min() > 0.95
    assert lit[0, len(floor):].min() > 0.95  # nothing is above the plate
    assert sky[0, :len(floor)][below].max() < 0.1 and sky[0, :len(floor)][beside].min() > 0.95
