"""The proxy's surface in plain numpy: quads around the voxels, drawn onto the surfels inside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mesh.surface_nets import average_around, compute_vertex_normals
from .layout import VoxelMaterial
from .neural_asset import RESOLUTION, NeuralAsset
from .surfels import Surfels

MAX_FACES = 60_000
_PULL = 0.1  # weight of the mean against the planes where a vertex is fitted to its surfels
_REACH = 1.8  # standard deviations of the surfels around it within which a vertex stays; evenly spread ones end at 1.7
_RELAXED = 2  # times the surface is smoothed where only voxels are known
_LIFT = 0.1  # voxels: how far the sides of a sheet stand off it, so that they never coincide
_AXES = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)  # the six directions surfels are sorted by
# corners of the face a voxel shows towards _AXES[i], counter-clockwise from outside
_CORNERS = np.array([[[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]], [[0, 1, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]],
                     [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
                     [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]], [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]]])


class _Sum:
    """(..., COLUMNS): what is added up over the points of a cell, each times its weight."""

    COLUMNS = 24
    WEIGHT = slice(0, 1)
    POSITION = slice(1, 4)
    SQUARE = slice(4, 7)  # of the position
    PLANES = slice(7, 16)  # normal normal^T
    PULLS = slice(16, 19)  # normal (normal . position)
    MATERIAL = slice(19, 24)  # as VoxelMaterial.MATERIAL
    EMISSION = slice(24, 27)  # of what emits anything: else there are COLUMNS


@dataclass(frozen=True)
class ProxyMesh:
    """A quad mesh in the asset's frame. vertices: (V, 3) float32; faces: (F, 4) int32, counter-clockwise from outside;
    base_color: (V, 3) float32 linear; roughness, metallic: (V,) float32; emission: (V, 3) float32, None where nothing
    glows."""

    vertices: np.ndarray
    faces: np.ndarray
    base_color: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray
    emission: np.ndarray | None = None


def build(asset: NeuralAsset) -> ProxyMesh:
    """The outer surface of an asset, within half a voxel of its surfels (or of its voxels' centres without any).

    The voxels that hold surfels, and the space they enclose, are bounded by quads whose corners are shared; each corner
    then moves to the point that fits the surfels around it best (least squares over their planes, as in dual
    contouring). Surfels that face the other way do not count, so thin plates keep two sides.
    """
    points = asset.surfels or _make_centres(asset)
    resolution = 2 * RESOLUTION
    faces: np.ndarray | None = None
    while faces is None or len(faces) > MAX_FACES:
        resolution //= 2
        corners, faces = _bound(_find_cells(points.position, resolution), resolution)
    normals = compute_vertex_normals(corners.astype(np.float32), faces)
    vertices, material, emission = _fit(corners, normals, points, resolution)
    vertices = _keep_close(vertices, corners, points.position, resolution)
    if asset.skin is not None:
        vertices = _meet_bounds(vertices, asset.skin.vertices)
    if asset.surfels is None:
        for _ in range(_RELAXED):
            vertices = average_around(vertices[faces].mean(1), faces, len(vertices))
    return ProxyMesh(vertices, faces, material[:, VoxelMaterial.BASE_COLOR], material[:, VoxelMaterial.ROUGHNESS],
                 material[:, VoxelMaterial.METALLIC], emission if points.emission is not None else None)


def _make_centres(asset: NeuralAsset) -> Surfels:
    """One surfel in the middle of each voxel, without a normal."""
    centres = (asset.coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5
    material, one, zero = asset.material.astype(np.float32), np.ones(len(centres), np.float32), np.zeros_like(centres)
    return Surfels(centres, zero, zero, material[:, VoxelMaterial.BASE_COLOR], material[:, VoxelMaterial.ROUGHNESS],
                   material[:, VoxelMaterial.METALLIC], one, one, one)


def _find_cells(position: np.ndarray, resolution: int) -> np.ndarray:
    return np.clip(((position + 0.5) * resolution).astype(np.int64), 0, resolution - 1)


def _flatten(cells: np.ndarray, resolution: int) -> np.ndarray:
    return cells.astype(np.int64) @ (resolution * resolution, resolution, 1)


def _bound(coords: np.ndarray, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (V, 3) int and quads (F, 4) int32 between the voxels with what they enclose and the space outside."""
    solid = np.zeros((resolution + 2,) * 3, bool)
    solid.ravel()[_flatten(coords + 1, resolution + 2)] = True
    solid = ~_flood(~solid)
    quads = []
    for axis, corners in zip(_AXES.astype(int), _CORNERS):
        inside = np.argwhere(solid & ~np.roll(solid, tuple(-axis), (0, 1, 2))) - 1
        quads.append(inside[:, None] + corners)
    quads = np.concatenate(quads).reshape(-1, 3)
    side = resolution + 1
    keys, faces = np.unique(quads @ (side * side, side, 1), return_inverse=True)
    return np.stack(np.unravel_index(keys, (side,) * 3), 1), faces.reshape(-1, 4).astype(np.int32)


def _flood(empty: np.ndarray) -> np.ndarray:
    """The part of the empty cells that is joined, face to face, to the grid's corner (0, 0, 0)."""
    outside = np.zeros_like(empty)
    outside[0, 0, 0] = True
    count = 0
    while count != (count := int(outside.sum())):
        for axis in range(3):
            for view, free in ((outside, empty), (np.flip(outside, axis), np.flip(empty, axis))):
                view, free = np.moveaxis(view, axis, 0), np.moveaxis(free, axis, 0)
                for i in range(1, len(view)):
                    view[i] |= view[i - 1] & free[i]
    return outside


def _fit(corners: np.ndarray, normals: np.ndarray, points: Surfels, resolution: int
         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each corner goes (V, 3) float32, its material (V, 5), as VoxelMaterial.MATERIAL, and emission (V, 0 or
    3)."""
    sums, row = _sum_by_cell(points, resolution)
    agrees = np.pad(normals @ _AXES.T > -0.5, ((0, 0), (0, 1)), constant_values=True)  # (V, 7)
    behind = np.pad(~agrees[:, :6], ((0, 0), (0, 1)), constant_values=True)
    counts = np.stack([agrees, behind], 1).astype(np.float64)  # (V, 2, 7)
    both = np.zeros((len(corners), 2, sums.shape[2]))
    for offset in np.ndindex(2, 2, 2):
        both += counts @ sums[row[tuple((corners + offset).T)]]  # (V, 2, 7) (V, 7, 24)
    front, back = both[:, 0], both[:, 1]
    alone = front[:, _Sum.WEIGHT][:, 0] <= 0
    front[alone] = back[alone]
    front /= np.maximum(front[:, _Sum.WEIGHT], 1e-12)
    mean, square = front[:, _Sum.POSITION], front[:, _Sum.SQUARE]
    left = front[:, _Sum.PLANES].reshape(-1, 3, 3) + _PULL * np.eye(3)
    vertices = np.linalg.solve(left, (front[:, _Sum.PULLS] + _PULL * mean)[:, :, None])[:, :, 0]
    reach = _REACH * np.sqrt(np.maximum(square - mean ** 2, 0))  # planes may meet where there are no surfels
    vertices = np.clip(vertices, mean - reach, mean + reach)
    far = back[:, _Sum.POSITION] / np.maximum(back[:, _Sum.WEIGHT], 1e-12)
    thickness = ((vertices - far) * normals).sum(1) * resolution
    lift = np.where(back[:, _Sum.WEIGHT][:, 0] > 0, np.clip(_LIFT - thickness / 2, 0, _LIFT), 0) / resolution
    return ((vertices + lift[:, None] * normals).astype(np.float32), front[:, _Sum.MATERIAL].astype(np.float32),
            front[:, _Sum.EMISSION].astype(np.float32))


def _keep_close(vertices: np.ndarray, corners: np.ndarray, points: np.ndarray, resolution: int) -> np.ndarray:
    """The vertices, those that lie farther than half a voxel from all points around their corner drawn towards one."""
    cells = _flatten(_find_cells(points, resolution), resolution)
    points = points[np.argsort(cells, kind="stable")]
    keys, start, count = np.unique(np.sort(cells), return_index=True, return_counts=True)
    row = _index_cells(keys, resolution)
    start, count = np.append(start, 0), np.append(count, 0)
    limit = 0.5 / RESOLUTION
    far, nearest, distance = np.arange(len(vertices)), vertices.copy(), np.full(len(vertices), np.inf)
    for offset in np.ndindex(2, 2, 2):
        around = row[tuple((corners[far] + offset).T)]
        for number in range(int(count[around].max(initial=0))):
            has = count[around] > number
            one, point = far[has], points[start[around[has]] + number]
            d = np.linalg.norm(vertices[one] - point, axis=1)
            nearer = d < distance[one]
            nearest[one[nearer]], distance[one[nearer]] = point[nearer], d[nearer]
        far = far[distance[far] > limit]
    share = np.minimum(1, limit / np.maximum(distance, 1e-9))[:, None].astype(np.float32)
    return np.where(np.isfinite(distance)[:, None], nearest + (vertices - nearest) * share, vertices)


def _meet_bounds(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The vertices, the outermost two voxels of them drawn along each axis to where points (K, 3) end, a voxel at most:
    what Blender shows as dimensions, aligns and snaps to is the asset's own. Not where points are thinner than a
    voxel: a sheet's sides would coincide."""
    made, voxel = vertices.copy(), np.float32(1 / RESOLUTION)
    for axis in np.flatnonzero(np.ptp(points, axis=0) > voxel):
        for side in (-1, 1):
            height = side * made[:, axis]
            step = np.clip((side * points[:, axis]).max() - height.max(), -voxel, voxel)
            made[:, axis] += side * step * np.maximum(1 - (height.max() - height) / (2 * voxel), 0)
    return made


def _index_cells(keys: np.ndarray, resolution: int) -> np.ndarray:
    """Which of the cells `keys` (flat indices) each cell is, len(keys) for none: a grid with one empty cell around."""
    row = np.full((resolution + 2,) * 3, len(keys))
    row[tuple(np.stack(np.unravel_index(keys, (resolution,) * 3)) + 1)] = np.arange(len(keys))
    return row


def _sum_by_cell(points: Surfels, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the points of each cell, sorted by the axis they face; a seventh sort has no normal.

    Returns (cells + 1, 7, COLUMNS or more) float64, as _Sum, the last row zero; and _index_cells of the cells.
    """
    n, weight = points.normal.astype(np.float64), np.maximum(points.area * points.opacity, 1e-6).astype(np.float64)
    height = (n * points.position).sum(1, keepdims=True)
    values = np.concatenate([np.ones((len(n), 1)), points.position, points.position.astype(np.float64) ** 2,
                             (n[:, :, None] * n[:, None]).reshape(-1, 9), n * height, points.base_color,
                             points.roughness[:, None], points.metallic[:, None],
                             *([] if points.emission is None else [points.emission])], 1)
    keys, index = np.unique(_flatten(_find_cells(points.position, resolution), resolution), return_inverse=True)
    axis = np.where((n == 0).all(1), 6, np.argmax(n @ _AXES.T, 1))
    place = index * 7 + axis
    order = np.argsort(place, kind="stable")
    first = np.flatnonzero(np.diff(place[order], prepend=-1))
    sums = np.zeros((len(keys) * 7 + 7, values.shape[1]))
    sums[place[order[first]]] = np.add.reduceat(weight[order, None] * values[order], first)
    return sums.reshape(-1, 7, values.shape[1]), _index_cells(keys, resolution)
