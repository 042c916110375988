"""kernels.groups against its twin, and groups without rows."""

import numpy as np
import pytest

from kernels import groups
from kernels.library import ISAS, isa
from kernels.twins import groups as twin


@pytest.mark.parametrize("variant", ISAS)
def test_average_follows_its_twin(monkeypatch, variant):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=(1000, 5)).astype(np.float32), rng.random(1000).astype(np.float32)
    group = rng.choice(np.setdiff1d(np.arange(60), [7, 59]), 1000).astype(np.int32)
    made = groups.average(values, weight, group, 60)
    assert np.allclose(made, twin.average(values, weight, group, 60), rtol=1e-5, atol=1e-6)
    assert not made[[7, 59]].any() and made[8].any()


def test_groups_outside_are_named():
    values, weight = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    for bad in (-1, 2):
        with pytest.raises(ValueError, match="group"):
            groups.average(values, weight, np.int32([0, 1, bad]), 2)
    assert groups.average(values[:0], weight[:0], np.zeros(0, np.int32), 2).shape == (2, 2)
