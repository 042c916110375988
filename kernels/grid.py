"""Rays through a sparse voxel grid of surfels, light gathered over their hit tables.

Everything lies in the asset's frame: the unit cube [-0.5, 0.5]^3, Z up. The specification is kernels/twins/grid.py.
"""

import ctypes
from typing import NamedTuple

import numpy as np

from .ggx import Pyramid
from .library import INTEGER, POINTER, REAL, Kernel, require

_trace = Kernel("grid_trace", *[POINTER] * 4, INTEGER, *[POINTER] * 2, INTEGER)
_trace_table = Kernel("grid_trace_table", *[POINTER] * 3, INTEGER, POINTER, INTEGER, POINTER, INTEGER)
_trace_sky = Kernel("grid_trace_sky", POINTER, POINTER, INTEGER, POINTER, INTEGER, POINTER, INTEGER)
_direct = Kernel("grid_direct", *[POINTER] * 2, INTEGER, POINTER, INTEGER, INTEGER, *[POINTER] * 2, INTEGER, POINTER,
                 INTEGER, *[POINTER] * 4, INTEGER)
_settle = Kernel("grid_settle", POINTER, INTEGER, INTEGER, *[POINTER] * 4, REAL, POINTER, INTEGER)
_link = Kernel("grid_link", POINTER, INTEGER, INTEGER, *[POINTER] * 5, INTEGER)
_room = Kernel("grid_room", POINTER, INTEGER, POINTER, INTEGER)
_bounce = Kernel("grid_bounce", *[POINTER] * 3, INTEGER, *[POINTER] * 2, INTEGER, *[POINTER] * 2, INTEGER)
_blend = Kernel("grid_blend", *[POINTER] * 3, INTEGER, *[POINTER] * 2, INTEGER, *[REAL] * 2, POINTER, INTEGER)


class _GridView(ctypes.Structure):
    """Field for field NearGrid in src/grid.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("brick_mask", "brick_room", "brick_first", "cell_first",
                                                     "plane", "position", "surfel", "place")]
    _fields_ += [("count", ctypes.c_int64), ("resolution", ctypes.c_int32), ("bricks", ctypes.c_int32)]
    _fields_ += [(name, ctypes.c_float) for name in ("cell", "dilation", "skip", "lift")]


class Grid:
    """Surfels in the cells of a cubic grid centred on the origin, ready for rays.

    position: (M, 3) float32, asset frame; outside the grid they count for the nearest border cell.
    normal: (M, 3) float32, unit, geometric; opposing sides are two surfels, several may share a cell.
    resolution: cells along an edge, 1 .. 512. cell: their size, asset units.
    dilation: cells; a hit on a surfel's plane counts within the surfel's cell grown by this on every side, and where
        two surfels of a cell meet in a convex edge, up to 0.1 cells beyond the other's plane.
    skip: cells; closer hits are ignored if the surfel is seen from behind or its normal is within 60 degrees of the
        origin's (all closer hits where the origin has no normal). lift: cells; origins rise by this along their normal.
    Raises ValueError for wrong shapes, dtypes or values.
    """

    def __init__(self, position: np.ndarray, normal: np.ndarray, resolution: int, *, cell: float | None = None,
                 dilation: float = 0.15, skip: float = 0.25, lift: float = 0.25):
        self.position = require("position", position, (None, 3))
        self.normal = require("normal", normal, (len(position), 3))
        if not 1 <= resolution <= 512:
            raise ValueError(f"resolution must be 1 to 512, not {resolution}.")
        if not (np.isfinite(position).all() and np.isfinite(normal).all()):
            raise ValueError("position and normal must be finite.")
        self.resolution, self.cell = int(resolution), float(cell or 1.0 / resolution)
        self.dilation, self.skip, self.lift = float(dilation), float(skip), float(lift)
        self._build()

    def __len__(self) -> int:
        return len(self.position)

    def _build(self) -> None:
        edge = -(-self.resolution // 4)  # bricks
        in_cells = self.position / np.float32(self.cell) + np.float32(self.resolution / 2)
        x, y, z = (np.clip(column, 0, self.resolution - 1).astype(np.int64) for column in in_cells.T)
        code = ((z >> 2) * edge + (y >> 2)) * edge + (x >> 2) << 6 | _morton4(x, y, z)
        code = np.sort(code << 32 | np.arange(len(code)))
        order, code = code & 0xffffffff, code >> 32
        first = np.flatnonzero(np.diff(code, prepend=-1))  # in each occupied cell, brick by brick
        code = code[first]

        brick_start = np.flatnonzero(np.diff(code >> 6, prepend=-1))
        bricks = code[brick_start] >> 6
        brick_mask, brick_first = np.zeros(edge**3, np.uint64), np.zeros((edge**3, 2), np.uint32)
        if len(bricks):
            brick_mask[bricks] = np.bitwise_or.reduceat(np.uint64(1) << (code & 63).astype(np.uint64), brick_start)
            brick_first[bricks, 0] = brick_start
            brick_first[bricks, 1] = np.searchsorted(code, bricks << 6 | 32)
        room = measure_room((brick_mask != 0).reshape(edge, edge, edge))

        normal, in_cells = self.normal[order], in_cells[order]
        plane = np.concatenate([normal, (normal * in_cells).sum(1, keepdims=True)], 1, dtype=np.float32)
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        self._place = place
        self._arrays = (brick_mask, room, brick_first, np.append(first, len(order)).astype(np.uint32), plane,
                        np.ascontiguousarray(in_cells), order.astype(np.int32), place)  # kept alive for _GridView
        self._view = _GridView(*(a.ctypes.data for a in self._arrays), len(order), self.resolution, edge, self.cell,
                           self.dilation, self.skip, self.lift)

    @property
    def address(self) -> int:
        """Of the struct that kernels take."""
        return ctypes.addressof(self._view)

    def trace(self, origin: np.ndarray, direction: np.ndarray, *, normal: np.ndarray | None = None,
              threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The first surfel along each ray; of two in the same place the one that faces it.

        origin, direction: (K, 3) float32, asset frame, directions unit. normal: (K, 3) float32, unit, of the surface
        that the rays leave, for `lift` and `skip`. Returns hit (K,) int32, -1 for the sky, and distance (K,) float32,
        asset units, infinite for the sky.
        """
        count = len(require("origin", origin, (None, 3)))
        require("direction", direction, (count, 3))
        if normal is not None:
            require("normal", normal, (count, 3))
        in_cells = origin / np.float32(self.cell) + np.float32(self.resolution / 2)
        hit, distance = np.empty(count, np.int32), np.empty(count, np.float32)
        _trace(self.address, in_cells, direction, normal, count, hit, distance, threads)
        return hit, distance

    def trace_table(self, direction: np.ndarray, *, index: np.ndarray | None = None, threads: int = 0) -> np.ndarray:
        """What every surfel sees along every one of some shared directions.

        direction: (D, 3) float32, unit, asset frame. index: (N,) int32, the surfels to ask for, default all.
        Returns (N, D) int32: the surfel hit, -1 for the sky, -2 below the horizon of the geometric normal.
        """
        require("direction", direction, (None, 3))
        if index is None:
            place = np.arange(len(self), dtype=np.int32)
            row = self._arrays[6]
        else:
            place = self._place[in_range("index", index, len(self))]
            row = np.argsort(place, kind="stable").astype(np.int32)
            place = place[row]
        table = np.empty((len(place), len(direction)), np.int32)
        _trace_table(self.address, place, row, len(place), direction, len(direction), table, threads)
        return table

    def trace_sky(self, direction: np.ndarray, opened: np.ndarray, *, index: np.ndarray | None = None,
                  threads: int = 0) -> None:
        """Looks along a few directions from every surfel.

        direction: (D, 3) float32, unit, asset frame. opened: (M, D) bool, which becomes True where they meet nothing,
        False also below the geometric normal's horizon. index: (N,) int32, the surfels to ask for, each once, default
        all; quickest in the order of `parts`.
        """
        index = self._arrays[6] if index is None else in_range("index", index, len(self))
        count = len(require("direction", direction, (None, 3)))
        require("opened", opened, (len(self), count), bool)
        _trace_sky(self.address, index, len(index), direction, count, opened, threads)

    def see_sky(self, direction: np.ndarray, index: np.ndarray, *, threads: int = 0) -> np.ndarray:
        """The same for some surfels, each once: (N, D) bool."""
        order, opened = np.argsort(self._place[index]), np.empty((len(self), len(direction)), bool)
        self.trace_sky(direction, opened, index=np.ascontiguousarray(index[order]), threads=threads)
        return opened[index]

    def parts(self, size: int) -> list[np.ndarray]:
        """All surfels, neighbours together, in lists (n,) int32 of about `size`."""
        return np.array_split(self._arrays[6], max(1, -(-len(self) // size)))


def blend(grid: Grid, position: np.ndarray, normal: np.ndarray, features: np.ndarray, share: np.ndarray, *,
          radius: float = 1.5, step: float = 0.0, threads: int = 0) -> np.ndarray:
    """What the surfels around points of the surface say, smoothly: (K, C) float32.

    position, normal: (K, 3) float32, asset frame, unit normals of the side that is seen. features: (M, C) float32 of
    the grid's surfels. share: (M,) float32, how much of each counts; 0: none of it. radius: cells; surfels weigh less
    with distance, off their plane above all, and with the angle between normals. Where none are near, those further off
    and turned further away count; zeros where there are none at all. step: cells; of points that follow each other and
    lie no further apart, one in eight asks, and the others are told what lies between.
    """
    count = len(require("position", position, (None, 3)))
    channels = require("features", features, (len(grid), None)).shape[1]
    require("normal", normal, (count, 3)), require("share", share, (len(grid),))
    in_cells = position / np.float32(grid.cell) + np.float32(grid.resolution / 2)
    out = np.empty((count, channels), np.float32)
    _blend(grid.address, in_cells, normal, count, share, features, channels, radius, step, out, threads)
    return out


def pack_open(table: np.ndarray) -> np.ndarray:
    """Which entries of a hit table (N, D) are the sky, for `gather_direct`: (N / 16 rounded up, D) uint16, a bit a
    row."""
    blocks = -(-len(table) // 16)
    opened = np.zeros((16 * blocks, table.shape[1]), bool)
    opened[:len(table)] = table == -1
    octets = np.packbits(opened.reshape(2 * blocks, 8, -1), axis=1, bitorder="little").reshape(blocks, 2, -1)
    return octets[:, 0] | octets[:, 1].astype(np.uint16) << 8


def gather_direct(direction: np.ndarray, radiance: np.ndarray, words: np.ndarray, opened: np.ndarray,
                  normal: np.ndarray, irradiance: Pyramid, asset_to_map: np.ndarray, *, apart: int = 0,
                  threads: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Irradiance of the whole sky, (N, 3), of what is seen of it, (N, 3), and the share of this in luminance, (N,).

    The share, channel by channel, is that of the open directions in the sum of max(0, n . w) radiance.
    direction: (D + E, 3) float32, unit, asset frame. radiance: (D + E, 3) float32, times the steradians of each.
    words: of the first D directions, as `pack_open` makes them. opened: (N, E) bool, of the others. normal: (N, 3)
    float32, unit, shading. irradiance: by normal, map frame, a single level; of the sky without the last `apart`
    directions, which add their own. asset_to_map: (3, 3).
    """
    count, others = require("opened", opened, (None, None), bool).shape
    shared = require("words", words, (-(-count // 16), None), np.uint16).shape[1]
    require("direction", direction, (shared + others, 3))
    require("radiance", radiance, (shared + others, 3))
    require("normal", normal, (count, 3))
    asset_to_map = np.ascontiguousarray(asset_to_map, np.float32).reshape(9)
    whole, seen = np.empty((2, count, 3), np.float32)
    visibility = np.empty(count, np.float32)
    _direct(direction, radiance, shared + others, words, shared, apart, opened, normal, count, irradiance.texels,
            irradiance.height, asset_to_map, whole, seen, visibility, threads)
    return whole, seen, visibility


def settle(table: np.ndarray, position: np.ndarray, normal: np.ndarray, direction: np.ndarray, fold: float, *,
           owners: np.ndarray | None = None, threads: int = 0) -> np.ndarray:
    """Makes a hit table (N, D) int32 of trace_table, for every surfel, ready for light, in place: what is seen from
    behind from `fold` asset units or farther away sends nothing and becomes -2. A shell without an inner side is dark
    inside; nearer hits are the surface's own folds.

    position, normal: (N, 3) float32, normals geometric. direction: (D, 3) float32, unit. owners: (M,) int32, where the
    table names finer surfels, which of the N each belongs to; it then names these. Returns (N,) float32, 0..1, of what
    a surfel sees, how much is others' backs.
    """
    count, directions = require("table", table, (None, None), np.int32).shape
    require("position", position, (count, 3)), require("normal", normal, (count, 3))
    require("direction", direction, (directions, 3))
    if owners is not None:
        in_range("owners", owners, count)
    if table.size and table.max() >= (count if owners is None else len(owners)):
        raise ValueError("table names surfels that are not there.")
    enclosed = np.empty(count, np.float32)
    _settle(table, count, directions, owners, position, normal, direction, fold, enclosed, threads)
    return enclosed


class Links(NamedTuple):
    """Who lights whom: surfel i receives weight[k] times the radiance of surfel[k] for k = first[i] .. first[i + 1]."""

    first: np.ndarray  # (N + 1,) uint32
    surfel: np.ndarray  # (L,) int32
    weight: np.ndarray  # (L,) float32, 4 pi / D times max(0, n . w)


def link(table: np.ndarray, direction: np.ndarray, normal: np.ndarray, *, threads: int = 0) -> Links:
    """The links of a hit table, whatever the light.

    table: (N, D) int32 of trace_table, D directions uniform on the sphere, for every surfel. direction: (D, 3) float32,
    unit. normal: (N, 3) float32, unit, shading.
    """
    count, directions = require("table", table, (None, None), np.int32).shape
    require("direction", direction, (directions, 3))
    require("normal", normal, (count, 3))
    first = np.zeros(count + 1, np.uint32)
    first[1:] = np.cumsum(np.count_nonzero(table.view(np.uint32) < count, axis=1))
    surfel, weight = np.empty(first[-1], np.int32), np.empty(first[-1], np.float32)
    _link(table, count, directions, _by_component(direction), normal, first, surfel, weight, threads)
    return Links(first, surfel, weight)


def bounce(links: Links, direct: np.ndarray, albedo: np.ndarray, rounds: int, *, threads: int = 0
           ) -> tuple[np.ndarray, np.ndarray]:
    """Radiosity: surfels send albedo times what arrives, and it arrives at those that see them, `rounds` times.

    links: of all N surfels, as `link` makes them. direct: (N, 3) float32, irradiance before the first round. albedo:
    (N, 3) float32, radiance sent per irradiance, at most 1 / pi. Returns the irradiance that the last round brought and
    the radiance that leaves after it, (N, 3) and (N, 4), RGB0, float32.
    """
    count = len(require("links.first", links.first, (None,), np.uint32)) - 1
    require("links.surfel", links.surfel, (None,), np.int32)
    require("links.weight", links.weight, (len(links.surfel),))
    require("direct", direct, (count, 3))
    require("albedo", albedo, (count, 3))
    bounced, radiosity = np.empty((count, 3), np.float32), np.empty((count, 4), np.float32)
    _bounce(*links, count, direct, albedo, rounds, bounced, radiosity, threads)
    return bounced, radiosity


def _morton4(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(N,) each -> (N,): their low two bits interleaved."""
    return x & 1 | (y & 1) << 1 | (z & 1) << 2 | (x & 2) << 2 | (y & 2) << 3 | (z & 2) << 4


def measure_room(full: np.ndarray) -> np.ndarray:
    """How far rays can go: (n, n, n) bool, z slowest, -> uint32, 4 bits for each octant of directions.

    The number in bits 4 o to 4 o + 3 is that of bricks along an edge of the largest cube that starts here, extends up
    an axis where bit 0, 1, 2 of o is set for x, y, z, else down, and holds no True; 15 at most.
    """
    edge = len(require("full", full, (None, None, None), bool))
    require("full", full, (edge, edge, edge), bool)
    room = np.empty(full.shape, np.uint32)
    _room(full, edge, room, 1)
    return room


def _by_component(rows: np.ndarray) -> np.ndarray:
    """(D, 3) -> (3, D rounded up to 16), zeros behind."""
    out = np.zeros((3, -(-len(rows) // 16) * 16), np.float32)
    out[:, :len(rows)] = rows.T
    return out


def in_range(name: str, index: np.ndarray, count: int) -> np.ndarray:
    """Returns index (K,) int32 if all of it lies in 0 .. count - 1, else raises ValueError."""
    require(name, index, (None,), np.int32)
    if len(index) and not (index.min() >= 0 and index.max() < count):
        raise ValueError(f"{name} must lie in 0 to {count - 1}.")
    return index
