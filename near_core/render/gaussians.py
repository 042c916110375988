"""Gaussians: what surfels become on the way to the rasterizer."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..asset import CELL, EDGE, Texels
from ..asset.levels import Level
from .config import SplattingConfig

_ROWS, _COLUMNS = np.triu_indices(3)


@dataclass(frozen=True)
class SurfelGaussians:
    """N Gaussians in one frame. xyz: (N, 3). covariance: (N, 6) xx xy xz yy yz zz. opacity: (N,). All float32; lengths
    in asset units or, once moved into the world, metres."""

    xyz: np.ndarray
    covariance: np.ndarray
    opacity: np.ndarray

    def take(self, index: np.ndarray) -> SurfelGaussians:
        """Those at index, (M,) integers or (N,) booleans."""
        rows = index if index.dtype != bool else np.flatnonzero(index)
        return SurfelGaussians(self.xyz.take(rows, 0), self.covariance.take(rows, 0), self.opacity[rows])

    def move(self, matrix: np.ndarray) -> SurfelGaussians:
        """The same where matrix (4, 4) takes them, any affine map."""
        return self.scatter(matrix[None])[0]

    def scatter(self, matrices: np.ndarray) -> list[SurfelGaussians]:
        """The same as each of matrices (G, 4, 4) moves them."""
        linear = matrices[:, :3, :3]
        both = np.einsum("gia,gjb->gijab", linear, linear)[:, _ROWS, _COLUMNS]  # M S M^T as a map of S
        both = (both + both.swapaxes(2, 3))[..., _ROWS, _COLUMNS] / np.where(_ROWS == _COLUMNS, 2, 1)
        xyz = self.xyz @ linear.swapaxes(1, 2).astype(np.float32)
        xyz += matrices[:, None, :3, 3].astype(np.float32)
        covariance = self.covariance @ both.swapaxes(1, 2).astype(np.float32)
        return [replace(self, xyz=one, covariance=other) for one, other in zip(xyz, covariance)]

    def fade(self, share: float) -> SurfelGaussians:
        """The same so faint that with others that fade by 1 - share they let through what one of them alone does."""
        return self if share == 1 else replace(self, opacity=1 - (1 - self.opacity) ** np.float32(share))


def from_level(level: Level, config: SplattingConfig = SplattingConfig()) -> SurfelGaussians:
    """Discs for the surfels of a level, asset frame: where they were merged, as long and as wide as what they stand
    for."""
    surfels, n = level.surfels, level.surfels.normal
    if level.number == 0:
        return _make_discs(surfels.position, n, surfels.area, surfels.opacity, CELL,
                           _choose_inset(level.thickness, CELL, CELL, config), config)
    whole = np.empty((len(surfels), 3, 3), np.float32)
    whole[:, _ROWS, _COLUMNS] = whole[:, _COLUMNS, _ROWS] = level.spread
    through = n[:, :, None] * n[:, None, :]
    flat = np.eye(3, dtype=np.float32) - through
    across = flat @ whole @ flat
    # the moments of a square of area A are A / 12 both ways: how much of such a patch its surface fills
    squares = np.einsum("mii->m", across) ** 2 - np.einsum("mij,mji->m", across, across)
    patch = np.maximum(12 * np.sqrt(np.maximum(squares / 2, 0)), 1e-12)
    filled = np.clip(config.filling * surfels.area * np.float32(level.cell ** 2) / patch, 0, 1)
    covariance = (np.float32(12 * config.disc_width ** 2) * across
                  + np.float32((config.disc_thickness * level.cell) ** 2) * through)
    opacity = config.opacity * surfels.opacity * (1 - (1 - filled) ** config.layers)
    inset = _choose_inset(level.thickness, level.cell, level.cell, config)
    return SurfelGaussians((surfels.position - n * inset[:, None]).astype(np.float32),
                           np.ascontiguousarray(covariance[:, _ROWS, _COLUMNS]), opacity.astype(np.float32))


def from_texels(texels: Texels, level: Level, config: SplattingConfig = SplattingConfig()) -> SurfelGaussians:
    """Discs for texels of the surfels of level 0, as from_level."""
    surfels, owner, cell = level.surfels, texels.surfel, CELL / EDGE
    return _make_discs(texels.position, surfels.normal[owner], texels.area * EDGE ** 2, surfels.opacity[owner], cell,
                       _choose_inset(level.thickness[owner], CELL, cell, config), config)


def _choose_inset(thickness: np.ndarray, cell: float, own: float, config: SplattingConfig) -> np.ndarray:
    """How far below the surface discs lie, (N,) float32 asset units; never beyond the middle of a sheet.

    thickness: (N,) in cells. cell: its edge, own: that of the discs' cells, asset units.
    """
    return np.minimum(config.inset * own, 0.5 * cell * thickness).astype(np.float32)


def _make_discs(position: np.ndarray, n: np.ndarray, area: np.ndarray, opacity: np.ndarray, cell: float,
                inset: np.ndarray, config: SplattingConfig) -> SurfelGaussians:
    """position, n: (N, 3), inset: (N,), cell: asset frame and units. area: (N,) in cells squared."""
    scale = np.sqrt(np.clip(area, config.least_area, config.greatest_area)) * np.float32(config.disc_width * cell)
    through = np.minimum(np.float32(config.disc_thickness * cell), scale)
    # scale^2 (I - n n^T) + through^2 n n^T
    covariance = ((scale**2)[:, None] * np.eye(3, dtype=np.float32)[_ROWS, _COLUMNS]
                  + (through**2 - scale**2)[:, None] * n[:, _ROWS] * n[:, _COLUMNS])
    return SurfelGaussians((position - n * inset[:, None]).astype(np.float32),
                           covariance.astype(np.float32), (config.opacity * opacity).astype(np.float32))


def concatenate(parts: list[SurfelGaussians]) -> SurfelGaussians:
    """Several lists as one, in order."""
    return SurfelGaussians(*(np.concatenate(arrays) for arrays in
                             zip(*((part.xyz, part.covariance, part.opacity) for part in parts))))
