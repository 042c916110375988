"""What benchmarks hold splatting against: pairs are those of the twin, arithmetic grows with them, rows are read."""

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
    pairs = splat_floor.count_pairs(seen, WIDTH, HEIGHT)
    assert pairs.taken == covered > 100
    assert covered < pairs.left < 10 * covered, "blocks that Gaussians meet have some pixels beside them"
    inputs[2][:] = 1  # what lies behind a full pixel is no pair
    solid = splat.project(*inputs, WIDTH, HEIGHT)
    deep = splat.Projection(*(np.concatenate([each] * 20) for each in solid))
    once, often = splat_floor.count_pairs(solid, WIDTH, HEIGHT), splat_floor.count_pairs(deep, WIDTH, HEIGHT)
    assert often.taken < 20 * once.taken and often.left < 20 * once.left


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


def test_rows_are_read_each_once_in_any_order():
    rng = np.random.default_rng(0)
    splats, features = (rng.random((20000, columns)).astype(np.float32) for columns in (splat_floor.SPLAT, 13))
    rows = rng.permutation(20000)[:15000].astype(np.uint32)
    expected = splats[rows].sum(dtype=np.float64) + features[rows].sum(dtype=np.float64)
    for order in (rows, np.sort(rows)):
        assert splat_floor.read_rows(order, splats, features) == pytest.approx(expected, rel=1e-5)
    assert splat_floor.read_rows(rows, splats, features, threads=1) == splat_floor.read_rows(rows, splats, features)
    assert splat_floor.read_rows(rows[:0], splats, features) == 0
    with pytest.raises(ValueError, match="rows"):
        splat_floor.read_rows(rows.astype(np.int64), splats, features)
    with pytest.raises(ValueError, match="below 20000"):
        splat_floor.read_rows(np.array([20000], np.uint32), splats, features)
