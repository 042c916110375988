"""kernels.smooth against its twin, and what it does to noise and to edges."""

import numpy as np
import pytest

from kernels import smooth
from kernels.library import ISAS, isa
from kernels.twins import smooth as twin


def points(count=400, width=24):
    rng = np.random.default_rng(3)
    pixel = np.sort(rng.integers(0, width * width, count)).astype(np.int32)
    position = np.stack([pixel % width, pixel // width, rng.normal(0, 1, count)], 1).astype(np.float32)
    plane = np.tile(np.float32([0, 0, 1]), (count, 1))
    normal = plane + rng.normal(0, 0.05, (count, 3)).astype(np.float32)
    roughness = rng.uniform(0.1, 0.5, count).astype(np.float32)
    return (rng.normal(size=(count, 7)).astype(np.float32), pixel, position, plane, normal, roughness,
            np.ones(count, np.float32))


@pytest.mark.parametrize("variant", ISAS)
def test_smooth_follows_its_twin(monkeypatch, variant):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    for count in (400, 17, 1):
        made = points(count)
        assert np.allclose(smooth.smooth(*made, 24, 24), twin.smooth(*made, 24), atol=1e-4)
        lead = np.arange(count, dtype=np.int32) // 3 * 3
        assert np.allclose(smooth.smooth(*made, 24, 24, lead=lead), twin.smooth(*made, 24, lead), atol=1e-4)
    with pytest.raises(ValueError, match="17 channels"):
        smooth.smooth(np.zeros((1, 17), np.float32), *made[1:], 24, 24)


@pytest.mark.parametrize(("lead", "wrong"), [([1, 2, 2, 3], "their own lead"), ([1, 0, 2, 3], "their own lead"),
                                             ([0, 0, 2, 4], "0 to 3"), ([0, -1, 2, 3], "0 to 3")])
def test_a_lead_has_no_other_lead(lead, wrong):
    made = points(4)
    with pytest.raises(ValueError, match=wrong):
        smooth.smooth(*made, 24, 24, lead=np.array(lead, np.int32))
    assert np.isfinite(smooth.smooth(*made, 24, 24, lead=np.array([1, 1, 2, 2], np.int32))).all()


def test_a_value_that_is_none_stays_where_it_is():
    values, *others = points()
    others[1][200:, 2] += 100  # in another plane
    values[200:] = np.nan
    made = smooth.smooth(values, *others, 24, 24)
    assert np.isfinite(made[:200]).all() and np.isnan(made[200:]).all()


def test_noise_goes_and_edges_stay():
    """A rough plate beside a polished one, and a step between two planes."""
    side = 32
    pixel = np.arange(side * side, dtype=np.int32)
    column = pixel % side
    position = np.stack([column, pixel // side, 10.0 * (column >= 24)], 1).astype(np.float32)
    up = np.tile(np.float32([0, 0, 1]), (len(pixel), 1))
    roughness = np.where(column < 8, 0.05, 0.4).astype(np.float32)
    truth = np.where(column >= 24, 3.0, 1.0)[:, None]
    noisy = (truth + np.random.default_rng(0).normal(0, 0.2, (len(pixel), 1))).astype(np.float32)
    made = smooth.smooth(noisy, pixel, position, up, up, roughness, np.ones(len(pixel), np.float32),
                         side, side)
    assert np.array_equal(made[column < 8], noisy[column < 8])
    assert np.abs(made - truth)[column >= 8].max() < 0.2 and (made - truth)[column >= 8].std() < 0.05
    with pytest.raises(ValueError):
        smooth.smooth(noisy, pixel[::-1].copy(), position, up, up, roughness, np.ones(len(pixel), np.float32),
                      side, side)
