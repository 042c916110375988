"""Memory that is lent again, and never while anybody looks into it."""

import threading

import numpy as np

from kernels import pages

SHAPE = (512, 700, 8)


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
