"""Triangles on the samples of a picture, and the points that lie under its pixels.

Cameras are those of `kernels.splat`. The specification is kernels/twins/triangles.py. Every `threads` is the number of
threads, 0 for all processors; results do not depend on it.

    seen = Samples.empty(width, height, OFFSETS)
    cover(seen, vertices, faces, 0, pose, intrinsics)
    points = find_points(seen, vertices, faces, 0, pose, intrinsics, eye=eye, pixel_size=size)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import pages
from .library import INTEGER, POINTER, REAL, Kernel, require

MAX_SAMPLES = 16
NOTHING, ENOUGH = -1, -2  # faces of samples that meet nothing, and behind which nothing is looked for

_cover = Kernel("triangles_cover", POINTER, INTEGER, POINTER, *[INTEGER] * 2, *[POINTER] * 2, *[INTEGER] * 2,
                *[REAL] * 2, INTEGER, POINTER, INTEGER, *[POINTER] * 4, INTEGER)
_points = Kernel("triangles_points", *[POINTER] * 6, *[INTEGER] * 2, *[POINTER] * 2, *[INTEGER] * 3, POINTER, INTEGER,
                 POINTER, REAL, *[POINTER] * 3, INTEGER, *[POINTER] * 10, INTEGER)
_resolve = Kernel("triangles_resolve", *[POINTER] * 3, *[INTEGER] * 2, *[POINTER] * 2, *[INTEGER] * 3, POINTER, INTEGER,
                  *[POINTER] * 2, INTEGER)


@dataclass(frozen=True)
class Samples:
    """A picture's samples, S a pixel. offset: (S, 2) float32, pixels from a pixel's centre. face: (H, W, S) int32, the
    number of the face that is met first. depth: (H, W, S) float32, camera z, infinite where nothing is met."""

    offset: np.ndarray
    face: np.ndarray
    depth: np.ndarray

    @classmethod
    def empty(cls, width: int, height: int, offset: np.ndarray) -> Samples:
        """Samples that meet nothing yet."""
        shape = (height, width, len(offset))
        return cls(np.ascontiguousarray(offset, np.float32), pages.full(shape, NOTHING, np.int32),
                   pages.full(shape, np.inf))


@dataclass(frozen=True)
class Points:
    """K points under a picture's pixels: samples of a pixel that show the same surface, as one.

    pixel: (K,) int32, ascending, row-major. row: (K,) int32, of the faces, one that the point lies on. weight: (K,)
    float32, share of the pixel. position: (K, 3), frame of the vertices. normal: (K, 3) mean of unit normals that
    face the camera: shorter where they differ. uv: (K, 2). color: (K, 4). depth: (K,). owner: (H, W, S) int32, the
    point of each sample that the mesh shows.
    """

    pixel: np.ndarray
    row: np.ndarray
    weight: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    color: np.ndarray
    depth: np.ndarray
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.pixel)

    def take(self, rows: slice | np.ndarray) -> Points:
        """Some of them; owner stays what it is."""
        def pick(values: np.ndarray) -> np.ndarray:  # several times as quick as an index
            return values[rows] if isinstance(rows, slice) else values.take(rows, 0)

        return Points(pick(self.pixel), pick(self.row), pick(self.weight), pick(self.position), pick(self.normal),
                      pick(self.uv), pick(self.color), pick(self.depth), self.owner)


def cover(samples: Samples, vertices: np.ndarray, faces: np.ndarray, first: int, pose: np.ndarray,
          intrinsics: np.ndarray, *, near: float = 0.01, far: float = 1e10, orthographic: bool = False,
          before: Samples | None = None, threads: int = 0) -> None:
    """Puts triangles in front of what the samples show so far; both of their sides count.

    vertices: (V, 3) float32. faces: (F, 3) int32. first: the number of the first face; of two faces in one place the
    lower number is in front. pose: (4, 4), frame of the vertices -> camera. before: only what lies behind these counts.
    """
    height, width, count = _check_samples(samples)
    _check_mesh(vertices, faces)
    if before is not None:
        require("before.face", before.face, samples.face.shape, np.int32)
        require("before.depth", before.depth, samples.face.shape)
    _cover(vertices, len(vertices), faces, len(faces), first, _flat("pose", pose, (4, 4)),
           _flat("intrinsics", intrinsics, (3, 3)), width, height, near, far, bool(orthographic), samples.offset, count,
           None if before is None else before.face, None if before is None else before.depth, samples.face,
           samples.depth, threads)


def find_points(samples: Samples, vertices: np.ndarray, faces: np.ndarray, first: int, pose: np.ndarray,
                intrinsics: np.ndarray, *, eye: np.ndarray, pixel_size: float, normal: np.ndarray | None = None,
                uv: np.ndarray | None = None, color: np.ndarray | None = None, material: np.ndarray | None = None,
                through: np.ndarray | None = None, orthographic: bool = False, threads: int = 0) -> Points:
    """The points of one of the meshes that the samples show.

    The first arguments are those of `cover`. eye: (4,), where the camera is in the frame of the vertices and 1, or the
    direction towards it and 0. pixel_size: a pixel's edge at depth 1, or at any where orthographic, in the vertices'
    units. normal: (V, 3), uv: (V, 2), color: (V, 4) float32 at the vertices. material: (F,) int32; a point has one.
    through: (H, W, S) float32, what each sample weighs, 1 by default.
    """
    height, width, count = _check_samples(samples)
    _check_mesh(vertices, faces)
    for name, values, size in (("normal", normal, 3), ("uv", uv, 2), ("color", color, 4)):
        if values is not None:
            require(name, values, (len(vertices), size))
    if material is not None:
        require("material", material, (len(faces),), np.int32)
    if through is not None:
        require("through", through, samples.face.shape)
    owner, found = pages.empty(samples.face.shape, np.int32), np.zeros(1, np.int64)
    capacity = min(count, 4) * height * width  # dense skins far away have 2 to 3 a pixel; with less room all runs twice
    while True:
        pixel, row = (pages.empty((capacity,), np.int32) for _ in range(2))
        weight, depth = (pages.empty((capacity,)) for _ in range(2))
        position, bent, place, tint = (pages.empty((capacity, wide)) for wide in (3, 3, 2, 4))
        _points(vertices, normal, uv, color, faces, material, len(faces), first, _flat("pose", pose, (4, 4)),
                _flat("intrinsics", intrinsics, (3, 3)), width, height, bool(orthographic), samples.offset, count,
                _flat("eye", eye, (4,)), pixel_size, samples.face, samples.depth, through, capacity, pixel, row, weight,
                position, bent, place, tint, depth, owner, found, threads)
        n = int(found[0])
        if n <= capacity:
            return Points(pixel[:n], row[:n], weight[:n], position[:n], bent[:n], place[:n], tint[:n], depth[:n], owner)
        capacity = n


def resolve(points: Points, features: np.ndarray, opacity: np.ndarray, weight: np.ndarray, through: np.ndarray | None,
            image: np.ndarray, alpha: np.ndarray, *, threads: int = 0) -> None:
    """Adds K points to a picture, image (H, W, C), premultiplied, and alpha (H, W): samples count in pixels around.

    features: (K, C), opacity: (K,). weight: (S, D, D), of each sample in the pixels whose row and column are up to
    D // 2 from its own. through: (H, W, S), what each sample weighs, None where all weigh 1. All float32.
    """
    height, width, count = require("owner", points.owner, (None, None, None), np.int32).shape
    _, side, across = require("weight", weight, (count, None, None)).shape
    channels = require("features", features, (len(points), None)).shape[1]
    if through is not None:
        require("through", through, (height, width, count))
    for name, values, shape in (("opacity", opacity, (len(points),)), ("image", image, (height, width, channels)),
                                ("alpha", alpha, (height, width))):
        require(name, values, shape)
    if side % 2 == 0 or across != side:
        raise ValueError("weight must be as high as wide and have a middle.")
    _resolve(points.pixel, opacity, features, len(points), channels, points.owner, through, width, height, count,
             weight, side // 2, image, alpha, threads)


def _check_samples(samples: Samples) -> tuple[int, int, int]:
    height, width, count = require("samples.face", samples.face, (None, None, None), np.int32).shape
    require("samples.depth", samples.depth, (height, width, count))
    require("samples.offset", samples.offset, (count, 2))
    if not 1 <= count <= MAX_SAMPLES:
        raise ValueError(f"samples must be 1 to {MAX_SAMPLES} a pixel, not {count}.")
    return height, width, count


def _check_mesh(vertices: np.ndarray, faces: np.ndarray) -> None:
    require("vertices", vertices, (None, 3)), require("faces", faces, (None, 3), np.int32)
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise ValueError(f"faces must name vertices 0 to {len(vertices) - 1}.")


def _flat(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return require(name, np.ascontiguousarray(values, np.float32), shape)
