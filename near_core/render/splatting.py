"""Which surfels of a picture are drawn, where they fall and what they weigh in it.

`place` puts an asset into the world, `face` before a camera, `place_all` and `face_all` many at once; `select` says
what of it is shaded and what is drawn. The renderer and its training both draw what `select` says. Frames and units:
docs/conventions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._kernels import splat
from ..asset import Texels
from ..asset.levels import Level
from ..directions import unit
from ..progress import Progress, silent
from ..scene import Camera
from . import gaussians
from .config import SplattingConfig


@dataclass(frozen=True, eq=False)
class PlacedInstance:
    """An asset's M surfels and K texels in the world.

    shape: the surfels' Gaussians. texels: whose surfels they are, None where the asset has none; detail: their
    Gaussians, asset frame. matrix: (4, 4), asset frame -> world. normal, shading_normal: (M, 3) float32 unit, world.
    paired: (M,) bool, where the other side of a sheet lies in the same place. cell: about the edge of a surfels' cell,
    metres.
    """

    shape: gaussians.SurfelGaussians
    texels: Texels | None
    detail: gaussians.SurfelGaussians | None
    matrix: np.ndarray
    normal: np.ndarray
    shading_normal: np.ndarray
    paired: np.ndarray
    cell: np.float32


def place(level: Level, texels: Texels | None, matrix: np.ndarray, config: SplattingConfig = SplattingConfig(),
          discs: gaussians.SurfelGaussians | None = None, detail: gaussians.SurfelGaussians | None = None
          ) -> PlacedInstance:
    """An asset's level that stands at matrix (4, 4), asset frame -> world, any invertible affine map.

    discs, detail: the Gaussians of its surfels and texels, asset frame, where they are known.
    """
    return place_all(level, texels, matrix[None], config, discs, detail)[0]


def place_all(level: Level, texels: Texels | None, matrices: np.ndarray, config: SplattingConfig = SplattingConfig(),
              discs: gaussians.SurfelGaussians | None = None, detail: gaussians.SurfelGaussians | None = None
              ) -> list[PlacedInstance]:
    """The same at each of matrices (G, 4, 4)."""
    surfels, linear = level.surfels, matrices[:, :3, :3]
    covector = np.linalg.inv(linear).astype(np.float32)  # n @ M^-1 is M^-T n
    if detail is None and texels is not None:
        detail = gaussians.from_texels(texels, level, config)
    shapes = (discs or gaussians.from_level(level, config)).scatter(matrices)
    normal, shading = (unit(each @ covector) for each in (surfels.normal, surfels.shading_normal))
    paired = level.thickness < 2 * config.inset
    cells = (level.cell * np.cbrt(np.abs(np.linalg.det(linear)))).astype(np.float32)
    return [PlacedInstance(shape, texels, detail, matrix, plane, bent, paired, cell)
            for shape, matrix, plane, bent, cell in zip(shapes, matrices, normal, shading, cells)]


@dataclass(frozen=True, eq=False)
class VisibleInstance:
    """A placed instance before a camera, all of its M surfels.

    shape: their Gaussians, those that face away set back. front: (M,) bool, those that face the camera; the others only
    block what is behind. to_camera: (M, 3) float32 unit, world. occlusion_depth: metres behind its surface from which
    nothing is seen through it. share: 0..1 of its opacity, where another level of the same instance has the rest.
    """

    placed: PlacedInstance
    shape: gaussians.SurfelGaussians
    front: np.ndarray
    to_camera: np.ndarray
    occlusion_depth: np.float32
    share: float = 1.0

    def take_texels(self, index: np.ndarray) -> gaussians.SurfelGaussians:
        """The Gaussians of the texels at index (T,), world."""
        return self.placed.detail.take(index).move(self.placed.matrix).fade(self.share)


def face(placed: PlacedInstance, camera: Camera, config: SplattingConfig = SplattingConfig(), share: float = 1.0
         ) -> VisibleInstance:
    """What of a placed instance faces the camera. share: of its opacity."""
    return face_all([placed], camera, config, [share])[0]


def face_all(placed: Sequence[PlacedInstance], camera: Camera, config: SplattingConfig, shares: Sequence[float]
             ) -> list[VisibleInstance]:
    """The same of several, one at least."""
    counts = [len(each.paired) for each in placed]
    xyz, normal, paired = (np.concatenate(each) for each in zip(*((
        each.shape.xyz, each.normal, each.paired) for each in placed)))
    to_camera = camera.directions_to(xyz)
    cosine = np.einsum("kc,kc->k", normal, to_camera)
    front = cosine > config.facing
    back = np.full(len(front), config.far_side_offset, np.float32)
    # a sheet's far side lies where its near side does. Seen along it, the discs over a pixel lie far apart in depth:
    # those of the far side must lie behind all of them
    along = 1 / np.maximum(cosine[paired] ** 2, 1e-3) - 1  # the squared tangent
    reach = np.sqrt(config.disc_width ** 2 + config.disc_thickness ** 2 * along)
    back[paired] = np.maximum(config.far_side_offset, config.far_side_reach * reach)
    back[front] = 0
    back *= np.repeat([each.cell for each in placed], counts)
    xyz -= to_camera * back[:, None]
    ends = np.cumsum(counts)[:-1]
    return [VisibleInstance(each, replace(each.shape, xyz=there).fade(share), seen, towards,
                            np.float32(config.occlusion_depth * each.cell), share)
            for each, share, there, seen, towards in zip(placed, shares, *(np.split(of, ends) for of in (
                xyz, front, to_camera)))]


@dataclass(frozen=True, eq=False)
class Selection:
    """What of some instances is shaded and drawn. Rows count their surfels, M in all, one instance after the other.

    shape: the surfels' Gaussians. projection: these on the camera's pixels, with the low-pass of one sample a pixel.
    occlusion_depth: (M,) float32, metres. rows: one slice per instance. shaded: (M,) bool, surfels that are seen and
    worth shading. plain: (P,) rows that are drawn by themselves. texels: per instance those (T,) that are drawn in
    place of their surfels; none where a pixel takes one sample.
    """

    shape: gaussians.SurfelGaussians
    projection: splat.Projection
    occlusion_depth: np.ndarray
    rows: list[slice]
    shaded: np.ndarray
    plain: np.ndarray
    texels: list[np.ndarray]

    def drop(self, dropped: Sequence[bool]) -> Selection:
        """The same without the instances that are dropped: nothing of them is shaded or drawn."""
        kept = np.ones(len(self.shaded), bool)
        for rows, gone in zip(self.rows, dropped):
            kept[rows] = not gone
        return replace(self, shaded=self.shaded & kept, plain=self.plain[kept[self.plain]], texels=[
            texels[:0] if gone else texels for texels, gone in zip(self.texels, dropped)])


def select(instances: Sequence[VisibleInstance], camera: Camera, detail: bool, threads: int = 0,
           config: SplattingConfig = SplattingConfig(), progress: Progress = silent, splats: bool = True) -> Selection:
    """What is shaded and drawn of at least one instance.

    detail: texels may take the place of their surfels, where these are shaded and wide enough. splats: whether surfels
    of any instance are drawn; where all have skins none is shaded.
    """
    shape = gaussians.concatenate([each.shape for each in instances])
    progress("Visibility", 0.0)
    projection = project(shape, camera, config.low_pass, threads)
    progress("Visibility", 0.5)
    depth = np.concatenate([np.full(len(each.front), each.occlusion_depth) for each in instances])
    weight = weigh(projection, depth, camera, threads, config) if splats else np.zeros(len(depth), np.float32)
    shaded = np.concatenate([each.front for each in instances]) & (weight > config.seen)
    seen = np.flatnonzero(shaded)
    shaded[seen] = weight[seen] >= _find_faint_weight(projection, seen, config)
    plain, wide = projection.radius > 0, shaded & (projection.radius >= config.texel_radius)
    rows, texels, start = [], [], 0
    for each in instances:
        rows.append(slice(start, start := start + len(each.front)))
        owner = each.placed.texels.surfel if detail and each.placed.texels is not None else np.empty(0, np.int32)
        texels.append(np.flatnonzero(wide[rows[-1]][owner]))
        plain[rows[-1].start + owner[texels[-1]]] = False
    return Selection(shape, projection, depth, rows, shaded, np.flatnonzero(plain), texels)


def weigh(projection: splat.Projection, occlusion_depth: np.ndarray, camera: Camera, threads: int = 0,
          config: SplattingConfig = SplattingConfig()) -> np.ndarray:
    """What each of M surfels weighs in the picture, (M,) pixels; a little beyond a window, so that windows agree."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    low = np.maximum(np.int64([left, top]), -config.margin)
    high = np.minimum(np.int64([left + width, top + height]), np.int64([camera.width, camera.height]) + config.margin)
    shifted = projection._replace(mean=projection.mean - low.astype(np.float32))
    return splat.sum_contributions(shifted, *map(int, high - low), occlusion_depth=occlusion_depth, threads=threads)


def _find_faint_weight(projection: splat.Projection, rows: np.ndarray, config: SplattingConfig = SplattingConfig()
                 ) -> np.ndarray:
    """The weight from which surfels at rows (K,) are worth shading. (K,) pixels."""
    a, b, c = projection.conic[rows].T
    alone = 2 * np.float32(np.pi) * projection.opacity[rows] / np.sqrt(a * c - b * b)
    return np.minimum(config.faint_share * alone, config.faint_weight)


def project(shape: gaussians.SurfelGaussians, camera: Camera, low_pass: float, threads: int = 0) -> splat.Projection:
    """Gaussians on the camera's pixels. low_pass: square pixels added to their footprints."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    projection = splat.project(
        shape.xyz, shape.covariance, shape.opacity, camera.world_to_camera,
        camera.intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]], width, height, near=camera.near, far=camera.far,
        low_pass=low_pass, orthographic=camera.orthographic, threads=threads)
    projection.mean[:] += np.float32([left, top])  # what is bent at the whole picture's edge is bent alike in a window
    return projection
