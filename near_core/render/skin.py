"""Skins made ready for pictures, and the material of the points under pixels."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .._kernels import triangles
from ..asset import Skin, SkinMaterial, Surfels
from ..directions import unit
from ..light.shadows import Feet
from ..mesh import find_unwrapping, texture
from ..scene import Occluders
from .config import SplattingConfig
from .skin_maps import SkinMaps

TAPS = 4  # looks at a map along an oblique pixel


class PreparedSkin:
    """A skin made ready: its maps, and how its triangles lie on them.

    All float32. normal: (F, 3) unit, by winding. tangents: (F, 2, 3), directions along which U and V grow, not unit.
    corners: (3, F, 3), a corner and the edges from it. density: (F,), UV area per area. slope: (F, 2, 3), gradients of
    U and V. bounds: (8, 4) float64, the corners of a box around it, and 1.
    """

    def __init__(self, skin: Skin, maps: SkinMaps | None = None):
        """maps: those of the skin, where they are known."""
        self.skin, self.maps = skin, maps or SkinMaps(skin.pictures)
        points, uv = skin.vertices[skin.faces], skin.uv[skin.faces]
        edge1, edge2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        self.corners, cross = np.stack([points[:, 0], edge1, edge2]), np.cross(edge1, edge2)
        self.normal = unit(cross)
        low, high = skin.vertices.min(0), skin.vertices.max(0)
        self.bounds = np.array([(*np.where(side, high, low), 1) for side in np.ndindex(2, 2, 2)], np.float64)
        self.tangents, self.density = find_unwrapping(points, self.normal, uv)
        doubled = np.maximum(np.linalg.norm(cross, axis=1), 1e-30)[:, None, None]
        along = uv[:, 1:] - uv[:, :1]  # (F, 2, 2) of the edges
        self.slope = (along[:, 0, :, None] * np.cross(edge2, self.normal)[:, None]
                      + along[:, 1, :, None] * np.cross(self.normal, edge1)[:, None]) / doubled

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

    def find_feet(self, points: triangles.Points) -> Feet:
        """Where points touch the skin: the mean of a pixel's samples lies beside it at creases. Source: Hanika 2021,
        Hacking the Shadow Terminator."""
        corner, edge1, edge2 = self.corners[:, points.row]
        away = points.position - corner
        # shares of the corners, as of the point of the plane that is nearest, then inside the triangle
        d11, d12, d22, d1, d2 = (np.einsum("kc,kc->k", a, b) for a, b in (
            (edge1, edge1), (edge1, edge2), (edge2, edge2), (away, edge1), (away, edge2)))
        over = 1 / np.maximum(d11 * d22 - d12 * d12, 1e-30)
        v, w = (d22 * d1 - d12 * d2) * over, (d11 * d2 - d12 * d1) * over
        share = np.maximum([1 - v - w, v, w], 0)
        share /= np.maximum(share.sum(0), 1e-30)
        along = share[1, :, None] * edge1 + share[2, :, None] * edge2
        normal = _turn_towards(points.normal, self.normal[points.row])
        position = np.asarray(corner + along, np.float32)

        def find_rise() -> np.ndarray:
            rise = np.zeros_like(position)
            if self.skin.normal is None:
                return rise
            faces = self.skin.faces[points.row]
            for number, part in enumerate(share):
                smooth = _turn_towards(points.normal, self.skin.normal[faces[:, number]])
                away = position - self.skin.vertices[faces[:, number]]
                rise -= (part * np.minimum(np.einsum("kc,kc->k", away, smooth), 0))[:, None] * smooth
            return rise

        return Feet(position, normal, unit(points.normal), find_rise)

    def look_up(self, material: SkinMaterial, column: int, uv: np.ndarray, area: np.ndarray, stretch: np.ndarray
                ) -> np.ndarray | None:
        """(K, C) float32 of a material's map in SkinMaterial.maps, None without one. area: (K,) of UV that a round
        pixel spans. stretch: (K, 2) of UV, how far it reaches where it falls obliquely, 0 where it is round."""
        number = material.maps[column]
        if number < 0:
            return None
        picture, levels = self.maps.pictures[number], self.maps.find_levels(number, column)
        texels = area * (picture.shape[0] * picture.shape[1])
        level = 0.5 * np.log2(np.maximum(texels, 1e-6))
        found = texture.sample(levels, uv, level, material.wrap)
        long = np.flatnonzero(stretch.any(1))
        if len(long):
            taps = (np.arange(TAPS) + 0.5) / TAPS - 0.5
            found[long] = sum(texture.sample(levels, uv[long] + np.float32(tap) * stretch[long], level[long],
                                             material.wrap) for tap in taps) / TAPS
        return found


def describe_points(prepared: PreparedSkin, points: triangles.Points, pixel: np.ndarray, eye: np.ndarray,
                    config: SplattingConfig = SplattingConfig()) -> Surfels:
    """The material of K points as surfels: normals face the camera, area is 1, confidence too.

    pixel: (K,) a pixel's edge at each, asset units. eye: (4,), as triangles.find_points takes it.
    """
    view = unit(np.float32(eye[:3]) - np.float32(eye[3]) * points.position)
    normal = prepared.normal[points.row]
    facing = np.einsum("kc,kc->k", normal, view)
    turned = np.where(facing < 0, -1, 1).astype(np.float32)
    normal = normal * turned[:, None]
    area = config.map_footprint * prepared.density[points.row] * pixel ** 2
    # an oblique pixel reaches along the view's direction on the surface
    steep = np.maximum(np.abs(facing), config.least_obliqueness)
    reach = np.where(steep < config.oblique, pixel / steep, 0)[:, None] * unit(view - facing[:, None] * prepared.normal[
        points.row])
    stretch = np.einsum("kij,kj->ki", prepared.slope[points.row], reach).astype(np.float32)
    color, roughness, metallic, bent = _look_up_materials(prepared, points, area, stretch, turned)
    length = np.linalg.norm(bent, axis=1)
    shading = lift_reflections(normal, bent / np.maximum(length, 1e-6)[:, None], view)
    # normals that differ within a pixel spread its reflection (Toksvig 2005)
    spread = config.normal_spread * np.minimum((1 - length) / np.maximum(length, 0.1), 0.2)
    roughness = np.clip(roughness ** 4 + spread, 0, 1) ** 0.25
    one = np.ones(len(points), np.float32)
    return Surfels(points.position, normal, np.ascontiguousarray(shading, np.float32),
                   color[:, :3] / np.maximum(color[:, 3:], 1e-6), roughness.astype(np.float32), metallic, one,
                   np.clip(color[:, 3], 0, 1), one)


def _look_up_materials(prepared: PreparedSkin, points: triangles.Points, area: np.ndarray, stretch: np.ndarray,
                       turned: np.ndarray
                       ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of K points: color (K, 4) linear, premultiplied; roughness and metallic (K,); shading normals (K, 3), shorter
    where they differ. area, stretch: as PreparedSkin.look_up takes them. turned: (K,) -1 where the back is seen."""
    skin = prepared.skin
    color, bent = points.color.copy(), points.normal.copy()
    color[:, :3] *= color[:, 3:]
    roughness, metallic = np.empty((2, len(points)), np.float32)
    kinds = skin.material[points.row]
    for kind in np.unique(kinds):
        at, material = np.flatnonzero(kinds == kind), skin.materials[kind]
        found = [prepared.look_up(material, column, points.uv[at], area[at], stretch[at]) for column in range(4)]
        r, g, b, alpha = material.base_color
        color[at] *= np.float32([r * alpha, g * alpha, b * alpha, alpha])
        if found[0] is not None:
            color[at] *= found[0]
        roughness[at], metallic[at] = material.roughness, material.metallic
        for values, looked_up in ((roughness, found[1]), (metallic, found[2])):
            if looked_up is not None:
                values[at] *= looked_up[:, 0]
        if found[3] is not None:
            height, width = prepared.maps.pictures[material.maps[3]].shape[:2]
            bent[at] = _bend(points.normal[at], prepared.tangents[points.row[at]], turned[at], found[3],
                             material.normal_scale, area[at] * (height * width) > 2)
    return color, roughness, metallic, bent


def lift_reflections(surface: np.ndarray, normal: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Shading normals (K, 3) turned towards the surface's own, as far as a mirror's reflection needs to stay above it.

    surface, normal, view: (K, 3) unit, towards the side of view. Source: Cycles, ensure_valid_specular_reflection.
    """
    dot = lambda a, b: np.einsum("kc,kc->k", a, b)
    along = np.maximum(dot(view, surface), 1e-4)  # I.z of the source, in the frame of surface and the normal's tilt
    least = np.minimum(0.9 * along, 0.01)
    low = np.flatnonzero(2 * dot(normal, view) * dot(normal, surface) - along < least)
    if not len(low):
        return normal
    n, g, z, least = normal[low], surface[low], along[low], least[low]
    tilt = unit(n - dot(n, g)[:, None] * g)
    x = dot(view[low], tilt)
    a = np.maximum(x * x + z * z, 1e-8)
    b, c = 2 * (a + z * least), (least + z) ** 2
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    square = np.clip(0.25 * np.where(x < 0, b + root, b - root) / a, 0, 1)
    made = normal.copy()
    made[low] = np.sqrt(1 - square)[:, None] * tilt + np.sqrt(square)[:, None] * g
    return made


def _bend(normal: np.ndarray, tangents: np.ndarray, turned: np.ndarray, values: np.ndarray, scale: float,
          averaged: np.ndarray) -> np.ndarray:
    """Normals (K, 3) bent by a normal map's values (K, 3); the length says how much they differ. averaged: (K,) bool,
    whether the values are means of several: between two texels of a map that is seen large, nothing differs."""
    length = np.where(averaged, np.minimum(np.linalg.norm(values, axis=1), 1), 1) * np.linalg.norm(normal, axis=1)
    outward = normal * turned[:, None]
    frame = tangents - outward[:, None] * np.einsum("kij,kj->ki", tangents, outward)[..., None]
    frame /= np.maximum(np.sqrt((frame * frame).sum(2, keepdims=True)), 1e-30)
    bent = scale * np.einsum("kij,ki->kj", frame, values[:, :2]) + outward * values[:, 2:]
    return unit(bent) * (turned * length)[:, None]


def _turn_towards(side: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Normals (K, 3) float32 on the side that others (K, 3) are on."""
    return np.where(np.einsum("kc,kc->k", normal, side)[:, None] < 0, -normal, normal)
