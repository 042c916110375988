"""Means over rows that belong together. The specification is kernels/twins/groups.py."""

import numpy as np

from .library import INTEGER, POINTER, Kernel, require

_average = Kernel("groups_average", *[POINTER] * 3, *[INTEGER] * 3, POINTER)


def average(values: np.ndarray, weight: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """Means of values (K, C) by weight (K,), float32, over the rows of each of `count` groups: (count, C) float32, 0
    where nothing weighs. group: (K,) int32, below count."""
    rows, columns = require("values", values, (None, None)).shape
    require("weight", weight, (rows,)), require("group", group, (rows,), np.int32)
    if rows and not (group.min() >= 0 and group.max() < count):
        raise ValueError(f"group must lie in 0 to {count - 1}.")
    mean = np.empty((count, columns), np.float32)
    _average(values, weight, group, rows, columns, count, mean)
    return mean
