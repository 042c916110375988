"""Where a probe is taken: in an asset's middle or, where something cuts the asset there, where it stands free."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mathutils import Vector

from . import sync

MOST_POLYGONS = 100_000  # of what is asked how near it is
FREE = 0.1  # of an asset's smallest side: as far from all else a middle stands free
LARGEST = 1.0  # sizes of an asset, the radius of what is looked through where its middle is inside
CONTENT = 0.5  # of a solid's bounds that are inside of an asset's, from which it is a part of what is in there
FEW = 4  # instances of an object that may stand apart from assets where it is looked through
MOST_SOLIDS = 200  # that are asked for an asset, those that look largest from its middle
_STEPS = np.array(sorted(itertools.product((-0.35, 0, 0.35), repeat=3), key=np.linalg.norm))  # sides; the middle first


@dataclass(frozen=True)
class Solid:
    """A mesh that stands in the scene, by itself or as an instance. name: name_full of its object. ob: evaluated.
    matrix: (4, 4) object -> world. bounds: (8, 3), corners in the world. scattered: whether more than FEW of the
    object's instances, and more than stand at assets, stand apart from them: none can vanish without all."""

    name: str
    ob: Any
    matrix: np.ndarray
    bounds: np.ndarray
    scattered: bool

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
    """Every mesh that a depsgraph shows near assets; of instances those that show an object as it is.

    bounds: of each asset corners (K, 3) in the world.
    """

    def __init__(self, depsgraph: Any, bounds: Sequence[np.ndarray]):
        matrices = sync.read_matrices(depsgraph.object_instances)
        with np.errstate(all="ignore"):
            reaches = _measure_away(matrices[:, :3, 3], bounds) / np.linalg.norm(matrices[:, :3, :3], axis=(1, 2))
        numbers: dict[Any, int] = {}  # of objects
        shown, near, boxes, radii = [], [], [], []
        for k, (instance, reach) in enumerate(zip(depsgraph.object_instances, reaches.tolist())):
            ob = instance.instance_object or instance.object  # the latter is gone with the next instance
            number = numbers.get(ob)
            if number is None:
                number = numbers[ob] = len(numbers)
                boxes.append(np.array(ob.bound_box, np.float64))
                radii.append(float(np.linalg.norm(boxes[-1], axis=1).max()))
            shown.append(number)
            if not reach > radii[number] and instance.show_self and ob.type == "MESH" \
                    and instance.object.data == ob.data:
                near.append(k)
        self._obs, self._numbers, self._matrices = list(numbers), np.array(shown, int)[near], matrices[near]
        turned = np.reshape(boxes, (-1, 8, 3))[self._numbers] @ self._matrices[:, :3, :3].transpose(0, 2, 1)
        self._bounds = turned + self._matrices[:, None, :3, 3]
        self._low, self._high = self._bounds.min(1), self._bounds.max(1)
        met = np.zeros(len(near), bool)
        for each in bounds:
            met |= self._meets(each)
        standing = np.bincount(self._numbers[met], minlength=len(boxes))
        self._scattered = np.bincount(shown, minlength=len(boxes)) - standing > np.maximum(standing, FEW)

    def meet(self, bounds: np.ndarray, name: str) -> list[Solid]:
        """Those whose bounds meet corners of the world (K, 3), but for what is called so; MOST_SOLIDS at most."""
        met = np.flatnonzero(self._meets(bounds))
        away = np.maximum(self._low[met] - bounds.mean(0), bounds.mean(0) - self._high[met]).clip(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            looks = np.linalg.norm(away, axis=1) / np.linalg.norm(self._high[met] - self._low[met], axis=1)
        around = (Solid(ob.name_full, ob, self._matrices[k], self._bounds[k], bool(self._scattered[number]))
                  for k in met[np.argsort(looks, kind="stable")].tolist() for number in (self._numbers[k],)
                  for ob in (self._obs[number],) if ob.name_full != name)
        return list(itertools.islice(around, MOST_SOLIDS))

    def _meets(self, bounds: np.ndarray) -> np.ndarray:
        return (self._low <= bounds.max(0)).all(1) & (self._high >= bounds.min(0)).all(1)


def _measure_away(places: np.ndarray, bounds: Sequence[np.ndarray]) -> np.ndarray:
    """Metres from places (N, 3) to the nearest of some boxes, each given by corners (K, 3)."""
    away = np.full(len(places), np.inf)
    for each in bounds:
        beyond = np.maximum(each.min(0) - places, places - each.max(0)).clip(0)
        away = np.minimum(away, np.linalg.norm(beyond, axis=1))
    return away


def find(matrix: np.ndarray, bounds: np.ndarray, around: list[Solid], is_asset: Callable[[Any], bool]
         ) -> tuple[np.ndarray, set[str]]:
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
        return middle, set()
    largest = LARGEST * float(np.linalg.norm(matrix[:3, :3], 2))
    through: set[str] = set()
    cutting = []
    for solid in around:
        away = solid.measure_outside(middle)
        if away >= free:
            continue
        stuck = away < 0 and solid.radius < largest and not is_asset(solid.ob)
        inside = stuck or solid.measure_share(bounds.min(0), bounds.max(0)) > CONTENT
        if inside and not solid.scattered:
            through.add(solid.name)
        else:
            cutting.append(solid)
    cutting = [solid for solid in cutting if solid.name not in through]
    if not cutting:
        return middle, through
    outside = np.array([[each.measure_outside(place) for each in cutting] for place in places])
    outside[:, (outside < 0).all(0)] = np.inf  # what encloses all of it, or a wall that is turned round, cuts nothing
    nearest = outside.min(1)
    return places[int(np.argmax(np.minimum(nearest, free)))] if nearest.max() > 0 else middle, through
