"""What benchmarks hold splatting against: pairs are those of the twin, arithmetic grows with them."""

import numpy as np
import pytest
import torch

from kernels import splat
from kernels.lab import splat_floor
from kernels.twins import splat as twin
from tests.kernels.gaussians import HEIGHT, WIDTH, scene


def test_pairs_are_the_pixels_that_each_gaussian_covers():
    inputs, features = scene(count=20, scale=0.1)
    inputs[2][:] = 0.05  # so faint that no pixel is full
    seen = splat.project(*inputs, WIDTH, HEIGHT)
    alone = [twin.ProjectionTensors(*(torch.tensor(each[n:n + 1]) for each in seen)) for n in range(20)]
    covered = sum(int((twin.rasterize(each, torch.ones(1, 1), WIDTH, HEIGHT)[1] > 0).sum()) for each in alone)
    assert splat_floor.count_pairs(seen, WIDTH, HEIGHT) == covered > 100
    inputs[2][:] = 1  # what lies behind a full pixel is no pair
    solid = splat.project(*inputs, WIDTH, HEIGHT)
    deep = splat.Projection(*(np.concatenate([each] * 20) for each in solid))
    assert splat_floor.count_pairs(deep, WIDTH, HEIGHT) < 20 * splat_floor.count_pairs(solid, WIDTH, HEIGHT)


def test_every_gaussian_is_sorted_into_the_tiles_that_it_touches():
    inputs, _ = scene(count=50, scale=0.001)  # far narrower than a tile
    seen = splat.project(*inputs, WIDTH, HEIGHT)
    entries, drawn = splat_floor.sort(seen, WIDTH, HEIGHT), splat.sum_contributions(seen, WIDTH, HEIGHT) > 0
    assert 0 < drawn.sum() <= entries <= 4 * (seen.radius > 0).sum()
    assert splat_floor.sort(seen, WIDTH, HEIGHT, samples=4) >= entries


def test_arithmetic_is_done_for_all_pairs_and_the_same_on_any_threads():
    done, result = splat_floor.work_out(1, 12)
    twice = splat_floor.work_out(done + 1, 12)
    assert twice[0] == 2 * done and twice[1] == pytest.approx(2 * result, rel=1e-6) and np.isfinite(result)
    assert splat_floor.work_out(done + 1, 12, threads=1) == twice
    assert splat_floor.work_out(1, 13)[1] > result > 0
    with pytest.raises(ValueError, match="1 to 64"):
        splat_floor.work_out(1, 65)
