"""Where a probe is taken: in an asset's middle or, where something cuts the asset there, where it stands free."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from mathutils import Vector

MOST_POLYGONS = 100_000  # of what is asked how near it is
FREE = 0.1  # of an asset's smallest side: as far from all else a middle stands free
_STEPS = np.array(sorted(itertools.product((-0.35, 0, 0.35), repeat=3), key=np.linalg.norm))  # sides; the middle first


def measure_outside(ob: Any, place: np.ndarray) -> float:
    """Metres from a place of the world (3,) to the surface of ob, evaluated; negative behind it, infinite where ob has
    none or too large a one."""
    if not 0 < len(ob.data.polygons) <= MOST_POLYGONS:
        return np.inf
    own = ob.matrix_world.inverted_safe() @ Vector(place.tolist())
    found, nearest, normal, _ = ob.closest_point_on_mesh(own)
    if not found:
        return np.inf
    away = float(np.linalg.norm(np.array(ob.matrix_world @ nearest) - place))
    return -away if (nearest - own).dot(normal) > 0 else away


def find(matrix: np.ndarray, bounds: np.ndarray, around: list[Any]) -> np.ndarray:
    """A place (3,) of an asset in the world from which to look around.

    matrix: (4, 4), asset frame -> world. bounds: (K, 3), corners in the world of what its object shows. around:
    evaluated objects that may cut it: their bounds meet its own.
    """
    middle, local = matrix[:3, 3], (bounds - matrix[:3, 3]) @ np.linalg.pinv(matrix[:3, :3]).T
    low, high = np.clip(local.min(0), -0.5, 0.5), np.clip(local.max(0), -0.5, 0.5)
    places = ((low + high) / 2 + _STEPS * (high - low)) @ matrix[:3, :3].T + middle
    sides = np.linalg.norm(matrix[:3, :3], axis=0) * (high - low)
    places[0], free = middle, FREE * float(sides.min())
    if not np.isfinite(places).all():
        return middle
    cutting = [each for each in around if measure_outside(each, middle) < free]
    if not cutting:
        return middle
    outside = np.array([[measure_outside(each, place) for each in cutting] for place in places])
    outside[:, (outside < 0).all(0)] = np.inf  # what encloses all of it, or a wall that is turned round, cuts nothing
    nearest = outside.min(1)
    return places[int(np.argmax(np.minimum(nearest, free)))] if nearest.max() > 0 else middle


def read_bounds(ob: Any, matrix: np.ndarray) -> np.ndarray:
    """The corners (8, 3) of ob, evaluated, as it stands at matrix (4, 4)."""
    return np.array(ob.bound_box, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
