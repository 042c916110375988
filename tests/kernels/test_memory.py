"""Large memory that a call of splatting leaves for the next one: nothing of the one is seen in the other."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels import splat

from .gaussians import HEIGHT, WIDTH, scene

SIZES = ((64, 48), (700, 500), (320, 900), (1200, 800))


@pytest.fixture(scope="module")
def pictures():
    """Calls whose lists take megabytes, each by its size in pixels, and what each gave at first."""
    inputs, features = scene(count=60000, scale=0.02)
    calls = {}
    for width, height in SIZES:
        whole = (np.diag([width / WIDTH, height / HEIGHT, 1]) @ inputs[4]).astype(np.float32)
        calls[width, height] = splat.project(*inputs[:4], whole, width, height), features, width, height
    return calls, {size: [each.copy() for each in splat.rasterize(*call, threads=1)] for size, call in calls.items()}


def is_same(made, expected) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))


def test_calls_of_many_sizes_do_not_see_each_other(pictures):
    calls, expected = pictures
    for size in [*SIZES, *SIZES[::-1]] * 2:
        assert is_same(splat.rasterize(*calls[size]), expected[size]), size


def test_two_threads_of_python_draw_at_once(pictures):
    calls, expected = pictures
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda size: is_same(splat.rasterize(*calls[size], threads=1), expected[size]), SIZES * 6))
    assert made == [True] * len(made)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
def test_a_forked_child_draws(pictures):
    calls, expected = pictures
    child = os.fork()
    if child == 0:
        os._exit(0 if is_same(splat.rasterize(*calls[SIZES[1]], threads=1), expected[SIZES[1]]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
