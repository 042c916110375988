"""Where a probe is taken: in an asset's middle or, where something cuts the asset there, where it stands free."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Vector

MOST_POLYGONS = 100_000  # of what is asked how near it is
FREE = 0.1  # of an asset's smallest side: as far from all else a middle stands free
LARGEST = 1.0  # sizes of an asset, the radius of what is looked through where its middle is inside
CONTENT = 0.5  # of a solid's bounds that are inside of an asset's, from which it is a part of what is in there
_STEPS = np.array(sorted(itertools.product((-0.35, 0, 0.35), repeat=3), key=np.linalg.norm))  # sides; the middle first


@dataclass(frozen=True)
class Solid:
    """A mesh that stands in the scene, by itself or as an instance. name: name_full of its object. ob: evaluated.
    matrix: (4, 4) object -> world. bounds: (8, 3), corners in the world."""

    name: str
    ob: Any
    matrix: np.ndarray
    bounds: np.ndarray

    @property
    def radius(self) -> float:
        return float(np.linalg.norm(np.ptp(self.bounds, axis=0))) / 2

    def measure_outside(self, place: np.ndarray) -> float:
        """Metres from a place of the world (3,) to the surface; negative behind it, infinite where there is none or too
        large a one."""
        if not 0 < len(self.ob.data.polygons) <= MOST_POLYGONS or not np.isfinite(self.matrix).all():
            return np.inf
        own = Vector((np.linalg.pinv(self.matrix) @ (*place, 1))[:3].tolist())
        found, nearest, normal, _ = self.ob.closest_point_on_mesh(own)
        if not found:
            return np.inf
        away = float(np.linalg.norm((self.matrix @ (*nearest, 1))[:3] - place))
        return -away if (nearest - own).dot(normal) > 0 else away

    def measure_share(self, low: np.ndarray, high: np.ndarray) -> float:
        """The share of the bounds that is inside of others, (3,) each."""
        own_low, own_high = self.bounds.min(0), self.bounds.max(0)
        both = np.minimum(own_high, high) - np.maximum(own_low, low)
        return float(np.prod(np.clip(both, 0, None) / np.maximum(own_high - own_low, 1e-9)))


class Solids:
    """Every mesh that a depsgraph shows; of instances those that show an object as it is."""

    def __init__(self, depsgraph: Any):
        obs, matrices, boxes = [], [], []
        known: dict[int, np.ndarray] = {}  # of data that many objects share
        for instance in depsgraph.object_instances:
            ob = instance.object
            if not instance.show_self or ob.type != "MESH":
                continue
            matrix = np.array(instance.matrix_world, np.float64)
            data = ob.data.as_pointer()
            if instance.is_instance:  # what it shows is gone with the next one
                ob = ob.original.evaluated_get(depsgraph)
                if ob.type != "MESH" or ob.data.as_pointer() != data:
                    continue
            if data not in known:
                known[data] = np.array(ob.bound_box, np.float64)
            obs.append(ob)
            matrices.append(matrix)
            boxes.append(known[data])
        self._obs, self._matrices = obs, np.reshape(matrices, (-1, 4, 4))
        turned = np.reshape(boxes, (-1, 8, 3)) @ self._matrices[:, :3, :3].transpose(0, 2, 1)
        self._bounds = turned + self._matrices[:, None, :3, 3]
        self._low, self._high = self._bounds.min(1), self._bounds.max(1)

    def meet(self, bounds: np.ndarray, name: str) -> list[Solid]:
        """Those whose bounds meet corners of the world (K, 3), but for what is called so."""
        meets = (self._low <= bounds.max(0)).all(1) & (self._high >= bounds.min(0)).all(1)
        return [Solid(self._obs[k].name_full, self._obs[k], self._matrices[k], self._bounds[k])
                for k in np.flatnonzero(meets).tolist() if self._obs[k].name_full != name]


def find(matrix: np.ndarray, bounds: np.ndarray, around: list[Solid], is_asset: Callable[[Any], bool]
         ) -> tuple[np.ndarray, list[str]]:
    """A place (3,) of an asset in the world from which to look around, and the names of what is looked through there.

    matrix: (4, 4), asset frame -> world. bounds: (K, 3), corners in the world of what its object shows. around:
    what may cut it: its bounds meet these.
    """
    middle, local = matrix[:3, 3], (bounds - matrix[:3, 3]) @ np.linalg.pinv(matrix[:3, :3]).T
    low, high = np.clip(local.min(0), -0.5, 0.5), np.clip(local.max(0), -0.5, 0.5)
    places = ((low + high) / 2 + _STEPS * (high - low)) @ matrix[:3, :3].T + middle
    sides = np.linalg.norm(matrix[:3, :3], axis=0) * (high - low)
    places[0], free = middle, FREE * float(sides.min())
    if not np.isfinite(places).all():
        return middle, []
    largest = LARGEST * float(np.linalg.norm(matrix[:3, :3], 2))
    cutting, through = [], []
    for solid in around:
        away = solid.measure_outside(middle)
        if away >= free:
            continue
        stuck = away < 0 and solid.radius < largest and not is_asset(solid.ob)
        if stuck or solid.measure_share(bounds.min(0), bounds.max(0)) > CONTENT:
            through.append(solid.name)
        else:
            cutting.append(solid)
    cutting = [solid for solid in cutting if solid.name not in through]
    if not cutting:
        return middle, through
    outside = np.array([[each.measure_outside(place) for each in cutting] for place in places])
    outside[:, (outside < 0).all(0)] = np.inf  # what encloses all of it, or a wall that is turned round, cuts nothing
    nearest = outside.min(1)
    return places[int(np.argmax(np.minimum(nearest, free)))] if nearest.max() > 0 else middle, through


def read_bounds(ob: Any, matrix: np.ndarray) -> np.ndarray:
    """The corners (8, 3) of ob, evaluated, as it stands at matrix (4, 4)."""
    return np.array(ob.bound_box, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
