"""Fields of what no photo shows: as calm as a thin plate that bends, and standing on the ground."""

from __future__ import annotations

import numpy as np

from ..asset import CELL
from ..asset.surfels import SURFEL_RESOLUTION
from .view import LayerView, lift_pixels


def fair(field: np.ndarray, weight: np.ndarray, stiffness: float, rounds: int = 60) -> np.ndarray:
    """The field (N, N, N) that bends least and is near to a given one by a weight (N, N, N) from 0: the minimum of
    weight (new - field)^2 + stiffness (Laplacian of new)^2, by rounds of conjugate gradients. float32; the border's
    values go on outside. Not quite the minimum where the field is large and weights are small: of 32^3 cells with
    weights of 0.03 a tenth of the way may be left."""
    # of the diagonal: that of the Laplacian's square is 42
    scale = (1 / np.sqrt(weight + 42 * stiffness)).astype(np.float32)
    apply = lambda x: scale * (weight * (scale * x) + stiffness * _measure_bend(_measure_bend(scale * x)))
    found = (field / scale).astype(np.float32)
    goal = scale * weight * field
    left = along = goal - apply(found)
    size, enough = _square(left), 1e-6 * _square(goal)
    for _ in range(rounds):
        if size <= enough:
            break
        made = apply(along)
        step = size / float((along * made).sum())
        found, left = found + step * along, left - step * made
        size, before = _square(left), size
        along = left + size / before * along
    return scale * found


def _square(values: np.ndarray) -> float:
    return float((values * values).sum())


def _measure_bend(field: np.ndarray) -> np.ndarray:
    """The Laplacian of a field (N, N, N), in cells."""
    bend = np.zeros_like(field)
    for axis in range(field.ndim):
        change = np.moveaxis(np.diff(field, axis=axis), axis, 0)
        rows = np.moveaxis(bend, axis, 0)
        rows[:-1] += change
        rows[1:] -= change
    return bend


def fill_below(deep: np.ndarray, fades: np.ndarray) -> np.ndarray:
    """A field (N, N, N) of how deep cells lie inside a solid, in cells, that stands on what is below it: a cell is as
    deep as the one above it, less its level's fade of (N,), but no deeper than 1 by that."""
    filled = np.minimum(deep, 1)
    for level in range(deep.shape[2] - 2, -1, -1):
        np.maximum(filled[..., level], filled[..., level + 1] - fades[level], out=filled[..., level])
    return np.maximum(deep, filled)


def measure_narrowing(view: LayerView) -> np.ndarray:
    """By how much what a view shows is narrower at each level of the 128^3 cells than at the one above, over its
    greatest width, (128,) from 0."""
    points = lift_pixels(view, view.mask)
    aside = points @ view.camera.world_to_camera[0, :3].astype(np.float32)
    level = np.clip(((points[:, 2] + 0.5) / CELL).astype(int), 0, SURFEL_RESOLUTION - 1)
    ends = np.full((2, SURFEL_RESOLUTION), -np.inf, np.float32)
    np.maximum.at(ends[0], level, aside)
    np.maximum.at(ends[1], level, -aside)
    known = np.flatnonzero(np.isfinite(ends[0]))
    if not len(known):
        return np.zeros(SURFEL_RESOLUTION, np.float32)
    width = np.interp(np.arange(SURFEL_RESOLUTION), known, ends.sum(0)[known])
    # a notch is no foot: what is as wide again below does not narrow
    width = np.maximum.accumulate(width)
    return np.diff(width, append=width[-1:]).clip(0).astype(np.float32) / max(width.max(), CELL)
