"""What stands between an asset and a lamp: the asset itself, other assets, ordinary things."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._kernels import grid, skin
from ..scene import Lamp, Occluders
from .config import FeetConfig


@dataclass(frozen=True, eq=False)
class Caster:
    """An asset that casts shadows on another one. solid: its skin's triangles, or a grid of its surfels, asset frame.
    world_to_asset: (4, 4). name: as Instance.name. key: equal where the shadows are. center (3,), radius: of a sphere
    around it, metres, world; None where none is known."""

    solid: Occluders | grid.Grid
    world_to_asset: np.ndarray
    name: str = ""
    key: Hashable = None
    center: np.ndarray | None = None
    radius: float = np.inf

    def block(self, origin: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Which rays meet it before their end, (K,) bool; as Surroundings.block."""
        hit, close = np.zeros(len(origin), bool), self._find_close(origin, direction, distance)
        turn, end = self.world_to_asset[:3, :3].astype(np.float32), distance.take(close)
        start = origin.take(close, 0) @ turn.T + self.world_to_asset[:3, 3].astype(np.float32)
        along = direction.take(close, 0) @ turn.T
        met = np.flatnonzero(_meet_cube(start, along, end))
        if len(met):
            near, start, (along, length) = close.take(met), start.take(met, 0), _measure(along.take(met, 0))
            end = (end.take(met) * length).astype(np.float32)
            if isinstance(self.solid, Occluders):
                hit[near] = self.solid.block(start, along, end)
            else:
                hit[near] = self.solid.trace(np.ascontiguousarray(start), np.ascontiguousarray(along))[1] < end
        return hit

    def _find_close(self, origin: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Numbers of the rays that come near enough to be worth a look: most pass far beside most assets."""
        if self.center is None:
            return np.arange(len(origin))
        away = origin - self.center.astype(np.float32)
        along = np.einsum("kc,kc->k", away, direction)
        at = np.clip(-along, 0, distance)
        return np.flatnonzero(np.einsum("kc,kc->k", away, away) + at * (2 * along + at) <= np.float32(self.radius**2))


@dataclass(frozen=True, eq=False)
class Feet:
    """Where K points touch a skin, asset frame. position: (K, 3) float32, on its triangles. normal, smooth: (K, 3)
    float32 unit, of the triangles and of the smooth surface that they stand for, on the side that is seen. rise: (K, 3)
    float32, the way from the triangles to this surface, 0 where that lies below."""

    position: np.ndarray
    normal: np.ndarray
    smooth: np.ndarray
    rise: np.ndarray
    config: FeetConfig = FeetConfig()

    @property
    def rounded(self) -> np.ndarray:
        """Where the smooth surface is known well enough for rays along it, (K,) bool: at sharp edges it is not."""
        return np.einsum("kc,kc->k", self.normal, self.smooth) > self.config.round

    def leave(self, row: np.ndarray, direction: np.ndarray, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where rays towards light begin, (R, 3): on the smooth surface where a triangle looks away from the light, as
        Cycles' Geometry Offset has it; and which of them their own triangle does not block, (R,) bool. row: (R,), the
        points that they leave. direction: (R, 3) unit. lift: (R,) asset units above that surface."""
        return skin.leave(self.position, self.normal, self.rise, np.ascontiguousarray(row), direction, lift,
                          self.config.grazing, threads=1)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What casts shadows on an asset.

    others: assets beside it. occluders: or None. name: the asset's own, and casts: whether it casts shadows, so on
    itself, too. between: by Lamp.key, which of the others may stand in its way, rows; None where any may.
    """

    others: tuple[Caster, ...] = ()
    occluders: Occluders | None = None
    name: str = ""
    casts: bool = True
    between: Mapping[Hashable, Sequence[int]] | None = None

    def describe(self, lamp: Lamp) -> Hashable:
        """Equal where what casts shadows in the light of a lamp is."""
        if not lamp.shadow:
            return None
        return (tuple(each.key for each in self.find_others(lamp)), self.occluders and self.occluders.hash, self.name,
                self.casts)

    def find_others(self, lamp: Lamp) -> list[Caster]:
        """The assets beside it that may stand in a lamp's way."""
        others = self.others if self.between is None else [self.others[row] for row in self.between[lamp.key]]
        return [each for each in others if each.name not in lamp.unblocked_by]

    def has_others(self, lamp: Lamp) -> bool:
        """Whether anything but the asset may stand in a lamp's way."""
        return self.occluders is not None or bool(self.find_others(lamp))

    def shadows_itself(self, lamp: Lamp) -> bool:
        """Whether the asset stands in its own way to a lamp."""
        return self.casts and self.name not in lamp.unblocked_by

    def block(self, lamp: Lamp, origin: np.ndarray, direction: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Which rays towards a lamp are blocked by others before their end. (K,) bool.

        origin: (K, 3) float32, metres, world. direction: (K, 3) float32 unit. distance: (K,) float32, metres.
        """
        blocked, distance = np.zeros(len(origin), bool), distance - np.float32(lamp.hull)
        things: list[Caster | Occluders] = [*self.find_others(lamp)]
        if self.occluders is not None:
            things.append(self.occluders.drop(lamp.unblocked_by, lamp.through_glass))
        left = np.arange(len(origin))
        for thing in things:
            hit = thing.block(origin, direction, distance)
            blocked[left[hit]] = True
            if 4 * hit.sum() > len(hit):  # copies cost more than a few rays too many
                rest = np.flatnonzero(~hit)
                left, origin, direction, distance = (each.take(rest, 0) for each in (left, origin, direction, distance))
        return blocked


def turn_rays(matrix: np.ndarray, origin: np.ndarray, direction: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rays in another frame: origins, unit directions, and how long a unit of the old is there, (K,)."""
    turn = matrix[:3, :3].astype(np.float32)
    return (origin @ turn.T + matrix[:3, 3].astype(np.float32), *_measure(direction @ turn.T))


def _measure(along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (K, 3) as unit ones, and their lengths (K,)."""
    length = np.maximum(np.sqrt(np.einsum("kc,kc->k", along, along)), 1e-20)
    return along / length[:, None], length


def _meet_cube(start: np.ndarray, along: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Which rays (K, 3) meet an asset's cube before their end (K,), in lengths of along. (K,) bool."""
    enter, leave = np.zeros_like(end), end
    for axis in range(3):  # numpy is slow along an axis of three
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (-0.5 - start[:, axis]) / along[:, axis], (0.5 - start[:, axis]) / along[:, axis]
        enter, leave = np.fmax(enter, np.fmin(low, high)), np.fmin(leave, np.fmax(low, high))
    return leave > enter


def see_lamp_from_points(lamp: Lamp, solid: Occluders, matrix: np.ndarray, feet: Feet, row: np.ndarray,
                         direction: np.ndarray, distance: np.ndarray, lift: float, around: Surroundings) -> np.ndarray:
    """Which rays from points of a skin to points of a lamp meet nothing, its own triangles neither. (K,) bool.

    solid: the skin. matrix: (4, 4), asset frame -> world. feet: where the skin's points touch it. row: (K,), which of
    them rays leave. direction: (K, 3) float32 unit, world. distance: (K,) float32, metres. lift: asset units that
    origins rise.
    """
    _, along, length = turn_rays(np.linalg.inv(matrix), np.zeros_like(direction), direction)
    lifted, seen = feet.leave(row, along, np.full(len(row), lift, np.float32))
    if around.shadows_itself(lamp):
        # what a pixel shows of a crease lies a little below it: hits at once are no shadows
        seen &= ~solid.block(lifted + along * np.float32(2 * lift), along, (distance * length).astype(np.float32))
    rows = np.flatnonzero(seen)
    origin = lifted[rows] @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    seen[rows] = ~around.block(lamp, origin, direction[rows], distance[rows])
    return seen
