"""Noise of what points under a picture's pixels mirror, averaged away. The specification is kernels/twins/smooth.py."""

import numpy as np

from .grid import in_range
from .library import INTEGER, POINTER, Kernel, require

_smooth = Kernel("points_smooth", *[POINTER] * 8, *[INTEGER] * 5, POINTER, INTEGER)

MOST = 16  # channels


def smooth(values: np.ndarray, pixel: np.ndarray, position: np.ndarray, plane: np.ndarray, normal: np.ndarray,
           roughness: np.ndarray, size: np.ndarray, width: int, height: int, *, lead: np.ndarray | None = None,
           reach: int = 3, threads: int = 0) -> np.ndarray:
    """Means of values (K, C) over points around that mirror the same, as wide as their lobes allow: (K, C) float32.

    pixel: (K,) int32, ascending, row-major in a picture of width x height. position: (K, 3), plane: (K, 3) unit
    geometric normals, normal: (K, 3) unit shading normals, roughness: (K,), size: (K,) a pixel's edge at each, float32.
    Others count as far as their normals differ by little of the lobe, lie in the same plane and are as rough.
    lead: (K,) int32, a point beside each whose mean is its own, too, or itself; None where each has its own. Such a
    point is its own lead. reach: pixels to either side. MOST channels at most. Raises ValueError for anything else.
    """
    count, channels = require("values", values, (None, None)).shape
    if channels > MOST:
        raise ValueError(f"values have {channels} channels, more than {MOST}.")
    require("pixel", pixel, (count,), np.int32)
    for name, array in (("position", position), ("plane", plane), ("normal", normal)):
        require(name, array, (count, 3))
    require("roughness", roughness, (count,)), require("size", size, (count,))
    if count and not (pixel[0] >= 0 and pixel[-1] < width * height and (np.diff(pixel) >= 0).all()):
        raise ValueError(f"pixel must ascend from 0 to {width * height - 1}.")
    if lead is not None:
        in_range("lead", require("lead", lead, (count,), np.int32), count)
        if (lead[lead] != lead).any():
            raise ValueError("lead must name points that are their own lead.")
    out = np.empty_like(values)
    _smooth(pixel, position, plane, normal, roughness, size, lead, values, count, channels, width, height, reach, out,
            threads)
    return out
