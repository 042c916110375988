"""Memory that is lent again, and never while anybody looks into it; what splatting leaves for its next call."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels import pages, splat

from .gaussians import HEIGHT, WIDTH, scene

SHAPE = (512, 700, 8)
SIZES = ((64, 48), (700, 500), (320, 900), (1200, 800))


def address(array):
    return array.__array_interface__["data"][0]


def test_arrays_are_as_numpy_makes_them():
    for shape in (SHAPE, (3, 5)):
        made = pages.empty(shape)
        made[:] = 7
        assert made.shape == shape and made.dtype == np.float32 and made.flags.c_contiguous and made.flags.writeable
        assert made.min() == made.max() == 7
    assert address(pages.empty(SHAPE)) % pages.LINE == 0
    numbers = pages.full(SHAPE, -1, np.int32)
    assert numbers.dtype == np.int32 and (numbers == -1).all()


def test_memory_is_lent_again_when_the_last_view_is_gone(monkeypatch):
    monkeypatch.setattr(pages, "_spare", {})
    first = pages.empty(SHAPE)
    first[:] = 1
    where, part = address(first), first[100:].reshape(-1)
    del first
    other = pages.empty(SHAPE)
    other[:] = 2
    assert address(other) != where and (part == 1).all()
    del part
    assert address(pages.empty((512, 600, 8))) == where
    assert address(pages.empty((256, 300, 32))) == where, "what was lent to one is lent to the next"
    assert address(pages.empty((256, 512, 8))) != where, "too little for so much memory"


def test_no_more_is_kept_than_is_said(monkeypatch):
    monkeypatch.setattr(pages, "_spare", {})
    monkeypatch.setattr(pages, "MOST", 2 * 4 * 512 * 700 * 8 + 1000)
    several = [pages.empty(SHAPE) for _ in range(5)]
    del several
    assert len(pages._spare) == 2


def test_threads_never_get_the_same_memory(monkeypatch):
    monkeypatch.setattr(pages, "_spare", {})
    monkeypatch.setattr(pages, "MOST", 3 << 20)
    wrong = []

    def draw(number):
        for size in range(200):
            mine = pages.empty((256, 260 + size % 7))
            mine[::64] = number
            if not (mine[::64] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and 0 < sum(each.nbytes for each in pages._spare.values()) <= 3 << 20


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
