"""Faces so narrow in the picture that the middles of its pixels miss them: wires, posts, blades, boards seen edge on.

Cycles' Depth tells what a ray through a pixel's middle meets, so that it may miss such a thing along all of its way.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from . import ordinary
from ._core import scene

NARROW = 1.5  # pixels, up to which a face is
MOST_THINGS = 400  # before assets, and
MOST_FACES = 2_000_000  # of them that are looked at; boxes stand for the others
LONGEST = 8192  # pixels of a face that are marked


def measure_nearest(depsgraph: bpy.types.Depsgraph, camera: scene.Camera, depth: np.ndarray
                    ) -> tuple[np.ndarray, np.ndarray]:
    """Metres along the view axis, (H, W) float32, at which the nearest narrow face of something ordinary lies in a
    pixel, infinite where none does; and the corners (N, 8, 3), world, of what was not looked at. depth: (H, W) of the
    assets, infinite where none is."""
    nearest, left, looked, faces = np.full(depth.shape, np.inf, np.float32), [], 0, 0
    if not np.isfinite(depth).any():
        return nearest, np.empty((0, 8, 3))
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        # the faces of texts, curves and balls come once more as a mesh; curves without any do not
        if not instance.show_self or ob.type != "MESH" or not ordinary.is_ordinary(ob) or not ob.visible_camera:
            continue
        matrix = np.array(instance.matrix_world, np.float64)
        box = np.array(ob.bound_box) @ matrix[:3, :3].T + matrix[:3, 3]
        if not _may_hide(box, camera, depth):
            continue
        looked, faces = looked + 1, faces + len(ob.data.polygons)
        if looked > MOST_THINGS or faces > MOST_FACES:
            left.append(box)
        else:
            points, corners, starts = _read(ob.data)
            points = points @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
            mark(points, corners, starts, camera, depth, nearest)
    return nearest, np.array(left).reshape(-1, 8, 3)


def mark(points: np.ndarray, corners: np.ndarray, starts: np.ndarray, camera: scene.Camera, depth: np.ndarray,
         nearest: np.ndarray) -> None:
    """Writes how near the narrow ones of faces are into the pixels that they pass. points: (V, 3), world. corners: (L,)
    of these, face by face, which begin at starts (F,). depth, nearest: (H, W) metres, as measure_nearest's."""
    at, z = _project(points, camera)
    there = np.argwhere(np.isfinite(depth))
    low, high = there.min(0)[::-1], there.max(0)[::-1] + 1
    # bit by bit on which side of what assets cover a point lies: a face all of whose corners share one is not before it
    side = (z > depth[np.isfinite(depth)].max()).astype(np.uint8)
    for bit, outside in enumerate((*(at < low).T, *(at >= high).T), 1):
        side |= outside.astype(np.uint8) << bit
    side[~(z > camera.near) | ~np.isfinite(at).all(1)] = 255
    there = np.flatnonzero(np.bitwise_and.reduceat(side[corners], starts) == 0)
    faces = corners[_divide(starts[there], np.append(starts, len(corners))[there + 1])]
    faces = faces[(side[faces] < 255).all(1)]
    corner = at[faces]
    edge = np.roll(corner, -1, 1) - corner  # (F, 3, 2)
    length = np.hypot(edge[..., 0], edge[..., 1])
    doubled = np.abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0])
    narrow = doubled < NARROW * length.max(1)
    for first in range(3):
        _mark_edges(at, z, faces[narrow, first], faces[narrow, first - 2], length[narrow, first], camera.orthographic,
                    nearest)


def _mark_edges(at: np.ndarray, z: np.ndarray, start: np.ndarray, end: np.ndarray, length: np.ndarray,
                orthographic: bool, nearest: np.ndarray) -> None:
    """Edges from points start (E,) to end (E,) that are so many pixels long."""
    steps = np.minimum(np.ceil(length), LONGEST).astype(int) + 1
    edge = np.repeat(np.arange(len(steps)), steps)
    share = (np.arange(len(edge)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.maximum(steps - 1, 1)[edge]
    a, b = start[edge], end[edge]
    x, y = np.floor(at[a] + share[:, None] * (at[b] - at[a])).astype(np.int64).T
    # what looks straight is so in 1 / z
    deep = z[a] + share * (z[b] - z[a]) if orthographic else 1 / ((1 - share) / z[a] + share / z[b])
    inside = (x >= 0) & (y >= 0) & (x < nearest.shape[1]) & (y < nearest.shape[0])
    pixel, deep = (y * nearest.shape[1] + x)[inside], deep[inside]
    order = np.argsort(-deep, kind="stable")
    pixel, flat = pixel[order], nearest.reshape(-1)
    flat[pixel] = np.minimum(flat[pixel], deep[order])  # of several the last one stays, which is the nearest


def _may_hide(corners: np.ndarray, camera: scene.Camera, depth: np.ndarray) -> bool:
    """Whether a box, (8, 3) of the world, may be before assets anywhere. depth: (H, W), as measure_nearest's."""
    at, z = _project(corners, camera)
    if not np.isfinite(corners).all() or not (z > camera.near).any():
        return False
    if (z > camera.near).all():
        low = np.clip(np.floor(at.min(0)), 0, depth.shape[::-1]).astype(int)
        high = np.clip(np.ceil(at.max(0)) + 1, 0, depth.shape[::-1]).astype(int)
        depth = depth[low[1]:high[1], low[0]:high[0]]
    return bool((np.where(np.isfinite(depth), depth, 0) > z.min()).any())


def _project(points: np.ndarray, camera: scene.Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points (V, 3) of the world lie in the picture, (V, 2) pixels, and metres before the camera, (V,)."""
    pose = camera.world_to_camera.astype(points.dtype)
    seen = points @ pose[:3, :3].T + pose[:3, 3]
    z = seen[:, 2]
    scale = np.ones_like(z) if camera.orthographic else 1 / np.where(z > camera.near, z, np.inf)
    focal, middle = (each.astype(points.dtype) for each in (np.diag(camera.intrinsics)[:2], camera.intrinsics[:2, 2]))
    return seen[:, :2] * scale[:, None] * focal + middle, z


def _divide(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Faces whose corners are those from starts (F,) to ends as fans of triangles, (T, 3)."""
    count = ends - starts - 2
    ordinal = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    first = np.repeat(starts, count)
    return np.stack([first, first + ordinal + 1, first + ordinal + 2], 1)


def _read(mesh: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 of a mesh, corners (L,) of its faces and where in these each face (F,) begins."""
    points = np.empty(3 * len(mesh.vertices), np.float32)
    corners, starts = (np.empty(len(each), np.int32) for each in (mesh.loops, mesh.polygons))
    mesh.attributes["position"].data.foreach_get("vector", points)  # several times as quick as by vertices and loops
    mesh.attributes[".corner_vert"].data.foreach_get("value", corners)
    mesh.polygons.foreach_get("loop_start", starts)
    return points.reshape(-1, 3), corners, starts
