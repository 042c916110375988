"""What silhouettes carve: the visual hull of an object (Laurentini 1994) in photos with cameras."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..asset import CELL, RESOLUTION
from ..directions import unit
from ..errors import NearError
from ..mesh import Mesh, surface_nets
from ..mesh.surface_nets import average_around, compute_vertex_normals
from ..scene import Camera
from .photo import Photo
from .view import compute_cell_centres, look_up, project

FINER = 2  # pixels of a silhouette per pixel of its photo, along an edge
REACH = 3.5  # cells of 128^3; from how far a voxel of 64^3 may hold a piece of surface


class Silhouette:
    """A photo's outline, and how far inside it points of the asset's frame fall.

    camera: of the crop. distance: (F, F) float32, pixels of the crop inside the outline, negative outside, cut off
    where it is sure that a voxel is on one side. Beyond the border of a photo that cuts the object off nothing is
    known: there all counts as inside, unless it is the only photo.
    """

    def __init__(self, photo: Photo, camera: Camera, reach: float | None = None, finer: int = FINER,
                 alone: bool = False):
        """reach: how far from the outline distances are told where the frame's origin lies, cells of 128^3; None: at
        least REACH everywhere in the cube. finer: pixels per pixel of the photo. alone: it is the only photo."""
        self.camera = camera
        away, reach = (camera.world_to_camera[2, 3], reach) if reach else (find_nearest(camera), REACH)
        band = int(np.ceil(finer * reach * CELL * camera.intrinsics[0, 0] / away))
        self.distance = measure_outline(photo, band, finer, alone)

    def measure_depth(self, points: np.ndarray) -> np.ndarray:
        """How deep points (P, 3) lie inside the cone of the outline, in cells of 128^3. (P,) float32."""
        return self.look(points)[0]

    def look(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, and where the points fall in the crop, (P, 2) as view.project says it."""
        uv, below = project(points, self.camera)
        edge = np.float32(1 - 1 / self.distance.shape[0])  # what lies beside the crop is as at its edge
        inside = look_up(self.distance[None], np.clip(uv, -edge, edge))[:, 0]
        away = np.maximum(below + self.camera.world_to_camera[2, 3].astype(np.float32), 0)
        return inside * away / np.float32(self.camera.intrinsics[0, 0] * CELL), uv


def find_nearest(camera: Camera) -> float:
    """How far away the nearest corner of the cube is at least, along the view, or a quarter of the frame's origin."""
    away = float(camera.world_to_camera[2, 3])
    return max(away - np.abs(camera.world_to_camera[2, :3]).sum() / 2, away / 4)


def choose_resolution(cameras: Sequence[Camera]) -> int:
    """Voxels along an edge of the grid on which silhouettes are carved, a multiple of 64: about as fine as the photos'
    pixels."""
    pixel = min(camera.world_to_camera[2, 3] / camera.intrinsics[0, 0] for camera in cameras)
    return RESOLUTION * int(np.clip(round(1 / pixel / RESOLUTION), 2, 4))


def carve_hull(silhouettes: Sequence[Silhouette], resolution: int) -> np.ndarray:
    """How deep the centres of resolution^3 cells lie inside all silhouettes, in cells of 128^3: float32, exact near the
    surface. Raises NearError where nothing is left."""
    coarse = _intersect(silhouettes, compute_cell_centres(RESOLUTION)).reshape((RESOLUTION,) * 3)
    times = resolution // RESOLUTION
    deep = coarse.repeat(times, 0).repeat(times, 1).repeat(times, 2)
    near = np.argwhere(np.abs(coarse) < REACH)
    steps = np.stack(np.meshgrid(*[np.arange(times)] * 3, indexing="ij"), -1).reshape(-1, 3)
    cells = (near[:, None] * times + steps).reshape(-1, 3)
    deep[tuple(cells.T)] = _intersect(silhouettes, ((cells + 0.5) / resolution - 0.5).astype(np.float32))
    if not (deep > 0).any():
        raise NearError("The photos' outlines have no place in common.",
                        "Check that they show the same object from the views that were given.")
    return deep


def _intersect(silhouettes: Sequence[Silhouette], points: np.ndarray) -> np.ndarray:
    """(P,) float32: how deep points (P, 3) lie inside all silhouettes, in cells of 128^3."""
    return np.minimum.reduce([silhouette.measure_depth(points) for silhouette in silhouettes])


def measure_outline(photo: Photo, band: int, finer: int = 1, alone: bool = False) -> np.ndarray:
    """How far inside a photo's outline places are, (finer S, finer S) float32, pixels of the crop, at most band finer
    ones either way. alone: as in Silhouette."""
    return _measure_distance(photo.alpha if alone else _open_borders(photo), band, finer)


def shows_outline(photo: Photo) -> bool:
    """Whether there is an outline at all: there is none where the photo's borders cut the object off all around."""
    return bool((_open_borders(photo) <= 0.5).any())


def _open_borders(photo: Photo) -> np.ndarray:
    """A photo's alpha (S, S), 1 beyond those borders of the photo that cut the object off."""
    x, y, side = photo.crop
    (width, height), (x0, y0, x1, y1) = photo.source_size, photo.box
    centres = (np.arange(len(photo.alpha)) + 0.5) / len(photo.alpha) * side
    column, row = x + centres, y + centres
    alpha = photo.alpha.copy()
    alpha[:, (column < 0) & (x0 < 1) | (column > width) & (x1 > width - 1)] = 1
    alpha[(row < 0) & (y0 < 1) | (row > height) & (y1 > height - 1)] = 1
    return alpha


def _measure_distance(alpha: np.ndarray, band: int, finer: int) -> np.ndarray:
    """(finer S, finer S) float32: how far inside an outline alpha (S, S) a place is, in its pixels, at most band finer
    ones either way."""
    from PIL import Image

    size = [finer * side for side in alpha.shape[::-1]]
    inside = np.asarray(Image.fromarray(alpha.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)) > 0.5
    return ((_distances_within(inside, band) - _distances_within(~inside, band)) / finer).astype(np.float32)


def _distances_within(mask: np.ndarray, band: int) -> np.ndarray:
    """(H, W) float32: how far every pixel of a mask (H, W) bool is from the edge of what is outside, at most band; 0
    outside. What lies beyond the picture does not count."""
    far = np.float32((band + 1) ** 2)
    squared = np.where(mask, far, 0).astype(np.float32)
    for _ in range(2):  # along rows, then along columns
        padded = np.pad(squared, ((0, 0), (band, band)), constant_values=far)
        width = squared.shape[1]
        for step in range(-band, band + 1):
            np.minimum(squared, padded[:, band + step:band + step + width] + np.float32(step * step), out=squared)
        squared = squared.T
    return np.where(mask, np.minimum(np.sqrt(squared), band) - np.float32(0.5), 0)


def find_bounds(points: np.ndarray, pixels: Sequence[np.ndarray], shown: Sequence[np.ndarray],
                share: float) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner (3,) of the smallest upright box that still fills all outlines.

    A hull bulges where no photo looks along its side: below what stands, when all photos look down on it. points:
    (P, 3), inside all outlines. pixels: per photo (P,) the pixel that each lies behind. shown: per photo (S,) bool, the
    pixels that show the object; what lies behind no pixel has the number S. share: of a photo's pixels that may be left
    unfilled by one side of the box.
    """
    corners = []
    for sign in (-1, 1):
        corner = np.full(3, np.inf)
        for axis in range(3):
            for pixel, seen in zip(pixels, shown):
                inmost = np.full(len(seen) + 1, -np.inf, np.float32)  # of what lies behind a pixel
                np.maximum.at(inmost, pixel, -sign * points[:, axis])
                inmost = inmost[:-1][seen & np.isfinite(inmost[:-1])]
                if len(inmost):
                    corner[axis] = min(corner[axis], float(np.quantile(inmost, share)))
        corners.append(-sign * np.where(np.isfinite(corner), corner, -0.5))
    return corners[0], corners[1]


def cut_to_bounds(deep: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A field (R, R, R) in cells of 128^3, negative outside of an upright box. low, high: its corners, (3,)."""
    return np.minimum(deep, measure_within(low, high, len(deep)))


def measure_within(low: np.ndarray, high: np.ndarray, resolution: int) -> np.ndarray:
    """How far resolution^3 cells of the asset's cube lie within the nearest side of an upright box, cells of 128^3,
    negative outside: float32. low, high: its corners, (3,)."""
    centres = (np.arange(resolution) + 0.5) / resolution - 0.5
    sides = np.minimum(centres - low[:, None], high[:, None] - centres).astype(np.float32) / np.float32(CELL)
    return np.minimum(np.minimum(sides[0][:, None, None], sides[1][:, None]), sides[2])


def extract_mesh(deep: np.ndarray, smoothing: Sequence[float], normal_smoothing: int = 0) -> Mesh:
    """The mesh around what is inside a field (R, R, R), smoothed without shrinking (Taubin 1995). smoothing: steps,
    shares of the way to the mean. normal_smoothing: times that its normals are averaged on top of that, which show
    steps and creases that its place does not."""
    vertices, quads = surface_nets.extract(deep)
    around = lambda values: average_around(values[quads].mean(1), quads, len(vertices))
    for share in smoothing:
        vertices = vertices + share * (around(vertices) - vertices)
    normals = compute_vertex_normals(vertices, quads)
    for _ in range(normal_smoothing):
        normals = unit(around(normals))
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Mesh(vertices, faces, corner_normal=normals[faces])
