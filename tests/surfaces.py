"""Surfels laid by hand, and assets of them, which tests share."""

from typing import Any

import numpy as np

from near_core.asset import CELL, NeuralAsset, Surfels
from near_core.directions import fibonacci_sphere


def lay(position: Any, normal: Any, color: Any = 0.8, roughness: Any = 1.0, metallic: Any = 0.0, area: Any = 1.0
        ) -> Surfels:
    """Opaque surfels at places (N, 3); all else is of each of them or of all."""
    fill = lambda values, *shape: np.array(np.broadcast_to(np.float32(values), (len(position), *shape)), order="C")
    columns = fill(position, 3), *2 * [fill(normal, 3)], fill(color, 3), *map(fill, (roughness, metallic, area, 1, 1))
    return Surfels(*columns)


def lay_ball(count: int, radius: Any, **about: Any) -> Surfels:
    """A sphere of surfels, evenly spread. radius: of each of them or of all."""
    normal = fibonacci_sphere(count).astype(np.float32)
    return lay(radius * normal, normal, **about)


def spread(side: int) -> np.ndarray:
    """(side * side, 2), the middles of a square's surfels around 0, a cell apart."""
    x, y = np.meshgrid(*2 * [(np.arange(side) + 0.5 - side / 2) * CELL])
    return np.stack([x.ravel(), y.ravel()], 1)


def dress(surfels: Surfels, latent: int = 0, **options: Any) -> NeuralAsset:
    """An asset of surfels with grey voxels. latent: columns, of ones."""
    coords = np.unique(((surfels.position + 0.5) * 64).astype(np.uint8), axis=0)
    return NeuralAsset(coords, np.full((len(coords), 8), 0.5, np.float16),
                       np.ones((len(coords), latent), np.float16), surfels, **options)
