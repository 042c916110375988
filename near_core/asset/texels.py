"""Texels, the detail surfels: finer than surfels, so that edges and textures stay sharp where light is coarse."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ..image import srgb_decode, srgb_encode
from .surfels import Surfels

EDGE = 2  # texels per edge of a surfel's cell


@dataclass(frozen=True)
class Texels:
    """K pieces of surfels that differ from them in place and colour only: they take their surfel's light.

    surfel: (K,) int32, ascending: the row of the surfel that each belongs to. position: (K, 3) float32, asset frame.
    shift: (K, 3) float32, display colour (sRGB, 0..1) less the surfel's. area: (K,) float32, surfel cells squared.
    """

    surfel: np.ndarray
    position: np.ndarray
    shift: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.surfel)

    def take(self, index: np.ndarray) -> Texels:
        """The texels at index (L,) ascending integers or (K,) booleans."""
        return Texels(*(getattr(self, field.name)[index] for field in fields(self)))

    def compute_colors(self, surfels: Surfels) -> np.ndarray:
        """(K, 3) float32 linear base colours, as the surfels' now are."""
        return srgb_decode(np.clip(srgb_encode(surfels.base_color)[self.surfel] + self.shift, 0, 1)).astype(np.float32)

    def regroup(self, rows: np.ndarray) -> Texels:
        """The texels of the surfels at rows (M,), which may repeat, as those of a list of these surfels."""
        first = np.searchsorted(self.surfel, rows)
        count = np.searchsorted(self.surfel, rows, "right") - first
        surfel = np.repeat(np.arange(len(rows), dtype=np.int32), count)
        start = np.cumsum(count) - count
        return replace(self.take(np.arange(len(surfel)) + (first - start)[surfel]), surfel=surfel)

    def drop_colors(self) -> Texels:
        """The same in their surfels' colours."""
        return replace(self, shift=np.zeros_like(self.shift))
