"""Objects in other shapes."""

import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training.data import bending


def test_bending_is_undone():
    rng = torch.Generator().manual_seed(1)
    changed = bending.Bending(torch.tensor([False, True]), rng)
    points = torch.rand(400, 3, generator=rng) - 0.5
    of = torch.arange(400) % 2
    bent = changed.bend(points, of)
    assert torch.equal(bent[of == 1], points[of == 1])
    assert (bent - points)[of == 0].abs().max() > 0.02
    assert (changed.unbend(bent, of) - points).abs().max() < 2e-3
