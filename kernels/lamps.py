"""Lamps as points: what arrives from them at places, what these mirror of it, and which rays towards them are free.

Places and directions are the world's, in metres. The specification is kernels/twins/lamps.py.
"""

import ctypes
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .grid import Grid, in_range
from .library import INTEGER, POINTER, REAL, Kernel, require

_light = Kernel("lamp_light", *[POINTER] * 3, INTEGER, *[POINTER] * 2, REAL, *[POINTER] * 2, INTEGER)
_trace = Kernel("lamp_trace", *[POINTER] * 2, *[INTEGER] * 2, *[POINTER] * 4, INTEGER, POINTER, INTEGER, *[POINTER] * 4,
                INTEGER)
_glare = Kernel("lamp_glare", *[POINTER] * 2, INTEGER, *[POINTER] * 4, INTEGER, *[REAL] * 2, *[POINTER] * 2, INTEGER)
_ask = Kernel("lamp_ask", *[POINTER] * 6, INTEGER, *[REAL] * 2, *[POINTER] * 3, INTEGER)
KINDS = ("point", "spot", "area", "sun")


class _LampView(ctypes.Structure):
    """Field for field NearLamp in src/lamps.cpp."""

    _fields_ = [("point", ctypes.c_void_p), ("count", ctypes.c_int64), ("kind", ctypes.c_int32)]
    _fields_ += [(name, ctypes.c_float) for name in ("least", "width", "scale")]
    _fields_ += [("middle", 3 * ctypes.c_float), ("axis", 3 * ctypes.c_float), ("local", 9 * ctypes.c_float)]
    _fields_ += [(name, ctypes.c_float) for name in ("edge", "softness", "spread", "narrow")]


@dataclass(frozen=True, eq=False)
class Emitter:
    """A lamp of one of KINDS as N points, each with an equal share of it.

    point: (N, 3) float32 places; of a sun unit directions towards it. least: metres; what is nearer counts as at this
    distance. width: metres across that a point stands for, of a sun radians. scale: irradiance over the lamp's colour
    that a point sends to a place that faces it one metre away. middle: (3,), of a point's or a spot's disc, which faces
    what it lights. axis: (3,) unit, of an area, away from where it shines. local: (3, 3), of a spot, turns directions
    into its frame, where it shines along -Z. edge: of a spot, the cosine of half its cone; softness: cosines over which
    its light fades. spread: of an area, radians that half of its spread has, pi / 2 for all around.
    """

    kind: str
    point: np.ndarray
    least: float
    width: float
    scale: float
    middle: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axis: np.ndarray = field(default_factory=lambda: np.zeros(3))
    local: np.ndarray = field(default_factory=lambda: np.eye(3))
    edge: float = 0.0
    softness: float = 1.0
    spread: float = np.pi / 2

    @cached_property
    def _view(self) -> _LampView:
        require("point", self.point, (None, 3))
        tangent = np.tan(self.spread) if self.spread < np.pi / 2 - 1e-3 else 0.0
        row = lambda values, count: (count * ctypes.c_float)(*np.asarray(values, np.float64).reshape(count).tolist())
        return _LampView(self.point.ctypes.data, len(self.point), KINDS.index(self.kind), self.least, self.width,
                         self.scale, row(self.middle, 3), row(self.axis, 3), row(self.local, 9), self.edge,
                         self.softness, tangent, tangent - self.spread if tangent else 1.0)

    @property
    def address(self) -> int:
        """Of the struct that kernels take."""
        return ctypes.addressof(self._view)


def light(lamp: Emitter, position: np.ndarray, normal: np.ndarray, *, threads: int = 0) -> np.ndarray:
    """Irradiance at places over the lamp's colour, with nothing in the way, (K,) float32. position, normal: (K, 3)
    float32, normals unit."""
    count = len(require("position", position, (None, 3)))
    require("normal", normal, (count, 3))
    arrives = np.empty(count, np.float32)
    _light(lamp.address, position, normal, count, None, None, 0.0, arrives, None, threads)
    return arrives


def mirror(lamp: Emitter, position: np.ndarray, normal: np.ndarray, view: np.ndarray, roughness: np.ndarray,
           least_roughness: float, *, threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same, and what GGX surfaces mirror towards view (K, 3), unit: factors of F0 and F90, (K, 2) float32.

    roughness: (K,) float32, counts as least_roughness at least; a point's width blurs it more.
    """
    count = len(require("position", position, (None, 3)))
    require("normal", normal, (count, 3)), require("view", view, (count, 3)), require("roughness", roughness, (count,))
    arrives, mirrored = np.empty(count, np.float32), np.empty((count, 2), np.float32)
    _light(lamp.address, position, normal, count, view, roughness, least_roughness, arrives, mirrored, threads)
    return arrives, mirrored


@dataclass(frozen=True, eq=False)
class LampRays:
    """From each of K places n rays to a lamp. weight: (K, n) float32, what each brings, 0 where nothing arrives through
    it. share: (K,) float32, of the light that arrives. direction: (K, n, 3), distance: (K, n) float32, or None."""

    weight: np.ndarray
    share: np.ndarray
    direction: np.ndarray | None
    distance: np.ndarray | None


def trace(grid: Grid, lamp: Emitter, side: int, index: np.ndarray, origin: np.ndarray, position: np.ndarray,
          normal: np.ndarray, world_to_asset: np.ndarray, *, own: bool = True, kept: bool = False, threads: int = 0
          ) -> LampRays:
    """Rays from surfels to a lamp, one to each of side x side cells of its points.

    lamp: with (side * p)^2 points, row by row, p patterns of which neighbours take different ones: index (K,) int32
    says which. origin: (K,) int32, the grid's surfels that rays leave. position, normal: (K, 3) float32, their places
    and shading normals. world_to_asset: (3, 3). own: whether the grid's surfels are in the way. kept: whether
    directions and distances are asked for.
    """
    count, along = len(require("index", index, (None,), np.int32)), int(round(len(lamp.point) ** 0.5))
    if side < 1 or along * along != len(lamp.point) or along % side:
        raise ValueError(f"A lamp of {len(lamp.point)} points has no {side} x {side} cells of them.")
    require("position", position, (count, 3)), require("normal", normal, (count, 3))
    if len(in_range("origin", origin, len(grid))) != count:
        raise ValueError("origin must be as long as index.")
    rays = LampRays(np.empty((count, side * side), np.float32), np.empty(count, np.float32),
                    np.empty((count, side * side, 3), np.float32) if kept else None,
                    np.empty((count, side * side), np.float32) if kept else None)
    _trace(grid.address, lamp.address, side, along // side, index, origin, position, normal, count,
           np.ascontiguousarray(world_to_asset, np.float32).reshape(9), own, rays.weight, rays.direction, rays.distance,
           rays.share, threads)
    return rays


def glare(towards: np.ndarray, power: np.ndarray, normal: np.ndarray, view: np.ndarray, roughness: np.ndarray,
          share: np.ndarray, least_roughness: float, limit: float, *, threads: int = 0
          ) -> tuple[np.ndarray, np.ndarray]:
    """What GGX surfaces mirror of P suns, all of them and as they arrive: (K, 2, 3) float32 each, for F0 and F90.

    towards: (P, 3) float32 unit. power: (P, 3) float32, irradiance of what faces each. normal, view: (K, 3) float32
    unit, in their frame. roughness: (K,) float32, counts as least_roughness at least. share: (K, P) float32, how much
    of each arrives. limit: luminance that a factor has at most.
    """
    suns = len(require("towards", towards, (None, 3)))
    count = len(require("normal", normal, (None, 3)))
    require("power", power, (suns, 3)), require("view", view, (count, 3)), require("roughness", roughness, (count,))
    require("share", share, (count, suns))
    opened, seen = np.empty((count, 2, 3), np.float32), np.empty((count, 2, 3), np.float32)
    _glare(towards, power, suns, normal, view, roughness, share, count, least_roughness, limit, opened, seen, threads)
    return opened, seen


def ask(lamp: Emitter, position: np.ndarray, plane: np.ndarray, normal: np.ndarray, share: np.ndarray,
        rounded: np.ndarray, grazing: float, edge: float, *, threads: int = 0
        ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of K places the rays to the N points of a lamp that are worth it: where light grazes a surface that is rounded,
    and of the others where the lamp's edge is seen. Returns weight (K, N) float32, what each point sends, 0 where
    nothing is asked, direction (K, N, 3) unit and distance (K, N).

    position, plane, normal: (K, 3) float32, geometric and shading normals. share: (K,) float32, how much of the lamp
    arrives, as others say: more than `edge` and less than 1 - edge where its edge is seen. rounded: (K,) bool. grazing:
    cosine below which light grazes a plane.
    """
    count = len(require("position", position, (None, 3)))
    require("plane", plane, (count, 3)), require("normal", normal, (count, 3))
    require("share", share, (count,)), require("rounded", rounded, (count,), bool)
    weight, distance = (np.empty((count, len(lamp.point)), np.float32) for _ in range(2))
    direction = np.empty((count, len(lamp.point), 3), np.float32)
    _ask(lamp.address, position, plane, normal, share, rounded, count, grazing, edge, weight, direction, distance,
         threads)
    return weight, direction, distance
