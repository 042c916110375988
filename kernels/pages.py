"""Memory of pictures that nobody has any more, for the next ones: a system clears fresh pages, which takes as long as
drawing on them."""

import numpy as np

SMALLEST = 1 << 18  # bytes; the C library keeps what is smaller by itself
MOST = 1 << 29  # bytes that are kept: a picture of 4K with 12 channels has 398 MB
LINE = 64  # bytes of a cache's line, at which an array of such memory begins

# by id, the newest last. There is no lock, as a lease can end anywhere, also where its own thread would hold one: each
# change is one that threads cannot see halves of
_spare: dict[int, np.ndarray] = {}


class Lease:
    """Lends memory to one array and to whatever looks into that; it is spare when the last of them is gone."""

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype):
        self._memory = memory
        self.__array_interface__ = {"shape": shape, "typestr": dtype.str, "version": 3,
                                    "data": (-(-memory.ctypes.data // LINE) * LINE, False)}

    def __del__(self) -> None:
        if _spare is None:  # as it is when Python ends
            return
        _spare[id(self._memory)] = self._memory
        for oldest in _spare.copy():
            if sum(each.nbytes for each in _spare.copy().values()) <= MOST:
                return
            _spare.pop(oldest, None)


def empty(shape: tuple[int, ...], dtype=np.float32) -> np.ndarray:
    """An array that holds anything, as np.empty makes it."""
    kind = np.dtype(dtype)
    needed = kind.itemsize * int(np.prod(shape, dtype=np.int64)) + LINE
    if needed < SMALLEST:
        return np.empty(shape, kind)
    return np.asarray(Lease(_take(needed), shape, kind))


def full(shape: tuple[int, ...], value: float, dtype=np.float32) -> np.ndarray:
    """An array that holds one value, as np.full makes it."""
    made = empty(shape, dtype)
    made.fill(value)
    return made


def _take(needed: int) -> np.ndarray:
    for key, memory in reversed(_spare.copy().items()):
        # the first thread that takes it out has it
        if needed <= memory.nbytes <= 2 * needed and _spare.pop(key, None) is not None:
            return memory
    try:
        return np.empty(needed, np.uint8)
    except MemoryError:  # what is spare does not fit, but there may be room without it
        _spare.clear()
        return np.empty(needed, np.uint8)
