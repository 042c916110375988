"""Lamps as points: what arrives from each, by its own position, and what is in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .._kernels import lamps
from ..directions import unit
from ..image import luminance
from ..scene import Environment, Lamp
from .config import LampConfig
from .patterns import fade, tint

LONG = 2.0  # times as long as it is wide


@dataclass(frozen=True, eq=False)
class LampPoints:
    """A lamp as N points, each with an equal share of it.

    position: (N, 3) float32, metres, world; of a sun unit directions towards it. least: metres; what is nearer counts
    as at this distance. width: about what a point stands for, metres across, of a sun radians.
    """

    lamp: Lamp
    position: np.ndarray
    least: float
    width: float

    def __len__(self) -> int:
        return len(self.position)

    def reach(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What arrives at places (K, 3) float32, metres, world, with nothing in the way.

        Returns direction (K, N, 3) unit, towards the points; distance (K, N) metres, infinite for a sun; and strength
        (K, N): irradiance that faces a point, over the lamp's colour.
        """
        count = len(self.position)
        if self.lamp.kind == "sun":
            direction = np.broadcast_to(self.position, (len(position), count, 3))
            shape = direction.shape[:2]
            facing = self.position @ unit(self.lamp.matrix[:3, 2]).astype(np.float32)
            return direction, np.full(shape, np.inf, np.float32), np.full(shape, 1 / facing.sum(), np.float32)
        away = self.position - position[:, None]
        distance = np.maximum(np.sqrt(np.einsum("knc,knc->kn", away, away)), 1e-6)
        direction = away / distance[..., None]
        strength = shine(self.lamp, direction) / (count * np.maximum(distance, self.least) ** 2)
        if self.lamp.kind != "area":  # a disc that faces what it lights: Cycles' soft falloff
            strength *= np.maximum(np.einsum("knc,kc->kn", direction, unit(
                self.lamp.position.astype(np.float32) - position)), 0)
        return direction, distance, strength

    @cached_property
    def kernel(self) -> lamps.Emitter:
        """The same as kernels take it."""
        lamp, count, matrix = self.lamp, len(self), self.lamp.matrix[:3, :3]
        if lamp.kind == "sun":
            facing = self.position @ unit(matrix[:, 2]).astype(np.float32)
            return lamps.Emitter("sun", self.position, self.least, self.width, 1 / float(facing.sum()))
        if lamp.kind == "area":
            return lamps.Emitter("area", self.position, self.least, self.width, 1 / (math.pi * count), axis=_face(lamp),
                                spread=min(max(lamp.spread, 1e-3), math.pi) / 2)
        points = lamps.Emitter(lamp.kind, self.position, self.least, self.width, 1 / (4 * math.pi * count),
                               lamp.position)
        if lamp.kind == "point":
            return points
        edge = math.cos(min(lamp.spot_angle, math.pi) / 2)
        return replace(points, local=-np.linalg.inv(matrix), edge=edge, softness=max((1 - edge) * lamp.blend, 1e-4))


def _face(lamp: Lamp) -> np.ndarray:
    """(3,) unit, away from where an area shines."""
    matrix = lamp.matrix[:3, :3]
    axis = unit(np.cross(matrix[:, 0], matrix[:, 1]))
    return axis if matrix[:, 2] @ axis > 0 else -axis


def shine(lamp: Lamp, direction: np.ndarray) -> Any:
    """Watts per steradian of a whole lamp's watt, for unit directions (..., 3) from places towards it, world."""
    if lamp.kind == "point":
        return np.float32(1 / (4 * math.pi))
    matrix = lamp.matrix[:3, :3]
    if lamp.kind == "area":
        cosine = np.maximum(direction @ _face(lamp).astype(np.float32), 0)
        return cosine * _spread(lamp.spread, cosine) / np.float32(math.pi)
    local = unit(-direction @ np.linalg.inv(matrix).T.astype(np.float32))  # its scale makes the cone an ellipse
    edge = math.cos(min(lamp.spot_angle, math.pi) / 2)
    t = np.clip((-local[..., 2] - edge) / max((1 - edge) * lamp.blend, 1e-4), 0, 1)
    return t * t * (3 - 2 * t) / np.float32(4 * math.pi)


def _spread(spread: float, cosine: np.ndarray) -> Any:
    """What an area's spread makes of its radiance, as Cycles: nothing at pi."""
    half = min(max(spread, 1e-3), math.pi) / 2
    if half > math.pi / 2 - 1e-3:
        return np.float32(1)
    tangent = np.sqrt(np.maximum(1 - cosine * cosine, 0)) / np.maximum(cosine, 1e-6)
    return np.maximum((math.tan(half) - tangent) / (math.tan(half) - half), 0)


def sample(lamp: Lamp, middle: np.ndarray, side: int, sheared: bool = False) -> LampPoints:
    """A lamp's points as they light what is around `middle` (3,), metres, world: side^2, stratified; a lamp without a
    size is one point. sheared: no two points lie in a line along an edge, so that a shadow's edge shows no steps of
    side points each; a long area's never do, so that they lie closely along it."""
    matrix = np.asarray(lamp.matrix, np.float64)
    if lamp.kind == "area":
        across, up = matrix[:3, 0] * lamp.size[0] / 2, matrix[:3, 1] * lamp.size[1] / 2
        span = np.linalg.norm(np.cross(across, up)) * 4
        short, long = sorted(np.linalg.norm([across, up], axis=1))
        sheared |= bool(long > LONG * short)
    else:
        towards = unit(matrix[:3, 2] if lamp.kind == "sun" else middle - lamp.position)
        radius = 2 * math.sin(min(lamp.angle, math.pi) / 4) if lamp.kind == "sun" else lamp.radius
        across = unit(np.cross(towards, np.eye(3)[np.argmin(np.abs(towards))])) * radius
        up, span = np.cross(towards, across), math.pi * radius * radius
    side = max(side, 1) if span > 0 else 1
    x, y = np.stack(np.meshgrid(*2 * [np.arange(side)]), -1).reshape(-1, 2).T + 0.5
    if sheared:
        x, y = x + (y / side - 0.5), y + (x / side - 0.5)
    x, y = x / side * 2 - 1, y / side * 2 - 1
    if lamp.kind != "area" or lamp.shape == "ELLIPSE":
        x, y = _round(x, y)
    offset = x[:, None] * across + y[:, None] * up
    if lamp.kind == "sun":  # the same solid angle for each: a cap of a ball, whose area is that of the disc
        wide = (offset ** 2).sum(1, keepdims=True)
        position = (1 - wide / 2) * towards + np.sqrt(1 - wide / 4) * offset
    else:
        position = lamp.position + offset
    return LampPoints(lamp, position.astype(np.float32), max(math.sqrt(span / math.pi / len(position)), 1e-4),
                      math.sqrt(span / len(position)))


def count_sides(lamp: Lamp, middle: np.ndarray, reach: float, angle: float, most: int) -> int:
    """Points along a lamp's edge, so that each stands for `angle` radians at most where an asset is, at middle (3,) and
    `reach` metres around it."""
    return int(np.clip(math.ceil(min(measure_width(lamp, middle, reach), most) / angle), 1, most))


def measure_width(lamp: Lamp, middle: np.ndarray, reach: float) -> float:
    """How wide a lamp looks from where an asset is nearest to it, radians; infinite where they meet."""
    if lamp.kind == "sun":
        return lamp.angle
    scale = np.linalg.norm(lamp.matrix[:3, :2], axis=0)
    size = float(max(scale * lamp.size)) if lamp.kind == "area" else 2 * lamp.radius
    away = float(np.linalg.norm(lamp.position - middle)) - reach
    return size / away if away > 1e-6 else math.inf if size > 0 else 0.0


def choose(lamps: Sequence[Lamp], matrix: np.ndarray, config: LampConfig = LampConfig()
           ) -> tuple[list[Lamp], list[Lamp]]:
    """The lamps that are traced for an asset that stands at matrix (4, 4), and the rest."""
    if not lamps:
        return [], []
    middle, reach = matrix[:3, 3], np.linalg.norm(matrix[:3, :3], 2) / 2
    ends = np.concatenate([[middle], middle + reach * np.concatenate([np.eye(3), -np.eye(3)])]).astype(np.float32)
    weight = np.array([_weigh(_widen(lamp, middle, reach), ends) for lamp in lamps])
    order = np.argsort(-weight, kind="stable")
    traced = set(order[:config.strongest][weight[order[:config.strongest]] > config.faint * weight.max(initial=0)])
    return ([lamp for i, lamp in enumerate(lamps) if i in traced],
            [lamp for i, lamp in enumerate(lamps) if i not in traced and weight[i] > 0])


def _weigh(lamp: Lamp, places: np.ndarray) -> float:
    """Luminance of a lamp's irradiance at places (K, 3), metres, world, where it is greatest; 0 of a spot or a sun that
    is scaled to nothing, which has no direction."""
    matrix = np.asarray(lamp.matrix, np.float64)[:3, :3]
    if lamp.kind == "spot" and np.linalg.det(matrix) == 0 or lamp.kind == "sun" and not matrix[:, 2].any():
        return 0.0
    _, distance, strength = sample(lamp, places[0], 1).reach(places)
    return float((strength * fade(lamp, distance)).max() * abs(luminance(np.asarray(lamp.color, np.float32))))


def _widen(lamp: Lamp, middle: np.ndarray, reach: float) -> Lamp:
    """A spot or an area that shines on a middle (3,) where it shines on any of what is `reach` metres around."""
    if lamp.kind not in ("spot", "area"):
        return lamp
    size = float(max(np.linalg.norm(lamp.matrix[:3, :2], axis=0) * lamp.size)) if lamp.kind == "area" else 0.0
    away = max(float(np.linalg.norm(lamp.position - middle)), 1e-12)
    more = 2 * math.asin(min((reach + size / 2) / away, 1.0))
    return replace(lamp, spot_angle=min(lamp.spot_angle + more, math.pi), spread=min(lamp.spread + more, math.pi))


def measure_shares(lamps: Sequence[Lamp], middle: np.ndarray, dark: float, reach: float = 0.0) -> np.ndarray:
    """What share of the light of all lamps each sends to the side of a cube at middle (3,), metres, world, where it
    counts most; such as shine on a part of what is `reach` metres around it count as if on the middle. dark: of the
    brightest side's light, below which a side counts as no darker. (L,), 0..1."""
    sides, place = np.concatenate([np.eye(3), -np.eye(3)]), middle[None].astype(np.float32)
    sent = np.zeros((len(lamps), len(sides)))
    for row, lamp in enumerate(lamps):
        direction, distance, strength = sample(_widen(lamp, middle, reach), middle, 1).reach(place)
        shine = (strength * fade(lamp, distance))[0, 0] * abs(luminance(lamp.color))
        sent[row] = np.maximum(sides @ direction[0, 0], 0) * shine
    whole = sent.sum(0)
    return np.clip((sent / np.maximum(whole, max(dark * whole.max(), 1e-20))).max(1), 0, 1)


def add_far(environment: Environment, lamps: Sequence[Lamp], place: np.ndarray) -> Environment:
    """An environment along the world's axes with lamps in it as a place (3,), metres, world, sees them."""
    made = environment.map.copy()
    rows, columns = made.shape[:2]
    for lamp in lamps:
        points, there = sample(lamp, place, 1), place[None].astype(np.float32)
        direction, _, strength = points.reach(there)
        x, y, z = direction[0, 0]
        row = min(int((0.5 - math.asin(np.clip(z, -1, 1)) / math.pi) * rows), rows - 1)
        column = int((0.5 - math.atan2(y, x) / (2 * math.pi)) * columns) % columns
        solid = (math.cos(row * math.pi / rows) - math.cos((row + 1) * math.pi / rows)) * 2 * math.pi / columns
        color = lamp.color * tint(lamp, points.position, there)[0]
        made[row, column] += (color * strength.sum() / solid).astype(np.float32)
    return Environment(np.maximum(made, 0), environment.world_to_map, environment.strength)


def _round(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square [-1, 1]^2 onto the unit disc, areas kept (Shirley and Chiu 1997)."""
    wide = np.abs(x) > np.abs(y)
    radius = np.where(wide, x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(wide, math.pi / 4 * y / x, math.pi / 2 - math.pi / 4 * x / y)
    angle = np.nan_to_num(angle)
    return radius * np.cos(angle), radius * np.sin(angle)
