"""Skins in a picture: triangles on its samples, the points under its pixels, their material and their light."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._kernels import triangles
from ..asset import Skin, SkinMaterial, Surfels
from ..directions import unit
from ..mesh import texture
from ..scene import Camera
from .config import SplattingConfig
from .parallel import parallel_map


AT_ONCE = 8192  # points shaded together: what they need stays in a core's cache


class PreparedSkin:
    """A skin made ready: its maps with their mip levels, and how its triangles lie on them.

    tangents: (F, 2, 3) float32, directions along which U and V grow, not unit. density: (F,) float32, UV area per area.
    """

    def __init__(self, skin: Skin):
        self.skin = skin
        points, uv = skin.vertices[skin.faces], skin.uv[skin.faces]
        edge1, edge2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
        cross = np.cross(edge1, edge2)
        doubled = np.linalg.norm(cross, axis=1)
        self.normal = cross / np.maximum(doubled, 1e-30)[:, None]
        (u1, v1), (u2, v2) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
        determinant = u1 * v2 - u2 * v1
        hand = np.where(determinant < 0, -1, 1)[:, None]
        along_u = (edge1 * v2[:, None] - edge2 * v1[:, None]) * hand
        self.tangents = np.stack([along_u, np.cross(self.normal, along_u) * hand], 1)
        self.density = np.abs(determinant) / np.maximum(doubled, 1e-30)
        self.pictures = [texture.decode(data, "A map of the asset") for data in skin.pictures]
        self.levels: dict[tuple[int, bool], list[np.ndarray]] = {}
        self.transparent = any(m.base_color[3] < 1 or (m.maps[0] >= 0 and (self.pictures[m.maps[0]][..., 3] < 255).any())
                               for m in skin.materials) or (skin.color is not None and (skin.color[:, 3] < 1).any())

    def look_up(self, material: SkinMaterial, column: int, uv: np.ndarray, area: np.ndarray) -> np.ndarray | None:
        """(K, C) float32 of a material's map in SkinMaterial.maps, None without one. area: (K,) of UV."""
        number = material.maps[column]
        if number < 0:
            return None
        picture = self.pictures[number]
        if (number, column == 0) not in self.levels:
            linear = texture.decode_color(picture) if column == 0 else picture[..., :3].astype(np.float32) / 255
            self.levels[number, column == 0] = texture.build_pyramid(linear)
        texels = area * (picture.shape[0] * picture.shape[1])
        return texture.sample(self.levels[number, column == 0], uv, 0.5 * np.log2(np.maximum(texels, 1e-6)),
                              material.wrap)


def describe_points(prepared: PreparedSkin, points: triangles.Points, pixel: np.ndarray, eye: np.ndarray) -> Surfels:
    """The material of K points as surfels: normals face the camera, area is 1, confidence too.

    pixel: (K,) a pixel's edge at each, asset units. eye: (4,), as triangles.find_points takes it.
    """
    skin, count = prepared.skin, len(points)
    view = unit(eye[:3] - eye[3] * points.position)
    normal = prepared.normal[points.row]
    facing = np.einsum("kc,kc->k", normal, view)
    turned = np.where(facing < 0, -1, 1).astype(np.float32)
    normal = normal * turned[:, None]
    color = points.color.copy()
    color[:, :3] *= color[:, 3:]
    roughness, metallic = np.empty((2, count), np.float32)
    bent = points.normal.copy()
    # an oblique triangle's pixel is long; a level between its sides blurs little and flickers little
    area = prepared.density[points.row] * pixel ** 2 / np.maximum(np.abs(facing), 0.2)
    kinds = skin.material[points.row]
    for kind in np.unique(kinds):
        at, material = np.flatnonzero(kinds == kind), skin.materials[kind]
        look_up = lambda column: prepared.look_up(material, column, points.uv[at], area[at])  # noqa: B023
        r, g, b, alpha = material.base_color
        color[at] *= np.float32([r * alpha, g * alpha, b * alpha, alpha])
        roughness[at], metallic[at] = material.roughness, material.metallic
        for column, values in enumerate(map(look_up, range(4))):
            if values is None:
                continue
            if column == 0:
                color[at] *= values
            elif column == 3:
                bent[at] = _bend(points.normal[at], prepared.tangents[points.row[at]], turned[at], values,
                                 material.normal_scale)
            else:
                (roughness, metallic)[column - 1][at] *= values[:, 0]
    length = np.linalg.norm(bent, axis=1)
    shading = bent / np.maximum(length, 1e-6)[:, None]
    shading = lift_reflections(normal, shading, view)
    # normals that differ within a pixel spread its reflection (Toksvig 2005)
    spread = np.clip((1 - length) / np.maximum(length, 1e-3), 0, 0.25)
    roughness = np.clip(roughness ** 4 + 2 * spread * 0, 0, 1) ** 0.25
    one = np.ones(count, np.float32)
    return Surfels(points.position, normal.astype(np.float32), np.ascontiguousarray(shading, np.float32),
                   color[:, :3] / np.maximum(color[:, 3:], 1e-6), roughness.astype(np.float32), metallic, one,
                   np.clip(color[:, 3], 0, 1), one)


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


def _bend(normal: np.ndarray, tangents: np.ndarray, turned: np.ndarray, values: np.ndarray, scale: float) -> np.ndarray:
    """Normals (K, 3) bent by a normal map's values (K, 3) in 0..1; the length says how much they differ."""
    values = values * 2 - 1
    length = np.minimum(np.linalg.norm(values, axis=1, keepdims=True), 1) * np.linalg.norm(normal, axis=1, keepdims=True)
    values[:, :2] *= scale
    outward = normal * turned[:, None]
    frame = tangents - outward[:, None] * np.einsum("kij,kj->ki", tangents, outward)[..., None]
    frame /= np.maximum(np.sqrt((frame * frame).sum(2, keepdims=True)), 1e-30)
    bent = np.einsum("kij,ki->kj", frame, values[:, :2]) + outward * values[:, 2:]
    return unit(bent) * (turned * length[:, 0])[:, None]


@dataclass(frozen=True, eq=False)
class PlacedSkin:
    """A skin in the world. matrix: (4, 4) float64, asset frame -> world. shade: what K of its points look like: their
    surfels, view (K, 3) asset frame, depth (K,) -> features (K, C), as passes.pack makes them."""

    prepared: PreparedSkin
    matrix: np.ndarray
    shade: Callable[[Surfels, np.ndarray, np.ndarray], np.ndarray]

    def eye(self, camera: Camera) -> np.ndarray:
        """(4,) float64: where the camera is, asset frame, and 1; the direction to it and 0 where it is orthographic."""
        inverse = np.linalg.inv(self.matrix)
        if camera.orthographic:
            return np.append(-inverse[:3, :3] @ camera.forward, 0)
        return np.append(inverse[:3, :3] @ camera.position + inverse[:3, 3], 1)


def draw(skins: Sequence[PlacedSkin], camera: Camera, channels: int, threads: int = 0,
         config: SplattingConfig = SplattingConfig()) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skins alone: features (H, W, C), premultiplied, and alpha (H, W), as kernels.splat.rasterize's."""
    image = np.zeros((camera.height * camera.width, channels), np.float32)
    alpha = np.zeros(camera.height * camera.width, np.float32)
    offset = np.float32(config.skin_offsets)
    first = np.cumsum([0] + [len(skin.prepared.skin.faces) for skin in skins])
    lens = {"orthographic": camera.orthographic, "threads": threads}
    through = np.ones((camera.height, camera.width, len(offset)), np.float32)
    before = None
    for _ in range(config.skin_layers):
        samples = triangles.Samples.empty(camera.width, camera.height, offset)
        for skin, start in zip(skins, first):
            mesh = skin.prepared.skin
            triangles.cover(samples, mesh.vertices, mesh.faces, int(start), camera.world_to_camera @ skin.matrix,
                            camera.intrinsics, near=camera.near, far=camera.far, before=before, **lens)
        left = np.zeros(samples.face.shape, np.float32)
        for skin, start in zip(skins, first):
            _add_points(skin, int(start), samples, through, left, camera, image, alpha, lens, threads)
        through = left
        if not (left > config.skin_faint).any():
            break
        before = triangles.Samples(samples.offset, np.where(left > config.skin_faint, samples.face, triangles.ENOUGH),
                                   samples.depth)
    return image.reshape(camera.height, camera.width, channels), alpha.reshape(camera.height, camera.width)


def _add_points(skin: PlacedSkin, start: int, samples: triangles.Samples, through: np.ndarray, left: np.ndarray,
                camera: Camera, image: np.ndarray, alpha: np.ndarray, lens: dict, threads: int) -> None:
    """Shades the points of one skin and adds them to image (H W, C) and alpha (H W,); `left` (H, W, S) becomes what
    goes through its samples."""
    mesh, prepared = skin.prepared.skin, skin.prepared
    eye = skin.eye(camera)
    scale = np.cbrt(abs(np.linalg.det(skin.matrix[:3, :3])))
    pixel_size = 1 / (camera.intrinsics[0, 0] * scale)
    points = triangles.find_points(
        samples, mesh.vertices, mesh.faces, start, camera.world_to_camera @ skin.matrix, camera.intrinsics, eye=eye,
        pixel_size=pixel_size, normal=mesh.normal, uv=mesh.uv, color=mesh.color, material=mesh.material,
        through=through, **lens)
    if not len(points):
        return
    opacity = np.empty(len(points), np.float32)
    features = np.empty((len(points), image.shape[1]), np.float32)

    def shade_part(rows: np.ndarray) -> None:
        part = triangles.Points(*(getattr(points, name)[rows] for name in (
            "pixel", "row", "weight", "position", "normal", "uv", "color", "depth")), points.owner)
        pixel = np.float32(pixel_size) * (1 if camera.orthographic else part.depth)
        surfels = describe_points(prepared, part, pixel, eye)
        opacity[rows] = surfels.opacity
        world = part.position @ skin.matrix[:3, :3].T.astype(np.float32) + skin.matrix[:3, 3].astype(np.float32)
        features[rows] = skin.shade(surfels, camera.directions_to(world), part.depth)

    parts = np.array_split(np.arange(len(points)), -(-len(points) // AT_ONCE))
    parallel_map(shade_part, [slice(part[0], part[-1] + 1) for part in parts], threads)
    weight = points.weight * opacity
    alpha += np.bincount(points.pixel, weight, len(alpha)).astype(np.float32)
    for c in range(image.shape[1]):
        image[:, c] += np.bincount(points.pixel, weight * features[:, c], len(alpha)).astype(np.float32)
    if prepared.transparent:
        shown = points.owner >= 0
        left[shown] = through[shown] * (1 - opacity[points.owner[shown]])
