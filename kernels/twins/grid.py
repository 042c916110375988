"""Plain specification of kernels/grid.py. A `grid` is a kernels.grid.Grid, read for its data only."""

import numpy as np

from ..ggx import LUMINANCE
from . import ggx

BACK_PENALTY = 0.5  # cells by which a surfel seen from behind counts as farther away
FOLD = 3.0  # cells from which a surfel seen from behind sends nothing: nearer ones are the surface's own folds
EDGE = 0.1  # cells by which a surfel reaches over a convex edge
ALIKE = 0.5  # cosine above which a close neighbour is taken for the same wall


def trace(grid, origin, direction, normal=None, chunk: int = 256):
    """hit (K,), distance (K,): every ray against every surfel.

    A surfel counts if the ray passes its cell and meets its plane within the cell grown by `dilation`, not farther than
    EDGE in front of a surfel of the same cell that it meets in a convex edge. The least key (distance, plus
    BACK_PENALTY from behind) wins, among cells that are entered before it.
    """
    to_cells = lambda x: np.asarray(x, np.float64) / grid.cell + grid.resolution / 2
    position, surface = to_cells(grid.position), grid.normal.astype(np.float64)
    voxel = np.clip(np.floor(position), 0, grid.resolution - 1)
    edges = _convex_edges(position, surface, voxel)
    start = to_cells(origin) + (0 if normal is None else grid.lift * np.asarray(normal, np.float64))
    hits, distances = [], []
    for first in range(0, len(start), chunk):
        o, d = start[first:first + chunk, None], direction[first:first + chunk, None].astype(np.float64)
        d = np.where(np.abs(d) > 1e-9, d, 1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            enter = np.minimum((voxel - o) / d, (voxel + 1 - o) / d).max(-1)
            leave = np.maximum((voxel - o) / d, (voxel + 1 - o) / d).min(-1)
            facing = (surface * d).sum(-1)
            t = ((position - o) * surface).sum(-1) / facing
            point = o + t[..., None] * d
            inside = (np.abs(point - voxel - 0.5) <= 0.5 + grid.dilation).all(-1)
            here, there = edges
            reach = ((point[:, here] - position[there]) * surface[there]).sum(-1)
            np.logical_and.at(inside, (slice(None), here), reach <= EDGE)
            close = t < grid.skip
            if normal is not None:
                close &= (facing >= 0) | (normal[first:first + chunk].astype(np.float64) @ surface.T > ALIKE)
            counts = (enter <= leave) & (leave >= 0) & (t > 0) & inside & ~close
            key = np.where(counts, t + BACK_PENALTY * (facing >= 0), np.inf)
        order = np.argsort(enter, axis=1, kind="stable")
        best_before = np.minimum.accumulate(np.take_along_axis(key, order, 1), axis=1)
        best_before = np.concatenate([np.full((len(key), 1), np.inf), best_before[:, :-1]], 1)
        late = np.zeros(key.shape, bool)
        np.put_along_axis(late, order, np.take_along_axis(enter, order, 1) > best_before, 1)
        key[late] = np.inf
        winner = key.argmin(1)
        found = np.isfinite(key.min(1))
        hits.append(np.where(found, winner, -1))
        distances.append(np.where(found, t[np.arange(len(key)), winner] * grid.cell, np.inf))
    return np.concatenate(hits).astype(np.int32), np.concatenate(distances).astype(np.float32)


def _convex_edges(position, normal, voxel):
    """Pairs of surfels in one cell, each behind the other's plane: two arrays of indices."""
    cells = {}
    for i, cell in enumerate(map(tuple, voxel)):
        cells.setdefault(cell, []).append(i)
    behind = lambda i, j: (position[i] - position[j]) @ normal[j] < 0
    pairs = [(i, j) for group in cells.values() for i in group for j in group if behind(i, j) and behind(j, i)]
    return np.array(pairs, int).reshape(-1, 2).T


def trace_table(grid, direction, index=None):
    """(N, D): -2 below the horizon, else trace."""
    index = np.arange(len(grid.position)) if index is None else index
    table = np.full((len(index), len(direction)), -2, np.int32)
    row, column = np.nonzero(grid.normal[index] @ direction.T > 0)
    surfel = index[row]
    table[row, column] = trace(grid, grid.position[surfel], direction[column], grid.normal[surfel])[0]
    return table


def settle(table, position, normal, direction, fold, owners=None):
    """The table (N, D) without what is seen from behind from far, and how much of the light of each is backs, (N,)."""
    hit = np.maximum(table, 0) if owners is None else owners[np.maximum(table, 0)]
    behind = (table >= 0) & (np.einsum("ndc,dc->nd", normal[hit], direction) > 0)
    far = behind & (((position[hit] - position[:, None]) ** 2).sum(-1) > fold ** 2)
    cosine = np.maximum(normal @ direction.T, 0)
    return (np.where(far, -2, np.where(table >= 0, hit, table)),
            np.where(behind, cosine, 0).sum(1) / np.maximum(cosine.sum(1), 1e-6))


def gather(table, direction, normal, radiosity):
    """(N, 3): 4 pi / D times the sum of max(0, n . w) radiosity over the directions that hit."""
    weight = np.where(table >= 0, np.maximum(normal @ direction.T, 0), 0)
    return 4 * np.pi / len(direction) * np.einsum("nd,ndc->nc", weight, radiosity[np.maximum(table, 0)])


def gather_direct(opened, direction, radiance, normal, irradiance, asset_to_map, apart):
    """(N, 3), (N, 3) and (N,): irradiance of the whole sky, of what is seen of it, and the share of its luminance.

    opened: (N, D) bool. radiance: (D, 3), times steradians. irradiance: (h, 2h, 3), of the sky without the last
    `apart` directions, which add their own.
    """
    cosine = np.maximum(normal @ direction.T, 0)
    share = np.minimum(np.where(opened, cosine, 0) @ radiance / np.maximum(cosine @ radiance, 1e-9), 1)
    whole = ggx.sample([irradiance], normal @ asset_to_map.T, np.zeros(len(normal)))
    whole = whole + cosine[:, len(direction) - apart:] @ radiance[len(direction) - apart:]
    seen = whole * share
    return whole, seen, seen @ LUMINANCE / np.maximum(whole @ LUMINANCE, 1e-9)


def bounce(table, direction, normal, direct, albedo, rounds):
    """Irradiance and radiosity, (N, 3) each, after so many rounds of gathering."""
    bounced = np.zeros_like(direct)
    for _ in range(rounds):
        bounced = gather(table, direction, normal, albedo * (direct + bounced))
    return bounced, albedo * (direct + bounced)


def blend(grid, position, normal, features, share, radius=1.5):
    """(K, C): means of what surfels say, weighed by distance and direction; three rounds, each twice as far."""
    where, there = (np.asarray(x, np.float64) / grid.cell for x in (position, grid.position))
    out = np.zeros((len(where), features.shape[1]))
    for i, point in enumerate(where):
        apart = point - there
        off = (apart * grid.normal).sum(1)
        for reach, least in ((radius, 0.2), (2 * radius, -1.0), (4 * radius, -1.0)):
            near = np.maximum(1 - ((apart ** 2).sum(1) + 3 * off ** 2) / reach ** 2, 0)
            weight = share * near ** 2 * np.maximum(grid.normal @ normal[i] - least, 0) ** 2
            if weight.sum() > 0:
                out[i] = weight @ features / weight.sum()
                break
    return out
