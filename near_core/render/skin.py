"""Skins in a picture: triangles on its samples, the points under its pixels, their material and their light."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .._kernels import smooth, triangles
from ..asset import Skin, SkinMaterial, Surfels, concatenate
from ..directions import unit
from ..light.points import MetPoints
from ..mesh import find_unwrapping, texture
from ..progress import Progress, part, silent
from ..scene import Camera, Occluders
from . import reconstruction
from .config import SplattingConfig
from .parallel import parallel_map
from .skin_maps import SkinMaps

TAPS = 4  # looks at a map along an oblique pixel
TILE = 8  # pixels along a tile in which no two points have the same rays
AT_ONCE = 8192  # points shaded together: what they need stays in a core's cache


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

    def find_feet(self, points: triangles.Points) -> np.ndarray:
        """Where points touch the skin, (K, 3) float32: the mean of a pixel's samples lies beside it at creases."""
        corner, edge1, edge2 = self.corners[:, points.row]
        away = points.position - corner
        # shares of the corners, as of the point of the plane that is nearest, then inside the triangle
        d11, d12, d22, d1, d2 = (np.einsum("kc,kc->k", a, b) for a, b in (
            (edge1, edge1), (edge1, edge2), (edge2, edge2), (away, edge1), (away, edge2)))
        over = 1 / np.maximum(d11 * d22 - d12 * d12, 1e-30)
        v, w = (d22 * d1 - d12 * d2) * over, (d11 * d2 - d12 * d1) * over
        share = np.maximum([1 - v - w, v, w], 0)
        share /= np.maximum(share.sum(0), 1e-30)
        return np.asarray(corner + share[1, :, None] * edge1 + share[2, :, None] * edge2, np.float32)

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


@dataclass(frozen=True, eq=False)
class PlacedSkin:
    """A skin in the world. matrix: (4, 4) float64, asset frame -> world. meet: what K of its points are told and mirror
    of the asset, with noise: their surfels, directions to the camera (K, 3) in the world, key (K,), a pixel's edge at
    each (K,), where they touch the skin (K, 3) -> MetPoints, (K, 7). shade: what they look like: these, the latter
    without noise, depth (K,) -> features (K, C), as passes.pack makes them. known: of K points of an opaque skin, asset
    frame, and their depth, the features where they are known, and whether they are, (K,) bool. share: 0..1 of what is
    seen of it; its inside is not seen through it."""

    prepared: PreparedSkin
    matrix: np.ndarray
    meet: Callable[[Surfels, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[MetPoints, np.ndarray]]
    shade: Callable[[MetPoints, np.ndarray, np.ndarray], np.ndarray]
    known: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    share: float = 1.0

    def eye(self, camera: Camera) -> np.ndarray:
        """(4,) float64: where the camera is, asset frame, and 1; the direction to it and 0 where it is orthographic."""
        inverse = np.linalg.inv(self.matrix)
        if camera.orthographic:
            return np.append(-inverse[:3, :3] @ camera.forward, 0)
        return np.append(inverse[:3, :3] @ camera.position + inverse[:3, 3], 1)


def draw(skins: Sequence[PlacedSkin], camera: Camera, channels: int, threads: int = 0,
         config: SplattingConfig = SplattingConfig(), progress: Progress = silent, width: float = 1.5
         ) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skins alone: features (H, W, C), premultiplied, and alpha (H, W), as kernels.splat.rasterize's.
    width: pixels, of the filter, as Cycles' Filter Width."""
    offset = reconstruction.spread(config.skin_offsets, width)
    return draw_samples(skins, camera, channels, offset, reconstruction.weigh(offset, width), threads, config, progress)


def draw_samples(skins: Sequence[PlacedSkin], camera: Camera, channels: int, offset: np.ndarray, weight: np.ndarray,
                 threads: int = 0, config: SplattingConfig = SplattingConfig(), progress: Progress = silent
                 ) -> tuple[np.ndarray, np.ndarray]:
    """The same of samples at offset (S, 2) from a pixel's centre, which count in the pixels around by weight
    (S, D, D), float32."""
    image = np.empty((camera.height, camera.width, channels), np.float32)
    alpha = np.empty((camera.height, camera.width), np.float32)
    # what lies around a strip counts in it, and what it mirrors is averaged with what lies around
    margin = weight.shape[1] // 2 and weight.shape[1] // 2 + config.smooth_reach
    wide, rows = camera.width + 2 * margin, max(config.skin_pixels // camera.width, 1)
    for top in range(0, camera.height, rows):
        height = min(rows, camera.height - top)
        window = camera.crop(-margin, top - margin, wide, height + 2 * margin)
        drawn = _draw_strip(skins, window, channels, offset, weight, threads, config,
                            part(progress, top / camera.height, (top + height) / camera.height))
        for whole, strip in zip((image, alpha), drawn):
            whole[top:top + height] = strip[margin:margin + height, margin:margin + camera.width]
    return image, alpha


@dataclass(frozen=True, eq=False)
class _Strip:
    """A part of a picture while skins are added to it. image (H, W, C), premultiplied, and alpha (H, W): what is there
    so far. weight: as draw_samples takes it. lens: what both of the triangles' kernels are told."""

    camera: Camera
    image: np.ndarray
    alpha: np.ndarray
    weight: np.ndarray
    lens: dict
    config: SplattingConfig
    progress: Progress

    def take(self, rows: slice) -> _Strip:
        """The part of it in those rows, which is the same memory."""
        camera = self.camera.crop(0, rows.start, self.camera.width, rows.stop - rows.start)
        return replace(self, camera=camera, image=self.image[rows], alpha=self.alpha[rows])

    def find_rows(self, skin: PlacedSkin) -> slice:
        """The rows in which a skin can count."""
        camera, reach = self.camera, self.weight.shape[1] // 2 + 1
        _, y, z, _ = (skin.prepared.bounds @ (camera.world_to_camera @ skin.matrix).T).T
        if not camera.orthographic and z.min() <= camera.near:
            return slice(0, camera.height)
        row = camera.intrinsics[1, 1] * y / (1 if camera.orthographic else z) + camera.intrinsics[1, 2]
        top, bottom = np.clip([row.min() - reach, row.max() + reach + 1], 0, camera.height).astype(int)
        return slice(int(top), max(int(bottom), int(top)))


def _draw_strip(skins: Sequence[PlacedSkin], camera: Camera, channels: int, offset: np.ndarray, weight: np.ndarray,
                threads: int, config: SplattingConfig, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """What draw_samples draws, layer by layer behind what is transparent."""
    strip = _Strip(camera, np.zeros((camera.height, camera.width, channels), np.float32),
                   np.zeros((camera.height, camera.width), np.float32), weight,
                   {"orthographic": camera.orthographic, "threads": threads}, config, progress)
    first = np.cumsum([0] + [len(skin.prepared.skin.faces) for skin in skins])
    through = np.ones((camera.height, camera.width, len(offset)), np.float32)
    before = None
    for _ in range(config.skin_layers):
        samples = triangles.Samples.empty(camera.width, camera.height, offset)
        for skin, start in zip(skins, first):
            mesh = skin.prepared.skin
            triangles.cover(samples, mesh.vertices, mesh.faces, int(start), camera.world_to_camera @ skin.matrix,
                            camera.intrinsics, near=camera.near, far=camera.far, before=before, **strip.lens)
        left = np.zeros(samples.face.shape, np.float32)
        for skin, start in zip(skins, first):
            rows = strip.find_rows(skin)
            _add_points(skin, int(start), triangles.Samples(samples.offset, samples.face[rows], samples.depth[rows]),
                        through[rows], left[rows], strip.take(rows))
        through = left
        if not (left > config.skin_faint).any():
            break
        before = triangles.Samples(samples.offset, np.where(left > config.skin_faint, samples.face, triangles.ENOUGH),
                                   samples.depth)
    return strip.image, strip.alpha


def _add_points(skin: PlacedSkin, start: int, samples: triangles.Samples, through: np.ndarray, left: np.ndarray,
                strip: _Strip) -> None:
    """Shades the points of one skin and adds them to a strip; `left` (H, W, S) becomes what goes through its
    samples."""
    mesh, prepared, camera = skin.prepared.skin, skin.prepared, strip.camera
    eye = skin.eye(camera)
    scale = np.cbrt(abs(np.linalg.det(skin.matrix[:3, :3])))
    pixel_size = 1 / (camera.intrinsics[0, 0] * scale)
    points = triangles.find_points(
        samples, mesh.vertices, mesh.faces, start, camera.world_to_camera @ skin.matrix, camera.intrinsics, eye=eye,
        pixel_size=pixel_size, normal=mesh.normal, uv=mesh.uv, color=mesh.color, material=mesh.material,
        through=through, **strip.lens)
    if not len(points):
        return
    size = np.float32(pixel_size) * (np.ones_like(points.depth) if camera.orthographic else points.depth)

    def shade(chosen: triangles.Points, edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _shade(skin, chosen, edge, eye, strip)

    if skin.known is None or prepared.transparent:
        features, opacity = shade(points, size)
    else:
        features, found = skin.known(points.position, points.depth)
        opacity, new = np.ones(len(points), np.float32), np.flatnonzero(~found)
        if len(new):
            features[new], opacity[new] = shade(points.take(new), size[new])
    triangles.resolve(points, np.ascontiguousarray(features), opacity * np.float32(skin.share), strip.weight, through,
                      strip.image, strip.alpha, threads=strip.lens["threads"])
    if prepared.transparent:
        shown = points.owner >= 0
        left[shown] = through[shown] * (1 - opacity[points.owner[shown]])


def _shade(skin: PlacedSkin, points: triangles.Points, size: np.ndarray, eye: np.ndarray, strip: _Strip
           ) -> tuple[np.ndarray, np.ndarray]:
    """Features (K, C) and opacity (K,) of points. size: (K,) of a pixel's edge at each, asset units."""
    camera, config, progress, threads = strip.camera, strip.config, strip.progress, strip.lens["threads"]
    ends = np.linspace(0, len(points), -(-len(points) // AT_ONCE) + 1).astype(int)
    parts = [slice(*pair) for pair in zip(ends[:-1], ends[1:])]
    left, top = np.round((camera.frame or (0, 0))[:2]).astype(int)  # windows of a picture send the same rays
    across, down = points.pixel % camera.width - left, points.pixel // camera.width - top
    key = (across % TILE + TILE * (down % TILE)).astype(np.int32)

    def meet_part(rows: slice) -> tuple[MetPoints, np.ndarray]:
        chosen = points.take(rows)
        surfels, foot = describe_points(skin.prepared, chosen, size[rows], eye, config), skin.prepared.find_feet(chosen)
        world = chosen.position @ skin.matrix[:3, :3].T.astype(np.float32) + skin.matrix[:3, 3].astype(np.float32)
        return skin.meet(surfels, camera.directions_to(world), key[rows], size[rows], foot)

    met = parallel_map(meet_part, parts, threads, "Drawing", part(progress, 0.0, 0.6))
    mirrored = _smooth([each for each, _ in met], np.concatenate([each for _, each in met]), points.pixel, size, camera,
                       threads, config)
    opacity = np.concatenate([each.points.opacity for each, _ in met])
    features = np.empty((len(points), strip.image.shape[2]), np.float32)

    def shade_part(number: int) -> None:
        rows = parts[number]
        features[rows] = skin.shade(met[number][0], mirrored[rows], points.depth[rows])

    parallel_map(shade_part, range(len(parts)), threads, "Drawing", part(progress, 0.6, 1.0))
    return features, opacity


def _smooth(met: Sequence[MetPoints], mirrored: np.ndarray, pixel: np.ndarray, size: np.ndarray, camera: Camera,
            threads: int, config: SplattingConfig) -> np.ndarray:
    """What points mirror of the asset, (K, 7), without the noise of their few rays."""
    wanted = np.concatenate([each.mirroring for each in met])
    if not wanted.any():
        return mirrored
    points = concatenate([each.points for each in met])
    return smooth.smooth(mirrored, pixel, points.position, points.normal, points.shading_normal, points.roughness, size,
                         wanted, camera.width, camera.height, reach=config.smooth_reach, threads=threads)
