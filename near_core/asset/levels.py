"""Levels of detail: surfels merged over coarser and coarser cells, for assets that are small in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._kernels import groups
from ..directions import unit
from ..image import srgb_encode
from .surfels import CELL, SURFEL_RESOLUTION, Surfels
from .texels import Texels

LEVELS = 7  # grids of 128, 64, 32, 16, 8, 4 and 2 cells
SIDES = 6  # a cell's surfels are merged by the side of a cube that they face
_ROWS, _COLUMNS = np.triu_indices(3)
_FAR, _STRIDES = 2 ** 18, np.array([2 ** 38, 2 ** 19, 1])  # cells along an axis become one number


@dataclass(frozen=True, eq=False)
class Level:
    """An asset's surfels on a grid of SURFEL_RESOLUTION / 2**number cells.

    surfels: M of them, areas in this grid's cells squared. spread: (M, 6) float32 xx xy xz yy yz zz, asset units
    squared, second moments of the surface that a surfel stands for. finer: the level that was merged; parent: of each
    of its surfels, the row it went into, (M',) int32; heir: for each surfel the one of these that light is traced from,
    (M,) int32; None at level 0.
    """

    number: int
    surfels: Surfels
    spread: np.ndarray
    finer: Level | None = None
    parent: np.ndarray | None = None
    heir: np.ndarray | None = None

    @property
    def resolution(self) -> int:
        """Cells along an edge of the asset's cube."""
        return SURFEL_RESOLUTION >> self.number

    @property
    def cell(self) -> float:
        """Edge of a cell, asset units."""
        return 1.0 / self.resolution

    @cached_property
    def thickness(self) -> np.ndarray:
        """(M,) float32, cells, as measure_thickness."""
        return measure_thickness(self.surfels, self.cell)

    def make_texels(self) -> tuple[Texels, np.ndarray]:
        """The finer level's surfels as texels of this one's, and which they are, (M',) rows."""
        order, finer = np.argsort(self.parent, kind="stable"), self.finer.surfels
        surfel = self.parent[order].astype(np.int32)
        shift = srgb_encode(finer.base_color[order]) - srgb_encode(self.surfels.base_color)[surfel]
        return Texels(surfel, finer.position[order], shift.astype(np.float32), finer.area[order] / 4), order


def start(surfels: Surfels) -> Level:
    """Level 0: all of an asset's surfels, each a square of its area."""
    n = surfels.normal
    own = (surfels.area * np.float32(CELL ** 2 / 12))[:, None]
    flat = np.eye(3, dtype=np.float32)[_ROWS, _COLUMNS] - n[:, _ROWS] * n[:, _COLUMNS]
    return Level(0, surfels, own * flat)


def merge(level: Level) -> Level:
    """The next coarser level: a surfel for every cell and side of a cube that the surfels in it face.

    Colour, roughness and the like are means by area. Where normals spread, reflections get wider by as much (Toksvig
    2005; the concentration of a von Mises-Fisher lobe as in Banerjee et al. 2005).
    """
    surfels, number, resolution = level.surfels, level.number + 1, level.resolution // 2
    parent = _number(surfels, resolution)
    mean = _Means(parent, surfels.area)
    normal, bent, position = mean(surfels.normal), mean(surfels.shading_normal), mean(surfels.position)
    length = np.clip(np.linalg.norm(bent, axis=1), 1e-3, 1 - 1e-6)
    concentration = length * (3 - length ** 2) / (1 - length ** 2)
    roughness = np.minimum(mean(surfels.roughness ** 4) + 2 / concentration, 1) ** 0.25
    area = np.bincount(parent, surfels.area) * np.linalg.norm(normal, axis=1) / 4  # as seen along the mean normal
    apart = surfels.position - position[parent]
    merged = Surfels(position, unit(normal), unit(bent), mean(surfels.base_color), roughness.astype(np.float32),
                     mean(surfels.metallic), area.astype(np.float32), mean(surfels.opacity), mean(surfels.confidence),
                     None if surfels.emission is None else mean(surfels.emission))
    spread = mean(level.spread + apart[:, _ROWS] * apart[:, _COLUMNS])
    # what is seen of a coarse cell lies outside: what is in its folds shall not say how much light there is
    outside = np.einsum("mc,mc->m", apart, merged.normal[parent])
    return Level(number, merged, spread, level, parent, _find_least(
        np.sqrt(np.einsum("mc,mc->m", apart, apart)) - 3 * outside, parent, len(merged)))


def _number(surfels: Surfels, resolution: int) -> np.ndarray:
    """The row that each surfel is merged into, (M,) int32, in the order of cells and of their sides."""
    x, y, z = (np.clip(((column + np.float32(0.5)) * np.float32(resolution)).astype(np.int32), 0, resolution - 1)
               for column in surfels.position.T)
    names = ((x * resolution + y) * resolution + z) * SIDES + _find_sides(surfels.normal)
    there = np.zeros(SIDES * resolution ** 3, bool)
    there[names] = True
    used = np.flatnonzero(there)
    rows = np.empty(len(there), np.int32)
    rows[used] = np.arange(len(used), dtype=np.int32)
    return rows[names]


def _find_least(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """The first row of the least value (M,) in each of `count` groups (M,), (count,) int32."""
    least, found = np.full(count, np.inf, values.dtype), np.empty(count, np.int32)
    np.minimum.at(least, group, values)
    rows = np.flatnonzero(values <= least[group])[::-1]  # of several the one that is written last stays
    found[group[rows]] = rows
    return found


def measure_thickness(surfels: Surfels, cell: float) -> np.ndarray:
    """How far behind each surfel the other side of its sheet is, (M,) float32 in cells; infinite where there is none
    within about a cell. cell: asset units."""
    position, normal, side = surfels.position, surfels.normal, _find_sides(surfels.normal)

    def name_places(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
        return (np.floor(points / np.float32(cell)).astype(np.int64) + _FAR) @ _STRIDES * SIDES + sides

    names, parent = np.unique(name_places(position, side), return_inverse=True)
    if not len(names):
        return np.empty(0, np.float32)
    mean = _Means(parent, surfels.area)
    places, facing = mean(position), unit(mean(normal))
    thickness = np.full(len(position), np.inf, np.float32)
    for depth in (0.0, 0.5, 1.0):
        wanted = name_places(position - normal * np.float32(depth * cell), side ^ 1)  # the side that faces away
        found = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
        apart = np.einsum("mc,mc->m", position - places[found], normal) / np.float32(cell)
        opposed = (names[found] == wanted) & (np.einsum("mc,mc->m", normal, facing[found]) < -0.5) & (apart > -0.25)
        thickness = np.where(opposed, np.minimum(thickness, np.maximum(apart, 0)), thickness)
    return thickness


def _find_sides(normal: np.ndarray) -> np.ndarray:
    """Which side of a cube normals (M, 3) face, (M,) int64; side ^ 1 is the one opposite."""
    x, y, z = np.abs(normal).T
    axis = np.where((x >= y) & (x >= z), 0, np.where(y >= z, 1, 2))  # numpy is slow along an axis of three
    below = np.where(axis == 0, normal[:, 0], np.where(axis == 1, normal[:, 1], normal[:, 2])) < 0
    return 2 * axis + below


class _Means:
    """Means by area over the surfels that have the same parent."""

    def __init__(self, parent: np.ndarray, area: np.ndarray) -> None:
        self.parent, self.weight = parent.astype(np.int32), np.maximum(area, np.float32(1e-3))
        self.count = int(self.parent.max(initial=-1)) + 1

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Of values (M',) or (M', n); float32."""
        rows = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
        return groups.average(rows, self.weight, self.parent, self.count).reshape(self.count, *values.shape[1:])
