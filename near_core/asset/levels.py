"""Levels of detail: surfels merged over coarser and coarser cells, for assets that are small in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..directions import unit
from ..image import srgb_encode
from .surfels import CELL, SURFEL_RESOLUTION, Surfels
from .texels import Texels

LEVELS = 5  # grids of 128, 64, 32, 16 and 8 cells
SIDES = 6  # a cell's surfels are merged by the side of a cube that they face
_ROWS, _COLUMNS = np.triu_indices(3)


@dataclass(frozen=True, eq=False)
class Level:
    """An asset's surfels on a grid of SURFEL_RESOLUTION / 2**number cells.

    surfels: M of them, areas in this grid's cells squared. spread: (M, 6) float32 xx xy xz yy yz zz, asset units
    squared, second moments of the surface that a surfel stands for. finer: the level that was merged, and parent: of
    each of its surfels, the row it went into, (M',) int64; None at level 0.
    """

    number: int
    surfels: Surfels
    spread: np.ndarray
    finer: Level | None = None
    parent: np.ndarray | None = None

    @property
    def resolution(self) -> int:
        """Cells along an edge of the asset's cube."""
        return SURFEL_RESOLUTION >> self.number

    @property
    def cell(self) -> float:
        """Edge of a cell, asset units."""
        return 1.0 / self.resolution

    def average(self, values: np.ndarray) -> np.ndarray:
        """Of values (M', n) of the finer level's surfels the means by area, (M, n) float32."""
        return _Means(self.parent, self.finer.surfels.area)(values)

    def make_texels(self) -> tuple[Texels, np.ndarray]:
        """The finer level's surfels as texels of this one's, and which they are, (M',) rows."""
        order, finer = np.argsort(self.parent, kind="stable"), self.finer.surfels
        surfel = self.parent[order].astype(np.int32)
        shift = srgb_encode(finer.base_color[order]) - srgb_encode(self.surfels.base_color)[surfel]
        return Texels(surfel, finer.position[order], shift.astype(np.float32), finer.area[order] / 4), order


def start(surfels: Surfels) -> Level:
    """Level 0: all of an asset's surfels, each a square of its area."""
    n, own = surfels.normal, (surfels.area * np.float32(CELL ** 2 / 12))[:, None]
    return Level(0, surfels, own * (np.eye(3, dtype=np.float32)[_ROWS, _COLUMNS] - n[:, _ROWS] * n[:, _COLUMNS]))


def merge(level: Level) -> Level:
    """The next coarser level: a surfel for every cell and side of a cube that the surfels in it face.

    Colour, roughness and the like are means by area. Where normals spread, reflections get wider by as much (Toksvig
    2005; the concentration of a von Mises-Fisher lobe as in Banerjee et al. 2005).
    """
    surfels, number, resolution = level.surfels, level.number + 1, level.resolution // 2
    cell = np.clip(((surfels.position + 0.5) * resolution).astype(np.int64), 0, resolution - 1)
    axis = np.abs(surfels.normal).argmax(1)
    side = 2 * axis + (surfels.normal[np.arange(len(axis)), axis] < 0)
    _, parent = np.unique((cell @ np.array([resolution ** 2, resolution, 1])) * SIDES + side, return_inverse=True)
    mean = _Means(parent, surfels.area)
    normal, bent, position = mean(surfels.normal), mean(surfels.shading_normal), mean(surfels.position)
    length = np.clip(np.linalg.norm(bent, axis=1), 1e-3, 1 - 1e-6)
    concentration = length * (3 - length ** 2) / (1 - length ** 2)
    roughness = np.minimum(mean(surfels.roughness ** 4) + 2 / concentration, 1) ** 0.25
    area = np.bincount(parent, surfels.area) * np.linalg.norm(normal, axis=1) / 4  # as seen along the mean normal
    apart = surfels.position - position[parent]
    merged = Surfels(position, unit(normal), unit(bent), mean(surfels.base_color), roughness.astype(np.float32),
                     mean(surfels.metallic), area.astype(np.float32), mean(surfels.opacity), mean(surfels.confidence))
    return Level(number, merged, mean(level.spread + apart[:, _ROWS] * apart[:, _COLUMNS]), level, parent)


class _Means:
    """Means by area over the surfels that have the same parent."""

    def __init__(self, parent: np.ndarray, area: np.ndarray) -> None:
        self.parent, self.weight = parent, np.maximum(area, 1e-3).astype(np.float64)
        self.total = np.bincount(parent, self.weight)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Of values (M',) or (M', n); float32."""
        columns = [np.bincount(self.parent, self.weight * column) / self.total for column in np.atleast_2d(values.T)]
        return (columns[0] if values.ndim == 1 else np.stack(columns, 1)).astype(np.float32)
