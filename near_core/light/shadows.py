"""What stands between an asset's surfels and a lamp: the asset itself, other assets, ordinary things."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from .._kernels import grid
from ..scene import Occluders


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What casts shadows on an asset beside itself.

    others: a grid for each other asset, with the map (4, 4) from the world into its frame. occluders: or None.
    key: equal where the shadows are.
    """

    others: tuple[tuple[grid.Grid, np.ndarray], ...] = ()
    occluders: Occluders | None = None
    key: Hashable = None

    def block(self, origin: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Which rays are blocked before their end. (K,) bool.

        origin: (K, 3) float32, metres, world. direction: (K, 3) float32 unit. distance: (K,) float32, metres.
        """
        blocked = np.zeros(len(origin), bool)
        for lattice, world_to_asset in self.others:
            rest = np.flatnonzero(~blocked)
            blocked[rest] = _cross(lattice, world_to_asset, origin[rest], direction[rest], distance[rest])
        if self.occluders is not None:
            rest = np.flatnonzero(~blocked)
            blocked[rest] = self.occluders.block(origin[rest], direction[rest], distance[rest])
        return blocked


def _cross(lattice: grid.Grid, world_to_asset: np.ndarray, origin: np.ndarray, direction: np.ndarray,
           distance: np.ndarray) -> np.ndarray:
    """Which rays meet another asset. (K,) bool."""
    turn = world_to_asset[:3, :3].astype(np.float32)
    start, along = origin @ turn.T + world_to_asset[:3, 3].astype(np.float32), direction @ turn.T
    length = np.maximum(np.linalg.norm(along, axis=1), 1e-20)
    along = along / length[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # where it meets the asset's cube
        low, high = (-0.5 - start) / along, (0.5 - start) / along
    enter, leave = np.fmin(low, high).max(1), np.fmax(low, high).min(1)
    near = np.flatnonzero((leave > np.maximum(enter, 0)) & (enter < distance * length))
    hit = np.zeros(len(origin), bool)
    if len(near):
        _, met = lattice.trace(np.ascontiguousarray(start[near]), np.ascontiguousarray(along[near]))
        hit[near] = met < distance[near] * length[near]
    return hit


def see_lamp(lattice: grid.Grid, matrix: np.ndarray, index: np.ndarray, direction: np.ndarray, distance: np.ndarray,
             around: Surroundings, threads: int = 0) -> np.ndarray:
    """Which rays from surfels to points of a lamp meet nothing. (K,) bool.

    matrix: (4, 4), asset frame -> world. index: (K,) int32, the surfels that rays leave.
    direction: (K, 3) float32 unit, world. distance: (K,) float32, metres.
    """
    inverse = np.linalg.inv(matrix)
    along = direction @ inverse[:3, :3].T.astype(np.float32)
    length = np.maximum(np.linalg.norm(along, axis=1), 1e-20)
    along = along / length[:, None]
    normal = lattice.normal[index]
    seen = np.einsum("kc,kc->k", normal, along) > 0
    rows = np.flatnonzero(seen)
    _, met = lattice.trace(lattice.position[index[rows]], along[rows], normal=normal[rows], threads=threads)
    seen[rows] = met >= distance[rows] * length[rows]
    if around.others or around.occluders is not None:
        rows = np.flatnonzero(seen)
        lifted = lattice.position[index[rows]] + normal[rows] * np.float32(lattice.lift * lattice.cell)
        origin = lifted @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
        seen[rows] = ~around.block(origin, direction[rows], distance[rows])
    return seen
