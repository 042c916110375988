"""Triangle meshes to occupied grid cells: exact triangle/box overlap, vectorised over (triangle, cell) pairs."""
import numpy as np

from ..errors import NearError

LARGEST_EXTENT = 6  # cells; larger triangles are split first, so that few cells of their bounding box are missed
FACES_AT_ONCE = 1 << 17  # stay in the processor's cache, mostly
PAIRS_AT_ONCE = 1 << 19  # bounds the memory of one batch of tests (~100 MB)
USUAL, MOST = 8, 100  # times that a mesh goes through every cell: above it is looked for what lies doubled, is refused


def find_occupied(vertices, faces, resolution):
    """Cells of the unit cube's grid that a triangle touches.

    vertices: (V, 3) float, asset frame; the grid divides [-0.5, 0.5]^3 and what sticks out is not counted.
    faces: (F, 3) int. resolution: cells along an axis. Returns (N, 3) int32, sorted by x, then y, then z.
    The overlap test is the separating-axis one of Schwarz and Seidel, "Fast Parallel Surface and Solid Voxelization"
    (2010), section 3: the triangle's plane cuts the cell, and their three axis-aligned projections overlap.
    Raises NearError for indices outside the vertices, for coordinates that are not finite, and for a mesh that fills
    the cube with surface many times over.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces)
    if len(faces) == 0:
        return np.zeros((0, 3), np.int32)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise NearError("The mesh has faces that name vertices it does not have.", "Export the mesh again.")
    if _measure_area(vertices, faces) > USUAL * resolution:
        faces = np.unique(np.sort(faces, 1), axis=0)
        if _measure_area(vertices, faces) > MOST * resolution:
            raise NearError("The mesh has more surface than fits into its size.",
                            "Remove what lies doubled or inside, and export it again.")
    grid = np.zeros(resolution ** 3, bool)
    for start in range(0, len(faces), FACES_AT_ONCE):
        triangles = (vertices[faces[start:start + FACES_AT_ONCE]] + 0.5) * resolution  # (F, 3, 3), in cells
        if not np.isfinite(triangles).all():
            raise NearError("The mesh has vertices at infinity or not-a-number.",
                            "Clean the mesh up and export it again.")
        low, high = _bounds(triangles)
        _mark(grid, _split(triangles[(high >= 0).all(1) & (low <= resolution).all(1)]), resolution)
    return np.stack(np.unravel_index(np.flatnonzero(grid), (resolution,) * 3), 1).astype(np.int32)


def _measure_area(vertices, faces):
    """The area of triangles faces (F, 3) of vertices (V, 3), asset frame, in squares of the cube's side; vertices
    outside count as on its sides."""
    area = 0.0
    for start in range(0, len(faces), FACES_AT_ONCE):
        a, b, c = (vertices[faces[start:start + FACES_AT_ONCE, corner]].clip(-0.5, 0.5) for corner in range(3))
        area += np.nansum(np.linalg.norm(np.cross(b - a, c - a), axis=1)) / 2
    return area


def _mark(grid, triangles, resolution):
    """Sets the cells, numbered x-major, of grid (resolution^3,) bool that triangles (T, 3, 3), in cells, touch."""
    low, high = (np.floor(corner).astype(np.int64) for corner in _bounds(triangles))
    alone = ((low == high) & (low >= 0) & (low < resolution)).all(1)  # in the middle of a cell: nothing to test
    grid[_numbers(low[alone], resolution)] = True
    triangles = triangles[~alone]
    low, high = (np.clip(corner[~alone], 0, resolution - 1) for corner in (low, high))
    extent = high - low + 1
    pairs = extent.prod(1)
    for batch in _batches(pairs):
        triangle = np.repeat(np.arange(batch.start, batch.stop), pairs[batch])
        local = np.arange(len(triangle)) - np.repeat(np.cumsum(pairs[batch]) - pairs[batch], pairs[batch])
        size = extent[triangle]
        cell = low[triangle] + np.stack(
            [local // (size[:, 1] * size[:, 2]), local // size[:, 2] % size[:, 1], local % size[:, 2]], 1)
        hit = cell[_touch(triangles[batch], triangle - batch.start, cell)]
        grid[_numbers(hit, resolution)] = True


def _numbers(cells, resolution):
    """(K, 3) int cells -> (K,) their numbers, x-major."""
    return (cells[:, 0] * resolution + cells[:, 1]) * resolution + cells[:, 2]


def _bounds(triangles):
    """The lowest and the highest corner, (T, 3) each, of triangles (T, 3, 3)."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]  # faster than reducing an axis of three
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def _split(triangles):
    """Halve the longest edge of every large triangle until none is left; the union stays the same surface."""
    small = []
    while len(triangles):
        low, high = _bounds(triangles)
        large = (high - low).max(1) > LARGEST_EXTENT
        small.append(triangles[~large])
        triangles = triangles[large]
        edges = np.linalg.norm(np.roll(triangles, -1, 1) - triangles, axis=2)
        turn = (edges.argmax(1)[:, None] + np.arange(3)) % 3  # corner 0 now starts the longest edge
        a, b, c = np.take_along_axis(triangles, turn[:, :, None], 1).swapaxes(0, 1)
        middle = (a + b) / 2
        triangles = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
    return np.concatenate(small) if small else triangles


def _batches(pairs):
    """Slices of consecutive triangles that make at most PAIRS_AT_ONCE tests together (one triangle at the least)."""
    total, start = np.cumsum(pairs), 0
    while start < len(pairs):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + PAIRS_AT_ONCE, "right")))
        yield slice(start, stop)
        start = stop


def _touch(triangles, triangle, cell):
    """triangles: (T, 3, 3), in cells; triangle: (P,) and cell: (P, 3) name the pairs. Returns (P,) bool."""
    edges = np.roll(triangles, -1, 1) - triangles
    normal = np.cross(edges[:, 0], edges[:, 1])
    far_corner = (normal > 0).astype(np.float64)
    near = (normal * (far_corner - triangles[:, 0])).sum(1)
    far = (normal * (1 - far_corner - triangles[:, 0])).sum(1)
    along = (normal[triangle] * cell).sum(1)
    alive = np.flatnonzero((along + near[triangle]) * (along + far[triangle]) <= 0)
    for u, v, w in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):  # the projection along w
        side = np.where(normal[:, w] < 0, -1.0, 1.0)[:, None]
        inward_u, inward_v = -edges[:, :, v] * side, edges[:, :, u] * side  # (T, 3): per edge
        reach = (np.maximum(inward_u, 0) + np.maximum(inward_v, 0)
                 - inward_u * triangles[:, :, u] - inward_v * triangles[:, :, v])
        for edge in range(3):
            of = triangle[alive]
            value = (inward_u[of, edge] * cell[alive, u] + inward_v[of, edge] * cell[alive, v] + reach[of, edge])
            alive = alive[value >= 0]
    touched = np.zeros(len(cell), bool)
    touched[alive] = True
    return touched
