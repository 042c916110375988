"""Faces so narrow in the picture that the middles of its pixels miss them: wires, posts, blades, boards seen edge on.

Cycles' Depth tells what a ray through a pixel's middle meets, so that it may miss such a thing along all of its way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from .._core import scene
from . import ordinary

NARROW = 1.5  # pixels, up to which a face is
MOST_THINGS = 400  # before assets, and
MOST_FACES = 2_000_000  # of them, and
MOST_PIXELS = 8_000_000  # that these pass, which are looked at; boxes stand for the others
PORTION = 1 << 18  # of faces or pixels that are looked at together
DEEPER = 2.0  # times as far as one corner of a face another one may be; it is cut where it is more
BLOCK = 16  # pixels across, of which the farthest depth is known


def find(depsgraph: bpy.types.Depsgraph, camera: scene.Camera, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres along the view axis, (H, W) float32, at which the nearest narrow face of something ordinary lies in a
    pixel, infinite where none does; and the corners (N, 8, 3), world, of what was not looked at. depth: (H, W) of the
    assets, infinite where none is."""
    nearest, left = np.full(depth.shape, np.inf, np.float32), [np.empty((0, 8, 3))]
    if not np.isfinite(depth).any():
        return nearest, left[0]
    window = Window.open(camera, depth)
    numbers, boxes = _list_things(depsgraph)
    before = _find_before(boxes, window, depth)
    left.append(boxes[before[MOST_THINGS:]])
    faces, pixels = MOST_FACES, MOST_PIXELS  # that may still be looked at
    wanted = {int(numbers[each]): boxes[each] for each in before[:MOST_THINGS]}
    for number, instance in enumerate(depsgraph.object_instances):
        if (box := wanted.get(number)) is None:
            continue
        ob: Any = instance.object
        if ob.type != "MESH" or len(ob.data.polygons) > faces:
            left.append(box[None])
            continue
        faces -= len(ob.data.polygons)
        edges = find_edges(*_read(ob.data), window.place(np.array(instance.matrix_world, np.float64)))
        count = int(window.count_pixels(edges).sum())
        if count > pixels:
            left.append(box[None])
            continue
        pixels -= count
        mark(edges, window, nearest)
    return nearest, np.concatenate(left)


@dataclass(frozen=True)
class Window:
    """The part of the world from the camera to the farthest of what assets cover.

    to_view: (3, 4), from the world to pixels times w, and z, metres along the camera's axis. w is z, too, or 1 where
        the camera is orthographic.
    planes: (6, 4), times which a place of the view and 1 are no less than 0 inside.
    depths: metres, the first where it begins, at which faces are cut that are deep.
    """

    to_view: np.ndarray
    planes: np.ndarray
    depths: np.ndarray
    orthographic: bool

    @classmethod
    def open(cls, camera: scene.Camera, depth: np.ndarray) -> Window:
        covered = np.isfinite(depth)
        (left, right), (top, bottom) = ((each[0], each[-1] + 1) for each in map(
            np.flatnonzero, (covered.any(0), covered.any(1))))
        near, far = camera.near, float(depth[covered].max())
        x, y, z, one = np.eye(4)
        if camera.orthographic:
            to_view, w = np.diag([*np.diag(camera.intrinsics)[:2], 1.0]) @ camera.world_to_camera[:3], one
            to_view[:2, 3] += camera.intrinsics[:2, 2]
            depths = np.array([near])
        else:
            to_view, w = camera.intrinsics @ camera.world_to_camera[:3], z
            depths = near * DEEPER ** np.arange(max(np.ceil(np.log(far / near) / np.log(DEEPER)), 1))
        planes = np.array([z - near * one, far * one - z, x - left * w, right * w - x, y - top * w, bottom * w - y])
        return cls(to_view, planes, depths, camera.orthographic)

    def place(self, matrix: np.ndarray) -> Window:
        """The same for what stands in the world as a matrix says."""
        return Window(self.to_view @ matrix, self.planes, self.depths, self.orthographic)

    def see(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the world in the view."""
        to_view = self.to_view.astype(points.dtype)
        return points @ to_view[:, :3].T + to_view[:, 3]

    def find_sides(self, seen: np.ndarray) -> np.ndarray:
        """Bit by bit beyond which planes points (..., 3) of the view lie: what shares one is not in the window."""
        return np.packbits(~(self._measure(seen) >= 0), -1)[..., 0]

    def project(self, seen: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the view in pixels, (..., 2)."""
        return seen[..., :2] if self.orthographic else seen[..., :2] / seen[..., 2:]

    def clip(self, edges: np.ndarray) -> np.ndarray:
        """What of edges (E, 2, 3) of the view is in the window."""
        start, end = np.moveaxis(self._measure(edges), 1, 0)
        share = start / np.where(start == end, 1, start - end)
        enter, leave = np.where(start < 0, share, 0).max(1), np.where(end < 0, share, 1).min(1)
        seen = (enter < leave) & ~((start < 0) & (end < 0)).any(1)
        shares, edges = np.stack([enter, leave], 1)[seen, :, None].astype(edges.dtype), edges[seen]
        return edges[:, :1] + shares * (edges[:, 1:] - edges[:, :1])

    def count_pixels(self, edges: np.ndarray) -> np.ndarray:
        """How many pixels each of edges (E, 2, 3) of the view passes at most."""
        length = np.diff(self.project(edges), axis=1)[:, 0]
        return np.ceil(np.hypot(length[:, 0], length[:, 1])).astype(int) + 1

    def _measure(self, seen: np.ndarray) -> np.ndarray:
        planes = self.planes.astype(seen.dtype)
        return seen @ planes[:, :3].T + planes[:, 3]


def find_edges(points: np.ndarray, corners: np.ndarray, starts: np.ndarray, window: Window) -> np.ndarray:
    """The longest edges of what of faces is narrow, (E, 2, 3) in the view, as far as they are in the window. points:
    (V, 3). corners: (L,) of these, face by face, which begin at starts (F,)."""
    seen = window.see(points)
    there = np.flatnonzero(np.bitwise_and.reduceat(window.find_sides(seen)[corners], starts) == 0)
    ends, found = np.append(starts, len(corners))[1:], [np.empty((0, 2, 3), seen.dtype)]
    for first in range(0, len(there), PORTION):
        some = there[first:first + PORTION]
        faces = seen[corners[_divide(starts[some], ends[some])]]
        faces = _cut_deep(faces[np.isfinite(faces).all((1, 2))], window)
        at = window.project(faces)
        edge = np.roll(at, -1, 1) - at  # (T, 3, 2)
        length = np.hypot(edge[..., 0], edge[..., 1])
        doubled = np.abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0])
        narrow = np.flatnonzero(doubled < NARROW * length.max(1))
        longest = length[narrow].argmax(1)
        edges = np.stack([faces[narrow, longest], faces[narrow, longest - 2]], 1)
        again = (edges[1:] == edges[:-1, ::-1]).all((1, 2))  # of the two halves of a face
        found.append(window.clip(edges[np.append(True, ~again)[:len(edges)]]))
    return np.concatenate(found)


def mark(edges: np.ndarray, window: Window, nearest: np.ndarray) -> None:
    """Writes how near edges (E, 2, 3) of the view, inside the window, are into the pixels of nearest, (H, W) metres."""
    steps, flat = window.count_pixels(edges), nearest.reshape(-1)
    bounds = np.searchsorted(np.cumsum(steps), np.arange(0, steps.sum(), PORTION))
    for some in np.split(np.arange(len(edges)), bounds[1:]):
        ends, each = window.project(edges[some]), np.repeat(np.arange(len(some)), steps[some])
        share = (np.arange(len(each)) - np.repeat(np.cumsum(steps[some]) - steps[some], steps[some])) \
            / np.maximum(steps[some] - 1, 1)[each]
        x, y = np.floor(ends[each, 0] + share[:, None] * (ends[each, 1] - ends[each, 0])).astype(np.int64).T
        z = edges[some, :, 2] if window.orthographic else 1 / edges[some, :, 2]  # what looks straight is so in 1 / z
        deep = z[each, 0] + share * (z[each, 1] - z[each, 0])
        inside = (x >= 0) & (y >= 0) & (x < nearest.shape[1]) & (y < nearest.shape[0])
        pixel, deep = (y * nearest.shape[1] + x)[inside], (deep if window.orthographic else 1 / deep)[inside]
        order = np.argsort(-deep)
        pixel = pixel[order]
        flat[pixel] = np.minimum(flat[pixel], deep[order])  # of several the last one stays, which is the nearest


def _list_things(depsgraph: bpy.types.Depsgraph) -> tuple[np.ndarray, np.ndarray]:
    """The numbers (N,) among depsgraph's instances of what has faces or points, and its corners (N, 8, 3), world."""
    boxes: list[np.ndarray] = []
    known: dict[Any, int | None] = {}  # instances of geometry nodes have meshes of their own
    numbers, which = [], []
    for number, instance in enumerate(depsgraph.object_instances):
        ob: Any = instance.object
        # the faces of texts, curves and balls come once more as a mesh; curves without any do not
        if not instance.show_self or ob.type not in ("MESH", "POINTCLOUD"):
            continue
        key = ob.original, ob.data
        if key not in known:
            known[key] = len(boxes) if ordinary.is_ordinary(ob) and ob.visible_camera else None
            boxes.append(np.array(ob.bound_box))
        if known[key] is not None:
            numbers.append(number)
            which.append(known[key])
    matrices = np.empty((len(depsgraph.object_instances), 4, 4), np.float32)
    depsgraph.object_instances.foreach_get("matrix_world", matrices.ravel())
    matrix = matrices[numbers].astype(np.float64)  # of columns
    return np.array(numbers), np.array(boxes).reshape(-1, 8, 3)[which] @ matrix[:, :3, :3] + matrix[:, 3:, :3]


def _find_before(boxes: np.ndarray, window: Window, depth: np.ndarray) -> np.ndarray:
    """Which of boxes (N, 8, 3) may be before assets anywhere, the nearest first. depth: (H, W), as find's."""
    seen = window.see(boxes)
    near = seen[..., 2].min(1)
    there = np.flatnonzero((np.bitwise_and.reduce(window.find_sides(seen), 1) == 0) & np.isfinite(seen).all((1, 2)))
    rows, columns = (-(-size // BLOCK) for size in depth.shape)
    farthest = np.zeros((rows * BLOCK, columns * BLOCK), np.float32)
    farthest[:depth.shape[0], :depth.shape[1]] = np.where(np.isfinite(depth), depth, 0)
    farthest = farthest.reshape(rows, BLOCK, columns, BLOCK).max((1, 3))
    whole = near[there] > window.depths[0]
    at = window.project(seen[there[whole]]) / BLOCK
    spans = np.tile([0, 0, columns, rows], (len(there), 1))
    spans[whole] = np.clip(np.concatenate([np.floor(at.min(1)), np.floor(at.max(1)) + 1], 1), 0, (columns, rows) * 2)
    hides = [farthest[top:bottom, left:right].max(initial=0) > each
             for (left, top, right, bottom), each in zip(spans.tolist(), near[there].tolist())]
    there = there[np.array(hides, bool)]
    return there[np.argsort(near[there])]


def _cut_deep(faces: np.ndarray, window: Window) -> np.ndarray:
    """Triangles (T, 3, 3) of the view without what lies before the window; none reaches from near to far, along which
    it would be wide and narrow."""
    z, first = faces[..., 2], window.depths[0]
    deep = (z.min(1) < first) | ((z.max(1) > DEEPER * z.min(1)) if len(window.depths) > 1 else False)
    pieces, rest = [faces[~deep]], faces[deep]
    for each in window.depths:
        before, rest = _cut(rest, each)
        pieces.append(before[:0] if each == first else before)
    return np.concatenate([*pieces, rest])


def _cut(faces: np.ndarray, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3, 3) of the view divided at a depth: what lies before it, and what beyond."""
    beyond = faces[..., 2] >= depth
    count = beyond.sum(1)
    mixed = np.flatnonzero((count == 1) | (count == 2))
    alone = (beyond[mixed] == (count[mixed] == 1)[:, None]).argmax(1)  # the corner that is on a side of its own
    tip, second, third = (faces[mixed, (alone + turn) % 3] for turn in range(3))
    one, two = (tip + ((depth - tip[:, 2]) / (each[:, 2] - tip[:, 2]))[:, None] * (each - tip)
                for each in (second, third))
    small = np.stack([tip, one, two], 1)
    large = np.stack([one, second, third, one, third, two], 1).reshape(-1, 2, 3, 3)
    far = count[mixed] == 1
    return (np.concatenate([faces[count == 0], small[~far], large[far].reshape(-1, 3, 3)]),
            np.concatenate([faces[count == 3], small[far], large[~far].reshape(-1, 3, 3)]))


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
