"""Gaussians: what surfels become on the way to the rasterizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..asset import CELL, EDGE, Surfels, Texels
from .config import SplattingConfig


@dataclass(frozen=True)
class SurfelGaussians:
    """N Gaussians in the world. xyz: (N, 3) metres. covariance: (N, 6) xx xy xz yy yz zz, square metres.
    opacity: (N,). All float32."""

    xyz: np.ndarray
    covariance: np.ndarray
    opacity: np.ndarray

    def take(self, index: np.ndarray) -> SurfelGaussians:
        """Those at index, (M,) integers or (N,) booleans."""
        return SurfelGaussians(self.xyz[index], self.covariance[index], self.opacity[index])


def from_surfels(surfels: Surfels, matrix: np.ndarray, config: SplattingConfig = SplattingConfig()) -> SurfelGaussians:
    """Discs for surfels of an asset that stands at matrix (4, 4), asset frame -> world."""
    return _make_discs(surfels.position, surfels.normal, surfels.area, surfels.opacity, CELL, matrix, config)


def from_texels(texels: Texels, surfels: Surfels, matrix: np.ndarray, config: SplattingConfig = SplattingConfig()
                ) -> SurfelGaussians:
    """Discs for texels of surfels, as from_surfels."""
    return _make_discs(texels.position, surfels.normal[texels.surfel], texels.area * EDGE ** 2,
                       surfels.opacity[texels.surfel], CELL / EDGE, matrix, config)


def _make_discs(position: np.ndarray, n: np.ndarray, area: np.ndarray, opacity: np.ndarray, cell: float,
                matrix: np.ndarray, config: SplattingConfig) -> SurfelGaussians:
    """M x and M S M^T. position, n: (N, 3), asset frame. area: (N,) in cells squared. cell: asset units."""
    scale = np.sqrt(np.clip(area, config.least_area, config.greatest_area)) * np.float32(config.disc_width * cell)
    through = np.minimum(np.float32(config.disc_thickness * cell), scale)
    linear = matrix[:3, :3].astype(np.float32)
    xyz = (position - n * np.float32(config.inset * cell)) @ linear.T + matrix[:3, 3].astype(np.float32)
    # S = scale^2 (I - n n^T) + through^2 n n^T, so M S M^T = scale^2 M M^T + (through^2 - scale^2) (M n)(M n)^T
    base, mn = linear @ linear.T, n @ linear.T
    rows, columns = np.triu_indices(3)
    covariance = (scale**2)[:, None] * base[rows, columns] + ((through**2 - scale**2)[:, None]
                                                              * mn[:, rows] * mn[:, columns])
    return SurfelGaussians(xyz.astype(np.float32), covariance.astype(np.float32),
                           (config.opacity * opacity).astype(np.float32))


def concatenate(parts: list[SurfelGaussians]) -> SurfelGaussians:
    """Several lists as one, in order."""
    return SurfelGaussians(*(np.concatenate(arrays) for arrays in
                             zip(*((part.xyz, part.covariance, part.opacity) for part in parts))))
