"""Memory of pictures that nobody has any more, for the next ones: a system clears fresh pages, which takes as long as
drawing on them."""

import numpy as np

SMALLEST = 1 << 18  # bytes; the C library keeps what is smaller by itself
MOST = 1 << 29  # bytes that are kept
LINE = 64  # bytes of a cache's line, at which an array of such memory begins

_spare: list[np.ndarray] = []  # the newest last


class Lease:
    """Lends memory to one array and to whatever looks into that; it is spare when the last of them is gone."""

    def __init__(self, memory: np.ndarray, shape: tuple[int, ...]):
        self._memory = memory
        self.__array_interface__ = {"shape": shape, "typestr": np.dtype(np.float32).str, "version": 3,
                                    "data": (-(-memory.ctypes.data // LINE) * LINE, False)}

    def __del__(self) -> None:
        if _spare is not None:  # as it is when Python ends
            _spare.append(self._memory)
            while sum(each.nbytes for each in _spare) > MOST:
                _spare.pop(0)


def empty(shape: tuple[int, ...]) -> np.ndarray:
    """An array of float32 that holds anything, as np.empty makes it."""
    needed = 4 * int(np.prod(shape, dtype=np.int64)) + LINE
    if needed < SMALLEST:
        return np.empty(shape, np.float32)
    return np.asarray(Lease(_take(needed), shape))


def _take(needed: int) -> np.ndarray:
    for number in reversed(range(len(_spare))):
        try:
            memory = _spare.pop(number)
        except IndexError:  # another thread was quicker
            continue
        if needed <= memory.nbytes <= 2 * needed:
            return memory
        _spare.insert(number, memory)
    return np.empty(needed, np.uint8)
