"""The surface where a field on a grid is zero, as quads."""

from __future__ import annotations

import numpy as np

from ..directions import unit

_CORNERS = np.array(list(np.ndindex(2, 2, 2)))
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]


def extract(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Surface nets (Gibson 1998): one vertex in every cube of eight samples that the surface crosses, in the middle of
    the points where it crosses the cube's edges; one quad around every edge of the grid that it crosses.

    field: (R, R, R) float32 at the centres of the cells of [-0.5, 0.5]^3, positive inside; outside the cube it counts
    as negative. Returns vertices (V, 3) float32 and faces (F, 4) int32, counter-clockwise from outside.
    """
    resolution = len(field)
    padded = np.pad(field, 1, constant_values=-1).astype(np.float32)
    padded[padded == 0] = -1e-6
    inside = padded > 0
    cubes = resolution + 1
    count = np.zeros((cubes,) * 3, np.int8)
    for x, y, z in _CORNERS:
        count += inside[x:x + cubes, y:y + cubes, z:z + cubes]
    active = np.argwhere((count > 0) & (count < 8))
    values = np.stack([padded[tuple((active + corner).T)] for corner in _CORNERS], 1)  # (V, 8)
    total, crossings = np.zeros((len(active), 3), np.float32), np.zeros(len(active), np.float32)
    for a, b in _EDGES:
        crossed = (values[:, a] > 0) != (values[:, b] > 0)
        share = values[crossed, a] / (values[crossed, a] - values[crossed, b])
        total[crossed] += _CORNERS[a] + share[:, None] * (_CORNERS[b] - _CORNERS[a])
        crossings[crossed] += 1
    vertices = (active + total / np.maximum(crossings, 1)[:, None] - 0.5) / resolution - 0.5
    row = np.full((cubes,) * 3, -1, np.int32)
    row[tuple(active.T)] = np.arange(len(active))
    return vertices.astype(np.float32), np.concatenate([_quads(inside, row, axis) for axis in range(3)])


def _quads(inside: np.ndarray, row: np.ndarray, axis: int) -> np.ndarray:
    """(F, 4) int32: the cubes around each edge along an axis whose ends lie on two sides."""
    low, high = (np.take(inside, range(*ends), axis) for ends in ((0, inside.shape[axis] - 1), (1, inside.shape[axis])))
    after, last = np.eye(3, dtype=int)[(axis + 1) % 3], np.eye(3, dtype=int)[(axis + 2) % 3]
    faces = []
    for edges, order in ((low & ~high, (0, 1, 2, 3)), (high & ~low, (3, 2, 1, 0))):
        at = np.argwhere(edges)
        ring = [row[tuple((at - step).T)] for step in (after + last, last, 0 * last, after)]
        faces.append(np.stack([ring[i] for i in order], 1))
    return np.concatenate(faces)


def compute_vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, the mean of the faces around."""
    a, b, c, d = (vertices[faces[:, i]] for i in range(4))
    normal = average_around(np.cross(c - a, d - b), faces, len(vertices))
    return unit(normal)


def average_around(values: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """(V, 3) float32: the mean over the faces around each of count vertices of values (F, 3)."""
    sums = np.stack([np.bincount(faces.ravel(), np.repeat(v, 4), count) for v in values.T], 1)
    return (sums / np.bincount(faces.ravel(), minlength=count)[:, None]).astype(np.float32)
