"""What splatting cannot do without, for benchmarks: sorting alone, the arithmetic of pairs, and reading Gaussians."""

from typing import NamedTuple

import numpy as np

from ..library import INTEGER, POINTER, Kernel, require
from ..splat import MAX_CHANNELS, PROJECTION, Projection, check_projection

_sort = Kernel("splat_sort", *PROJECTION, *[INTEGER] * 3, POINTER, INTEGER)
_count_pairs = Kernel("splat_count_pairs", *PROJECTION, *[INTEGER] * 2, POINTER, INTEGER)
_floor = Kernel("splat_floor", INTEGER, INTEGER, POINTER, POINTER, INTEGER)
_read = Kernel("splat_read", POINTER, INTEGER, POINTER, POINTER, INTEGER, POINTER, INTEGER)

SPLAT = 8  # floats of a Gaussian that is ready to be drawn


class Pairs(NamedTuple):
    """How many pairs of a Gaussian and a pixel a picture has."""

    taken: int  # that the pixel takes
    left: int  # that culling leaves: all pixels of a block that the Gaussian meets while any of them goes on


def sort(projection: Projection, width: int, height: int, *, samples: int = 1, threads: int = 0) -> int:
    """Sorts projected Gaussians for a picture as splat.rasterize does, and no more. Returns how many entries the lists
    of all tiles have."""
    entries = np.zeros(1, np.int64)
    _sort(*projection, check_projection(projection, width, height), width, height, samples, entries, threads)
    return int(entries[0])


def count_pairs(projection: Projection, width: int, height: int, *, threads: int = 0) -> Pairs:
    """The pairs of a picture of splat.rasterize."""
    count, pairs = check_projection(projection, width, height), np.zeros(2, np.int64)
    _count_pairs(*projection, count, width, height, pairs, threads)
    return Pairs(*pairs.tolist())


def work_out(pairs: int, channels: int, threads: int = 0) -> tuple[int, float]:
    """The exponentials and multiply-adds of at least so many pairs, on full vectors in a core's cache. Returns how many
    were worked out and their sum."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"channels must be 1 to {MAX_CHANNELS}, not {channels}.")
    done, result = np.zeros(1, np.int64), np.zeros(1, np.float32)
    _floor(pairs, channels, done, result, threads)
    return int(done[0]), float(result[0])


def read_rows(rows: np.ndarray, splats: np.ndarray, features: np.ndarray, threads: int = 0) -> float:
    """Reads rows (M,) uint32, all below N, of `splats` (N, SPLAT) and `features` (N, C), both float32, in the order
    that they are in, each fetched well before, and no more. Returns the sum of all."""
    require("rows", rows, (None,), np.uint32), require("splats", splats, (None, SPLAT))
    require("features", features, (len(splats), None))
    if len(rows) and int(rows.max()) >= len(splats):
        raise ValueError(f"rows must be below {len(splats)}, not {rows.max()}.")
    result = np.zeros(1, np.float32)
    _read(rows, len(rows), splats, features, features.shape[1], result, threads)
    return float(result[0])
