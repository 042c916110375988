"""Lamps as points: what arrives from each, by its own position, and what is in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..directions import unit
from ..scene import Lamp


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

    def take(self, index: np.ndarray) -> LampPoints:
        """Some of them, (K, n) integers: another choice of n for each of K surfels."""
        return LampPoints(self.lamp, self.position[index], self.least, self.width)

    def reach(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What arrives at places (K, 3) float32, metres, world, with nothing in the way.

        Returns direction (K, N, 3) unit, towards the points; distance (K, N) metres, infinite for a sun; and strength
        (K, N): irradiance that faces a point, over the lamp's colour.
        """
        count = self.position.shape[-2]
        if self.lamp.kind == "sun":
            direction = np.broadcast_to(self.position, (len(position), count, 3))
            shape = direction.shape[:2]
            facing = self.position @ unit(self.lamp.matrix[:3, 2]).astype(np.float32)
            share = 1 / (count * facing.mean(-1, keepdims=True))
            return direction, np.full(shape, np.inf, np.float32), np.broadcast_to(share, shape)
        away = self.position - position[:, None]
        distance = np.maximum(np.sqrt(np.einsum("knc,knc->kn", away, away)), 1e-6)
        direction = away / distance[..., None]
        strength = shine(self.lamp, direction) / (count * np.maximum(distance, self.least) ** 2)
        if self.lamp.kind != "area":  # a disc that faces what it lights: Cycles' soft falloff
            strength *= np.maximum(np.einsum("knc,kc->kn", direction, unit(
                self.lamp.position.astype(np.float32) - position)), 0)
        return direction, distance, strength


def shine(lamp: Lamp, direction: np.ndarray) -> Any:
    """Watts per steradian of a whole lamp's watt, for unit directions (..., 3) from places towards it, world."""
    if lamp.kind == "point":
        return np.float32(1 / (4 * math.pi))
    matrix = lamp.matrix[:3, :3]
    if lamp.kind == "area":
        axis = unit(np.cross(matrix[:, 0], matrix[:, 1])).astype(np.float32)
        cosine = np.maximum(direction @ (axis if matrix[:, 2] @ axis > 0 else -axis), 0)
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


def sample(lamp: Lamp, middle: np.ndarray, count: int) -> LampPoints:
    """A lamp's points as they light what is around `middle` (3,), metres, world: side^2, stratified.

    count: how many at most. A lamp without a size is one point.
    """
    matrix = np.asarray(lamp.matrix, np.float64)
    side = max(math.isqrt(count), 1)
    if lamp.kind == "area":
        across, up = matrix[:3, 0] * lamp.size[0] / 2, matrix[:3, 1] * lamp.size[1] / 2
        span = np.linalg.norm(np.cross(across, up)) * 4
    else:
        towards = unit(matrix[:3, 2] if lamp.kind == "sun" else middle - lamp.position)
        radius = math.tan(min(lamp.angle, 3.0) / 2) if lamp.kind == "sun" else lamp.radius
        across = unit(np.cross(towards, np.eye(3)[np.argmin(np.abs(towards))])) * radius
        up, span = np.cross(towards, across), math.pi * radius * radius
    side = side if span > 0 else 1
    x, y = (np.stack(np.meshgrid(*2 * [np.arange(side)]), -1).reshape(-1, 2).T + 0.5) / side * 2 - 1
    if lamp.kind != "area" or lamp.shape == "ELLIPSE":
        x, y = _round(x, y)
    offset = x[:, None] * across + y[:, None] * up
    if lamp.kind == "sun":
        position = unit(unit(matrix[:3, 2]) + offset)
    else:
        position = lamp.position + offset
    return LampPoints(lamp, position.astype(np.float32), max(math.sqrt(span / math.pi / len(position)), 1e-4),
                      math.sqrt(span / len(position)))


def _round(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square [-1, 1]^2 onto the unit disc, areas kept (Shirley and Chiu 1997)."""
    wide = np.abs(x) > np.abs(y)
    radius = np.where(wide, x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        angle = np.where(wide, math.pi / 4 * y / x, math.pi / 2 - math.pi / 4 * x / y)
    angle = np.nan_to_num(angle)
    return radius * np.cos(angle), radius * np.sin(angle)
