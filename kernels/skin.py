"""Points on a skin: what they are made of, where they touch its triangles, and where rays leave it.

Everything lies in the frame of the vertices. The specification is kernels/twins/skin.py. Results do not depend on
`threads`, the number of threads, 0 for all processors.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .library import INTEGER, POINTER, REAL, Kernel, require

_describe = Kernel("skin_describe", *[POINTER] * 12, INTEGER, POINTER, *[REAL] * 4, *[POINTER] * 6, INTEGER)
_feet = Kernel("skin_feet", *[POINTER] * 7, INTEGER, *[POINTER] * 4, INTEGER)
_leave = Kernel("skin_leave", *[POINTER] * 6, INTEGER, REAL, *[POINTER] * 2, INTEGER)
WRAPS = ("repeat", "mirror", "clamp")


class _MapView(ctypes.Structure):
    """Field for field NearMap in src/skin.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("levels", "size")]
    _fields_ += [(name, ctypes.c_int64) for name in ("count", "channels")]


class _MaterialView(ctypes.Structure):
    """Field for field NearMaterial in src/skin.cpp."""

    _fields_ = [("map", 4 * _MapView), ("color", 4 * ctypes.c_float)]
    _fields_ += [(name, ctypes.c_float) for name in ("roughness", "metallic", "normal_scale")]
    _fields_ += [("wrap", 2 * ctypes.c_int32)]


@dataclass(frozen=True, eq=False)
class TriangleMaterial:
    """What a triangle is made of. color: linear RGB and opacity. wrap: of WRAPS, along U and V. maps: base colour (4
    channels, linear, premultiplied), roughness, metallic (1), normal (3), each as its mip levels (h, w, C) float32, the
    map itself first; None for none. They multiply what is said beside them."""

    color: tuple[float, float, float, float]
    roughness: float
    metallic: float
    normal_scale: float
    wrap: tuple[str, str]
    maps: tuple[Sequence[np.ndarray] | None, ...]


@dataclass(frozen=True, eq=False)
class Triangles:
    """Triangles and what they are made of. plane: (F, 3) float32 unit, normals. tangents: (F, 2, 3) float32, along
    which U and V grow. density: (F,) float32, UV area per area. slope: (F, 2, 3) float32, gradients of U and V. kind:
    (F,) int32 into materials."""

    plane: np.ndarray
    tangents: np.ndarray
    density: np.ndarray
    slope: np.ndarray
    kind: np.ndarray
    materials: Sequence[TriangleMaterial]

    @cached_property
    def _views(self) -> tuple[ctypes.Array, list]:
        """What the kernel takes, and what has to live as long."""
        count = len(require("density", self.density, (None,)))
        require("plane", self.plane, (count, 3)), require("kind", self.kind, (count,), np.int32)
        require("tangents", self.tangents, (count, 2, 3)), require("slope", self.slope, (count, 2, 3))
        if count and not (0 <= self.kind.min() and self.kind.max() < len(self.materials)):
            raise ValueError(f"kind must be 0 to {len(self.materials) - 1}.")
        kept: list = []
        views = (len(self.materials) * _MaterialView)()
        for view, material in zip(views, self.materials):
            for place, (levels, channels) in enumerate(zip(material.maps, (4, 1, 1, 3))):
                if levels is None:
                    continue
                for level in levels:
                    require("maps", level, (None, None, channels))
                kept += [levels, (len(levels) * ctypes.c_void_p)(*(level.ctypes.data for level in levels)),
                         np.array([level.shape[:2] for level in levels], np.int32)]
                view.map[place] = _MapView(ctypes.addressof(kept[-2]), kept[-1].ctypes.data, len(levels), channels)
            view.color[:], view.wrap[:] = material.color, [WRAPS.index(each) for each in material.wrap]
            view.roughness, view.metallic = material.roughness, material.metallic
            view.normal_scale = material.normal_scale
        return views, kept

    @property
    def address(self) -> int:
        """Of the materials' structs that kernels take."""
        return ctypes.addressof(self._views[0])


@dataclass(frozen=True, eq=False)
class Described:
    """What K points are made of, float32. normal: (K, 3) unit, of triangles, towards the view. shading_normal: (K, 3)
    unit. base_color: (K, 3) linear. roughness, metallic, opacity: (K,)."""

    normal: np.ndarray
    shading_normal: np.ndarray
    base_color: np.ndarray
    roughness: np.ndarray
    metallic: np.ndarray
    opacity: np.ndarray


def describe(triangles: Triangles, row: np.ndarray, position: np.ndarray, normal: np.ndarray, uv: np.ndarray,
             color: np.ndarray, pixel: np.ndarray, eye: np.ndarray, *, footprint: float = 0.3, oblique: float = 0.7,
             least: float = 0.1, spread: float = 1.0, threads: int = 0) -> Described:
    """The material of K points: maps looked up in the mip level nearest to a pixel's size, along oblique pixels at four
    places; normal maps bend normals, as far as a mirror's reflection stays above the surface.

    row: (K,) int32 of triangles. position: (K, 3), normal: (K, 3), shorter where normals differ, uv: (K, 2), V up,
    color: (K, 4), multiplies the material's, pixel: (K,) a pixel's edge at each, float32. eye: (4,), as
    triangles.find_points takes it. footprint: square pixels that a look at a map spans. oblique: cosine from which a
    look is a line, least: at which that is longest. spread: times what normals that differ add to roughness.
    """
    count = _check_points(row, position, normal, len(triangles.plane))
    require("uv", uv, (count, 2)), require("color", color, (count, 4)), require("pixel", pixel, (count,))
    made = Described(*(np.empty((count, 3), np.float32) for _ in range(3)),
                     *(np.empty(count, np.float32) for _ in range(3)))
    address = triangles.address
    _describe(triangles.plane, triangles.tangents, triangles.density, triangles.slope, triangles.kind, address, row,
              position, normal, uv, color, pixel, count, np.ascontiguousarray(eye, np.float32).reshape(4), footprint,
              oblique, least, spread, made.normal, made.shading_normal, made.base_color, made.roughness, made.metallic,
              made.opacity, threads)
    return made


def find_feet(vertices: np.ndarray, faces: np.ndarray, plane: np.ndarray, smooth: np.ndarray | None, row: np.ndarray,
              position: np.ndarray, normal: np.ndarray, *, threads: int = 0
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where K points touch their triangles: the mean of a pixel's samples lies beside them at creases.

    vertices: (V, 3), faces: (F, 3) int32, plane: (F, 3) unit, smooth: (V, 3) unit or None. row: (K,) int32 of faces.
    position, normal: (K, 3), the points' own. Returns (K, 3) float32 each: the places; the triangles' normals and the
    smooth surface's, on the side that the points' normals are on; and the way up to this surface, 0 where it lies
    below. Source: Hanika 2021, Hacking the Shadow Terminator.
    """
    require("vertices", vertices, (None, 3)), require("faces", faces, (None, 3), np.int32)
    require("plane", plane, (len(faces), 3))
    if smooth is not None:
        require("smooth", smooth, (len(vertices), 3))
    count = _check_points(row, position, normal, len(faces))
    foot, turned, rounded, rise = (np.empty((count, 3), np.float32) for _ in range(4))
    _feet(vertices, faces, plane, smooth, row, position, normal, count, foot, turned, rounded, rise, threads)
    return foot, turned, rounded, rise


def leave(foot: np.ndarray, normal: np.ndarray, rise: np.ndarray, row: np.ndarray, direction: np.ndarray,
          above: np.ndarray, grazing: float, *, threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Where R rays towards light begin, (R, 3) float32, and which of them their own triangle does not block, (R,) bool.

    foot, normal, rise: (K, 3) float32, as find_feet gives them. row: (R,) int64, which of them rays leave. direction:
    (R, 3) float32 unit. above: (R,) float32, how far above the surface. grazing: cosine between light and a triangle
    from which downwards rays begin on the smooth surface, more and more, as Cycles' Geometry Offset has it.
    """
    count = len(require("row", row, (None,), np.int64))
    for name, array in (("foot", foot), ("normal", normal), ("rise", rise)):
        require(name, array, (len(foot), 3))
    require("direction", direction, (count, 3)), require("above", above, (count,))
    if count and not (0 <= row.min() and row.max() < len(foot)):
        raise ValueError(f"row must be 0 to {len(foot) - 1}.")
    origin, free = np.empty((count, 3), np.float32), np.empty(count, bool)
    _leave(foot, normal, rise, row, direction, above, count, grazing, origin, free, threads)
    return origin, free


def _check_points(row: np.ndarray, position: np.ndarray, normal: np.ndarray, faces: int) -> int:
    """How many points there are."""
    count = len(require("row", row, (None,), np.int32))
    require("position", position, (count, 3)), require("normal", normal, (count, 3))
    if count and not (0 <= row.min() and row.max() < faces):
        raise ValueError(f"row must be 0 to {faces - 1}.")
    return count
