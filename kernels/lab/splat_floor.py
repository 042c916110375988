"""What splatting cannot do without, for benchmarks: sorting alone, and the arithmetic of the pairs that are left."""

import numpy as np

from ..library import INTEGER, POINTER, Kernel
from ..splat import MAX_CHANNELS, PROJECTION, Projection, check_projection

_sort = Kernel("splat_sort", *PROJECTION, *[INTEGER] * 3, POINTER, INTEGER)
_count_pairs = Kernel("splat_count_pairs", *PROJECTION, *[INTEGER] * 2, POINTER, INTEGER)
_floor = Kernel("splat_floor", INTEGER, INTEGER, POINTER, POINTER, INTEGER)


def sort(projection: Projection, width: int, height: int, *, samples: int = 1, threads: int = 0) -> int:
    """Sorts projected Gaussians for a picture as splat.rasterize does, and no more. Returns how many entries the lists
    of all tiles have."""
    entries = np.zeros(1, np.int64)
    _sort(*projection, check_projection(projection, width, height), width, height, samples, entries, threads)
    return int(entries[0])


def count_pairs(projection: Projection, width: int, height: int, *, threads: int = 0) -> int:
    """How many pairs of a Gaussian and a pixel that takes it a picture of splat.rasterize has."""
    count, pairs = check_projection(projection, width, height), np.zeros(1, np.int64)
    _count_pairs(*projection, count, width, height, pairs, threads)
    return int(pairs[0])


def work_out(pairs: int, channels: int, threads: int = 0) -> tuple[int, float]:
    """The exponentials and multiply-adds of at least so many pairs, on full vectors in a core's cache. Returns how many
    were worked out and their sum."""
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"channels must be 1 to {MAX_CHANNELS}, not {channels}.")
    done, result = np.zeros(1, np.int64), np.zeros(1, np.float32)
    _floor(pairs, channels, done, result, threads)
    return int(done[0]), float(result[0])
