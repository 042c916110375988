"""Lamp: a light of its own place and shape, in Blender's units."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

KINDS = ("point", "spot", "area", "sun")
_ARRAYS = "matrix", "color", "pattern"


def measure_pattern(kind: str, spot_angle: float = math.pi) -> tuple[float, float]:
    """Radians that the pattern of a lamp of this kind covers: along the row in its middle, and along a column."""
    if kind == "point":
        return 2 * math.pi, math.pi
    wide = math.pi if kind == "area" else min(max(spot_angle, 1e-3), math.pi)
    return wide, wide


@dataclass(frozen=True, eq=False)
class Lamp:
    """A lamp as Cycles takes it.

    kind: one of KINDS. matrix: (4, 4) float64, lamp -> world, metres; it shines along its -Z, and its scale counts.
    color: (3,) float64 linear Rec.709: watts of points, spots and areas, W/m2 of suns; negative ones take light away.
    radius: metres (point, spot). angle: radians, a sun's full angle. spot_angle: radians, a spot's full cone; blend:
        0..1, the share of it that fades. size: (x, y) metres of an area; shape: "RECTANGLE" or "ELLIPSE"; spread:
        radians, the full angle that it shines into.
    shadow: whether it casts shadows. diffuse, specular: 0..1, factors of what surfaces make of it. unblocked_by: names
        of instances and occluders that stand in nobody's way to it. hull: metres around it in which nothing does.
        through_glass: whether glass does not either.
    pattern: (H, W, 3) float32, factors of its color by the direction of its light, negative where they take light away,
        None where they are 1; as a panorama from its place, its -Z in the middle and its +Y on top, as wide as
        measure_pattern says. A sun has none.
    falloff: power of the distance with which its light falls; smooth: square metres that soften it near by, as Cycles'
        Light Falloff has it. Both leave what arrives at one metre as it is.
    group: its light group.
    """

    kind: str
    matrix: np.ndarray
    color: np.ndarray
    radius: float = 0.0
    angle: float = 0.0
    spot_angle: float = math.pi / 4
    blend: float = 0.15
    size: tuple[float, float] = (1.0, 1.0)
    shape: str = "RECTANGLE"
    spread: float = math.pi
    shadow: bool = True
    diffuse: float = 1.0
    specular: float = 1.0
    unblocked_by: tuple[str, ...] = ()
    hull: float = 0.0
    through_glass: bool = False
    pattern: np.ndarray | None = None
    falloff: float = 2.0
    smooth: float = 0.0
    group: str = ""

    @cached_property
    def key(self) -> tuple:
        """Equal where lamps are."""
        pattern = None if self.pattern is None else hashlib.sha256(np.ascontiguousarray(self.pattern)).digest()
        return (np.asarray(self.matrix, np.float64).tobytes(), np.asarray(self.color, np.float64).tobytes(), pattern,
                *(getattr(self, each.name) for each in fields(self) if each.name not in _ARRAYS))

    @property
    def position(self) -> np.ndarray:
        """(3,) float64, metres, world."""
        return np.asarray(self.matrix, np.float64)[:3, 3]
