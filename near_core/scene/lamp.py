"""Lamp: a light of its own place and shape, in Blender's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

KINDS = ("point", "spot", "area", "sun")


@dataclass(frozen=True, eq=False)
class Lamp:
    """A lamp as Cycles takes it.

    kind: one of KINDS. matrix: (4, 4) float64, lamp -> world, metres; it shines along its -Z, and its scale counts.
    color: (3,) float64 linear Rec.709: watts of points, spots and areas, W/m2 of suns.
    radius: metres (point, spot). angle: radians, a sun's full angle. spot_angle: radians, a spot's full cone; blend:
        0..1, the share of it that fades. size: (x, y) metres of an area; shape: "RECTANGLE" or "ELLIPSE"; spread:
        radians, the full angle that it shines into.
    shadow: whether it casts shadows. diffuse, specular: 0..1, factors of what surfaces make of it. unblocked_by: names
        of instances and occluders that stand in nobody's way to it. hull: metres around it in which nothing does.
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

    @cached_property
    def key(self) -> tuple:
        """Equal where lamps are."""
        return (np.asarray(self.matrix, np.float64).tobytes(), np.asarray(self.color, np.float64).tobytes(),
                *(getattr(self, each.name) for each in fields(self) if each.name not in ("matrix", "color")))

    @property
    def position(self) -> np.ndarray:
        """(3,) float64, metres, world."""
        return np.asarray(self.matrix, np.float64)[:3, 3]
