"""Filters of pictures and grids: blurs, neighbourhoods, zoom, distances, connected pieces.

scipy has them all, but its 35 MB are too much for the extension; the tests hold these to it.
"""

from __future__ import annotations

import numpy as np


def blur_box(values: np.ndarray, radius: int) -> np.ndarray:
    """(H, W): the mean over squares of 2 radius + 1 pixels; the border's values go on outside."""
    for axis in (0, 1):
        ends = [(radius + 1, radius) if i == axis else (0, 0) for i in (0, 1)]
        sums = np.cumsum(np.pad(values, ends, mode="edge"), axis, dtype=np.float64)
        values = (np.take(sums, range(2 * radius + 1, sums.shape[axis]), axis)
                  - np.take(sums, range(sums.shape[axis] - 2 * radius - 1), axis)) / (2 * radius + 1)
    return values


def blur_masked(values: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Values (C, H, W) blurred twice by blur_box, of a mask (H, W) bool alone; farther from it, their mean in it."""
    weight = mask.astype(np.float32)
    mean = (values * weight).sum((1, 2), keepdims=True) / max(weight.sum(), 1)
    near = np.concatenate([values * weight + 1e-3 * mean, weight[None] + 1e-3])
    for _ in range(2):
        near = np.stack([blur_box(plane, radius) for plane in near])
    return (near[:-1] / near[-1:]).astype(np.float32)


def find_clusters(values: np.ndarray, count: int) -> np.ndarray:
    """(count, C) float32: centres of values (P, C), P >= 1, by k-means. It begins with the mean and ever the value that
    is farthest from all centres before, so that the same values have the same centres."""
    values = values[:: max(1, len(values) // 4096)].astype(np.float32)
    centres = [values.mean(0)]
    for _ in range(1, count):
        centres.append(values[np.min([((values - centre) ** 2).sum(1) for centre in centres], 0).argmax()])
    found = np.stack(centres)
    for _ in range(8):
        nearest = ((values[:, None] - found) ** 2).sum(-1).argmin(1)
        size = np.bincount(nearest, minlength=count)[:, None]
        sums = np.stack([np.bincount(nearest, column, count) for column in values.T], 1)
        found = np.where(size > 0, sums / np.maximum(size, 1), found).astype(np.float32)
    return found


def spread_dominant(values: np.ndarray, mask: np.ndarray, centres: np.ndarray, radius: int) -> np.ndarray:
    """Values (C, H, W) as most of the surroundings have them: means of a mask (H, W) bool over radius pixels, twice, of
    the values near each of some centres (K, C) for itself. The cluster that fills most of the surroundings counts most,
    by the third power of its share: a mean of all would be a colour that nothing has."""
    away = np.stack([((values - centre[:, None, None]) ** 2).sum(0) for centre in centres])
    member = (away == away.min(0)) & mask
    total, weight = np.zeros_like(values, np.float32), np.full(mask.shape, 1e-12, np.float32)
    for own in member[member.any((1, 2))]:
        near = np.concatenate([values * own, own[None]]).astype(np.float32)
        near += 1e-4 * (near.mean((1, 2), keepdims=True))  # so that far from all, the whole counts
        for _ in range(2):
            near = np.stack([blur_box(plane, radius) for plane in near])
        share = near[-1] ** 3.0
        total += near[:-1] / near[-1] * share
        weight += share
    return (total / weight).astype(np.float32)


def blur_binomial(values: np.ndarray) -> np.ndarray:
    """A picture or grid, smoothed by 1 2 1 along every axis; the border's values go on outside."""
    for axis in range(values.ndim):
        padded = np.moveaxis(np.pad(values, [(int(a == axis),) * 2 for a in range(values.ndim)], mode="edge"), axis, 0)
        values = np.moveaxis(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], 0, axis)
    return values


def fit_parabolas(values: np.ndarray, window: int) -> np.ndarray:
    """Each of values (N,) as the parabola that fits those of a window around it best has it; at both ends that of the
    last whole window. window: odd, N at most (Savitzky and Golay 1964)."""
    half = window // 2
    powers = np.vander(np.arange(window) - half, min(3, window))
    fit = powers @ np.linalg.pinv(powers)
    return np.concatenate([fit[:half] @ values[:window], np.convolve(values, fit[half], "valid"),
                           fit[half + 1:] @ values[-window:]])


def double(values: np.ndarray) -> np.ndarray:
    """A picture or grid at twice the resolution, float32, linear between the cells' centres."""
    for axis in range(values.ndim):
        values = np.moveaxis(values, axis, 0)
        before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
        fine = np.empty((2 * len(values), *values.shape[1:]), np.float32)
        fine[0::2], fine[1::2] = 0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after
        values = np.moveaxis(fine, 0, axis)
    return values


def resize(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W, C) at another size, float32: bilinear, and means where that is smaller."""
    from PIL import Image
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(maps, -1, 0)]
    return np.stack([np.asarray(plane.resize(shape[::-1], Image.Resampling.BILINEAR)) for plane in planes], -1)


def neighbourhoods(values: np.ndarray) -> np.ndarray:
    """(9, H, W): every pixel of (H, W) and its eight neighbours; the border's values go on outside."""
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    return np.stack([padded[y:y + height, x:x + width] for y in range(3) for x in range(3)])


def local_minimum(values: np.ndarray) -> np.ndarray:
    """(H, W): the least of every pixel and its eight neighbours."""
    return neighbourhoods(values).min(0)


def local_range(values: np.ndarray) -> np.ndarray:
    """(H, W): how far apart every pixel and its eight neighbours are; NaN do not count, 0 where all are."""
    around = neighbourhoods(values)
    return np.nan_to_num(np.fmax.reduce(around) - np.fmin.reduce(around))


def distances(mask: np.ndarray, beyond: bool = False) -> np.ndarray:
    """(S, S) float32: how far every pixel of a mask (S, S) bool is from the next one outside it, in pixels, infinite
    where there is none. beyond: whether what lies beyond the picture is in the mask."""
    padded = np.pad(mask, 1, constant_values=beyond)
    steps = np.arange(len(padded), dtype=np.float32)
    apart = (steps[:, None] - steps) ** 2
    along = np.where(padded[:, None, :], np.float32(np.inf), apart[None]).min(2)  # squared, within each row
    return np.sqrt((apart[..., None] + along).min(1))[1:-1, 1:-1]


def grow(mask: np.ndarray, steps: int = 1) -> np.ndarray:
    """A mask (H, W) bool and what lies within so many steps of it, each to one of a pixel's four neighbours."""
    for _ in range(steps):
        before, mask = mask, mask.copy()
        mask[1:] |= before[:-1]
        mask[:-1] |= before[1:]
        mask[:, 1:] |= before[:, :-1]
        mask[:, :-1] |= before[:, 1:]
    return mask


def measure_inside(mask: np.ndarray, radius: int) -> np.ndarray:
    """How large a cube fits into a grid of bool around each of its cells: float32, half the edge in cells, radius at
    most, 0 where it is one cell; beyond the border nothing ends."""
    found = np.zeros(mask.shape, np.float32)
    for _ in range(radius):
        mask = _combine(mask, np.logical_and)
        found += mask
    return found


def local_maximum(grid: np.ndarray, radius: int) -> np.ndarray:
    """A grid: the largest value within radius cells along every axis."""
    for _ in range(radius):
        grid = _combine(grid, np.maximum)
    return grid


def _combine(grid: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """Every cell of a grid combined with its neighbours, those across edges and corners, too."""
    for axis in range(grid.ndim):
        padded = np.moveaxis(np.pad(grid, [(int(a == axis),) * 2 for a in range(grid.ndim)], mode="edge"), axis, 0)
        grid = np.moveaxis(combine(combine(padded[:-2], padded[1:-1]), padded[2:]), 0, axis)
    return grid


def label_pieces(mask: np.ndarray) -> np.ndarray:
    """Numbers from 1 of the pieces of a mask, a picture or grid of bool, 0 outside of it: int of its shape. Pieces hang
    together by whole edges of pixels, by whole faces of cells."""
    first = mask.copy()  # of each run of pixels along the last axis
    first[..., 1:] &= ~mask[..., :-1]
    runs = np.where(mask, np.cumsum(first).reshape(mask.shape), 0)
    root = np.arange(np.count_nonzero(first) + 1)
    ends = np.concatenate([_pair_neighbours(runs, axis) for axis in range(mask.ndim - 1)], 1)
    while (root[ends[0]] != root[ends[1]]).any():
        here, there = root[ends]
        np.maximum.at(root, np.minimum(here, there), np.maximum(here, there))
        while (root[root] != root).any():
            root = root[root]
    return np.searchsorted(np.unique(np.append(root[1:], 0)), root)[runs]


def _pair_neighbours(runs: np.ndarray, axis: int) -> np.ndarray:
    """The numbers, not 0, that touch along an axis of a picture or grid, (2, K), each pair once."""
    rows = np.moveaxis(runs, axis, 0)
    here, there = rows[1:].ravel(), rows[:-1].ravel()
    both = np.flatnonzero((here > 0) & (there > 0))
    pairs = here[both] * (runs.max(initial=0) + 1) + there[both]
    return np.stack(np.divmod(np.unique(pairs), runs.max(initial=0) + 1))


def drop_specks(mask: np.ndarray, share: float, weight: np.ndarray | None = None) -> np.ndarray:
    """A mask, a picture or grid of bool, without specks: its pieces of at least a share of the weight, of its shape, of
    the heaviest one, or of its pixels."""
    pieces = label_pieces(mask)
    sizes = np.bincount(pieces.ravel(), None if weight is None else weight.ravel())
    sizes[0] = 0
    return (sizes >= share * sizes.max())[pieces] & mask
