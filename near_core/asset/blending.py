"""What an asset's surfels and texels say of any points of its surface, smoothly."""

from __future__ import annotations

import numpy as np

from .._kernels import grid
from .skin import Skin, find_facing
from .surfels import SURFEL_RESOLUTION, Surfels
from .texels import EDGE, Texels

RADIUS = 0.6  # texels' edges within which they count: from farther away they would blur what they hold


class SurfelBlend:
    """Surfels and their texels, made ready to be asked between them, any number of times."""

    def __init__(self, surfels: Surfels, texels: Texels | None = None) -> None:
        self.surfels, self._texels = surfels, texels
        self._lattice = grid.Grid(surfels.position, surfels.normal, SURFEL_RESOLUTION)
        self._share = np.ascontiguousarray(np.clip(surfels.area, 0.05, 1) * surfels.opacity, np.float32)
        glow = [] if surfels.emission is None else [surfels.emission]
        self._material = np.column_stack([surfels.base_color, surfels.roughness, surfels.metallic, *glow])
        if texels is not None and len(texels):
            self._colors, self._area = texels.compute_colors(surfels), np.ascontiguousarray(texels.area)
            self._fine = grid.Grid(texels.position, np.ascontiguousarray(surfels.normal[texels.surfel]),
                                   EDGE * SURFEL_RESOLUTION)

    def blend(self, told: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """What surfels are told, (N, C), between them: (K, C) float32 at points (K, 3) of the sides that normals (K, 3)
        show, unit, asset frame; zeros where there are no surfels at all."""
        return grid.blend(self._lattice, points, normals, np.ascontiguousarray(told, np.float32), self._share)

    def blend_materials(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Base colour, roughness and metallic of points, as blend takes them, (K, 5) float32; and what they emit,
        (K, 8), where surfels do. Colours are as fine as the texels."""
        made = self.blend(self._material, points, normals)
        if self._texels is not None and len(self._texels):
            colors = grid.blend(self._fine, points, normals, self._colors, self._area, radius=RADIUS)
            found = colors.any(1)
            made[found, :3] = colors[found]
        return made


def blend_corners(skin: Skin, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The colours at a skin's corners between these, linear, (K, 3) float32 at points as blend takes them."""
    fine = grid.Grid(skin.vertices, find_facing(skin), EDGE * SURFEL_RESOLUTION)
    return grid.blend(fine, points, normals, np.ascontiguousarray(skin.color[:, :3]),
                      np.ones(len(skin.vertices), np.float32), radius=RADIUS)
