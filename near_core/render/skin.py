"""Skins made ready for pictures, and the material of the points under pixels."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._kernels import skin as skins
from .._kernels import triangles
from ..asset import Skin, Surfels
from ..directions import unit
from ..light.shadows import Feet
from ..mesh import find_unwrapping
from ..scene import Occluders
from .config import SplattingConfig
from .skin_maps import SkinMaps


class PreparedSkin:
    """A skin made ready: its maps, and how its triangles lie on them.

    All float32. normal: (F, 3) unit, by winding. tangents: (F, 2, 3), directions along which U and V grow, not unit.
    density: (F,), UV area per area. slope: (F, 2, 3), gradients of U and V. bounds: (8, 4) float64, the corners of a
    box around it, and 1.
    """

    def __init__(self, skin: Skin, maps: SkinMaps | None = None):
        """maps: those of the skin, where they are known."""
        self.skin, self.maps = skin, maps or SkinMaps(skin.pictures)
        points, uv = skin.vertices[skin.faces], skin.uv[skin.faces]
        edge1, edge2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        cross = np.cross(edge1, edge2)
        self.normal = unit(cross)
        low, high = skin.vertices.min(0), skin.vertices.max(0)
        self.bounds = np.array([(*np.where(side, high, low), 1) for side in np.ndindex(2, 2, 2)], np.float64)
        self.tangents, self.density = (np.asarray(each, np.float32) for each in find_unwrapping(
            points, self.normal, uv))
        doubled = np.maximum(np.linalg.norm(cross, axis=1), 1e-30)[:, None, None]
        along = uv[:, 1:] - uv[:, :1]  # (F, 2, 2) of the edges
        self.slope = np.ascontiguousarray((along[:, 0, :, None] * np.cross(edge2, self.normal)[:, None]
                                           + along[:, 1, :, None] * np.cross(self.normal, edge1)[:, None]) / doubled,
                                          np.float32)

    @cached_property
    def occluders(self) -> Occluders:
        """The triangles that let no light through, asset frame."""
        solid = np.array([m.base_color[3] >= 0.5 for m in self.skin.materials])
        return Occluders(self.skin.vertices, self.skin.faces[solid[self.skin.material]])

    @cached_property
    def transparent(self) -> bool:
        """Whether any of it lets light through."""
        colors = [self.maps.pictures[m.maps[0]] for m in self.skin.materials if m.maps[0] >= 0]
        return (any(m.base_color[3] < 1 for m in self.skin.materials) or any((c[..., 3] < 255).any() for c in colors)
                or (self.skin.color is not None and bool((self.skin.color[:, 3] < 1).any())))

    @cached_property
    def textured(self) -> skins.Triangles:
        """Its triangles and their maps."""
        made = [skins.TriangleMaterial(m.base_color, m.roughness, m.metallic, m.normal_scale, m.wrap, tuple(
            None if number < 0 else self.maps.find_levels(number, column) for column, number in enumerate(m.maps)))
            for m in self.skin.materials]
        return skins.Triangles(self.normal, self.tangents, self.density, self.slope, self.skin.material, made)

    @cached_property
    def glowing(self) -> skins.Triangles | None:
        """The same with what they emit for their base colour, None where nothing does."""
        if not any(any(m.emission) for m in self.skin.materials):
            return None
        made = [skins.TriangleMaterial((*m.emission, 1.0), 1.0, 0.0, 1.0, m.wrap, (
            None if m.emission_map < 0 else self.maps.find_levels(m.emission_map, 0), None, None, None))
            for m in self.skin.materials]
        return skins.Triangles(self.normal, self.tangents, self.density, self.slope, self.skin.material, made)

    def find_feet(self, points: triangles.Points) -> Feet:
        """Where points touch the skin."""
        return Feet(*skins.find_feet(self.skin.vertices, self.skin.faces, self.normal, self.skin.normal, points.row,
                                     points.position, points.normal, threads=1))


def describe_points(prepared: PreparedSkin, points: triangles.Points, pixel: np.ndarray, eye: np.ndarray,
                    config: SplattingConfig = SplattingConfig(), threads: int = 1) -> Surfels:
    """The material of K points as surfels: normals face the camera, area is 1, confidence too.

    pixel: (K,) a pixel's edge at each, asset units. eye: (4,), as triangles.find_points takes it.
    """
    def describe(triangles: skins.Triangles, color: np.ndarray, rows: slice | np.ndarray = slice(None)
                 ) -> skins.Described:
        return skins.describe(triangles, points.row[rows], points.position[rows], points.normal[rows], points.uv[rows],
                              color, pixel[rows], eye, footprint=config.map_footprint, oblique=config.oblique,
                              least=config.least_obliqueness, spread=config.normal_spread, threads=threads)

    made, one, emission = describe(prepared.textured, points.color), np.ones(len(points), np.float32), None
    if prepared.glowing is not None:
        emission, glows = np.zeros_like(made.base_color), np.array([any(m.emission) for m in prepared.skin.materials])
        rows = np.flatnonzero(glows[prepared.skin.material[points.row]])
        emission[rows] = describe(prepared.glowing, np.ones((len(rows), 4), np.float32), rows).base_color
    return Surfels(points.position, made.normal, made.shading_normal, made.base_color, made.roughness, made.metallic,
                   one, made.opacity, one, emission)
