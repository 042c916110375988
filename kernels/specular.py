"""Specular reflections: of the open map, and traced through a grid of surfels, which may mirror in turn.

The specification is kernels/twins/specular.py.
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from .around import Around
from .ggx import Pyramid
from .grid import Grid, in_range
from .library import INTEGER, POINTER, Kernel, require

_trace_specular = Kernel("grid_trace_specular", *[POINTER] * 7, INTEGER, *[POINTER] * 3, INTEGER, INTEGER, POINTER,
                         POINTER, INTEGER, POINTER, *[INTEGER] * 3, *[POINTER] * 6, INTEGER, POINTER, INTEGER)
_reflect = Kernel("light_reflect", POINTER, INTEGER, INTEGER, *[POINTER] * 5, INTEGER, *[POINTER] * 3, INTEGER, POINTER,
                  INTEGER, POINTER, POINTER, INTEGER)
Pair = tuple[np.ndarray, np.ndarray]


class _MirrorsView(ctypes.Structure):
    """Field for field NearMirrors in src/specular.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("rows", "texels", "around")]
    _fields_ += [("height", ctypes.c_int32), ("levels", ctypes.c_int32), ("bounces", ctypes.c_int64)]


@dataclass(frozen=True, eq=False)
class Mirrors:
    """What rays see of surfels that mirror: they go on from one metal to the next, along the middle of its lobe.

    rows: (M, 8) float32: shading normal (3), roughness, metallic times F0 (3), metallic. pyramid, around: the light
    that they mirror, as trace_specular takes it. bounces: how many surfels a ray goes on from.
    """

    rows: np.ndarray
    pyramid: Pyramid
    around: Around | None = None
    bounces: int = 2

    def lay_out(self, grid: Grid) -> tuple[_MirrorsView, Around | None]:
        """As the kernel takes it, and what has to live as long."""
        require("mirrors.rows", self.rows, (len(grid), 8))
        around = self.around and self.around.move(_from_cells(grid, self.around))
        return _MirrorsView(self.rows.ctypes.data, self.pyramid.texels.ctypes.data, around and around.address,
                            self.pyramid.height, self.pyramid.levels, self.bounces), around


def trace_specular(grid: Grid, index: np.ndarray, view: np.ndarray, normal: np.ndarray, roughness: np.ndarray,
                   radiosity: np.ndarray, pyramid: Pyramid, asset_to_map: np.ndarray, *, around: Around | None = None,
                   mirrors: Mirrors | None = None, rays: int = 16, fewer: np.ndarray | None = None,
                   seed: int = 0, points: Pair | None = None, other: Pair | None = None, hidden_only: bool = False,
                   owners: np.ndarray | None = None, group: np.ndarray | None = None, threads: int = 0
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Specular reflection seen from `view`, by GGX rays through the grid: specular = F0 * x[:, 0] + F90 * x[:, 1].

    index: (K,) int32 surfels. view: (K, 3) float32, unit, surfel to camera. normal: (K, 3) float32, unit, shading.
    roughness: (K,) float32, perceptual, alpha = roughness^2. radiosity: (M, 4) float32, RGB0, radiance that surfels
    send out. pyramid: the light map. asset_to_map: (3, 3) float32, turns directions of the asset's frame into the
    map's. around: what lies before the map, for origins of the asset's frame. rays: per surfel; a Hammersley set that a
    hash of surfel and `seed` rotates. A reflection below the surfel's plane is mirrored above it, so that bent normals
    lose no energy. points: (K, 3) and (K, 3) float32, where other reflections than the surfels' start, in the asset's
    frame, and geometric normals; index then only rotates. other: (M, 4) float32, what surfels send out in another
    light, and (K, 2, 3) float32, which becomes what the same rays bring of it, as if nothing mirrored. fewer: (K,)
    uint8, how many times the rays of each are halved. hidden_only: leaves what nothing hides out of open and traced,
    and unseen sky, which is quicker; traced - open * (1 - blocked) stays the same. owners: int32, which of the M that
    send each of the grid's surfels belongs to. group: (K,) int32, which of asset_to_map (G, 3, 3), of as many
    radiosity (G, M, 4), is each one's. Returns
    open: (K, 2, 3) float32, as if every ray reached the sky, which is looked up with each ray's footprint
        (filtered importance sampling, Krivanek and Colbert 2008),
    traced: (K, 2, 3) float32, where rays that hit return the radiosity there; with `mirrors`, of what is not metallic,
        and of the rest what another ray brings, down to where the light grows faint,
    blocked: (K,) float32, the share of the lobe that hits.
    Source: Heitz 2018 (visible normals, height-correlated Smith), Schlick 1994.
    """
    count = len(index := in_range("index", index, len(grid)))
    origin, outward = (None, None) if points is None else _place(grid, *points, count)
    _check_surface(count, roughness, view=view, normal=normal)
    group, (sent, beside) = _check_group(group, count, asset_to_map), other or (None, None)
    _check_senders(grid, owners, () if group is None else (len(asset_to_map),), count, radiosity, sent, beside)
    fewer, halvings = _check_rays(rays, fewer, count)
    (open_sky, traced), blocked = np.empty((2, count, 2, 3), np.float32), np.empty(count, np.float32)
    around, mirrored = around and around.move(_from_cells(grid, around)), mirrors and mirrors.lay_out(grid)
    _trace_specular(grid.address, index, origin, outward, view, normal, roughness, count, radiosity, mirrored and
                    ctypes.addressof(mirrored[0]), pyramid.texels, pyramid.height, pyramid.levels,
                    _flat(asset_to_map), around and around.address, rays, fewer, halvings, hidden_only, seed &
                    0xFFFFFFFF, open_sky, traced, blocked, sent, beside, owners, radiosity.shape[-2], group, threads)
    return open_sky, traced, blocked


def reflect(light: Pyramid, surface: np.ndarray, view: np.ndarray, normal: np.ndarray, roughness: np.ndarray,
            key: np.ndarray, asset_to_map: np.ndarray, *, around: Around | None = None,
            origin: np.ndarray | None = None, rays: int = 64, fewer: np.ndarray | None = None,
            group: np.ndarray | None = None, threads: int = 0) -> np.ndarray:
    """What a GGX surface under the whole open map reflects: specular = F0 * x[:, 0] + F90 * x[:, 1].

    trace_specular's `open` with as many rays as one likes, since none of them is traced. surface, view, normal: (K, 3)
    float32 unit, geometric normal, direction to the camera, shading normal, in the asset's frame. roughness: (K,)
    float32. key: (K,) int32, what rotates a point's samples. asset_to_map: (3, 3). around: as there, for rays from
    origin (K, 3) float32. fewer, group: as there. Returns (K, 2, 3) float32.
    """
    count = len(require("key", key, (None,), np.int32))
    _check_surface(count, roughness, surface=surface, view=view, normal=normal)
    if around is not None:
        require("origin", origin, (count, 3))
    fewer, halvings = _check_rays(rays, fewer, count)
    out = np.empty((count, 2, 3), np.float32)
    _reflect(light.texels, light.height, light.levels, surface, view, normal, roughness, key, count,
             _flat(asset_to_map), around and around.address, origin, rays,
             fewer, halvings, _check_group(group, count, asset_to_map), out, threads)
    return out


def _flat(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, np.float32).reshape(-1)


def _check_group(group: np.ndarray | None, count: int, asset_to_map: np.ndarray) -> np.ndarray | None:
    """The same, where it names matrices that are there."""
    groups = () if group is None else (len(asset_to_map),)
    if np.shape(asset_to_map) != (*groups, 3, 3):
        raise ValueError(f"asset_to_map must have shape {(*groups, 3, 3)}, not {np.shape(asset_to_map)}.")
    return group if group is None else in_range("group", require("group", group, (count,), np.int32), *groups)


def _check_senders(grid: Grid, owners: np.ndarray | None, groups: tuple[int, ...], count: int, radiosity: np.ndarray,
                   sent: np.ndarray | None, beside: np.ndarray | None) -> None:
    """owners, radiosity: as trace_specular takes them, sent and beside: its other. groups: how many of them there are,
    none where there is one."""
    senders = require("radiosity", radiosity, (*groups, len(grid) if owners is None else None, 4)).shape[-2]
    if owners is not None:
        in_range("owners", require("owners", owners, (len(grid),), np.int32), senders)
    if sent is not None:
        require("other[0]", sent, (*groups, senders, 4)), require("other[1]", beside, (count, 2, 3))


def _check_surface(count: int, roughness: np.ndarray, **vectors: np.ndarray) -> None:
    require("roughness", roughness, (count,))
    for name, values in vectors.items():
        require(name, values, (count, 3))


def _check_rays(rays: int, fewer: np.ndarray | None, count: int) -> tuple[np.ndarray | None, int]:
    """The same, and how many times rays are halved at most."""
    if not 1 <= rays <= 65536:
        raise ValueError(f"rays must be 1 to 65536, not {rays}.")
    halvings = 0 if fewer is None or not count else int(require("fewer", fewer, (count,), np.uint8).max())
    if rays >> halvings < 1:
        raise ValueError(f"{rays} rays cannot be halved {halvings} times.")
    return fewer, halvings


def _place(grid: Grid, point: np.ndarray, outward: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) of the asset's frame in cells, and their normals."""
    require("points[0]", point, (count, 3)), require("points[1]", outward, (count, 3))
    return point / np.float32(grid.cell) + np.float32(grid.resolution / 2), outward


def _from_cells(grid: Grid, around: Around) -> np.ndarray:
    """(3, 4), the place of `around` for origins in cells."""
    place = around.place.astype(np.float64) * [grid.cell, grid.cell, grid.cell, 1]
    place[:, 3] -= place[:, :3] @ np.full(3, grid.resolution / 2)
    return place
