"""What a lamp's nodes make of its light: by the direction that it takes, and by how far it goes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scene import Lamp, measure_pattern


def is_plain(lamp: Lamp) -> bool:
    """Whether a lamp sends the same into all directions, and its light falls off with the square of the distance."""
    return lamp.kind == "sun" or lamp.pattern is None and lamp.falloff == 2 and not lamp.smooth


def tint(lamp: Lamp, points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Factors of a lamp's colour at places (K, 3) float32, metres, world, in the mean of its points (N, 3): (K, 3)
    float32; (1, 3) where they are all 1."""
    if is_plain(lamp):
        return np.ones((1, 3), np.float32)
    made = np.zeros((len(places), 3), np.float32)
    for point in points:
        way = places - point
        part = fade(lamp, np.linalg.norm(way, axis=1, keepdims=True)) / np.float32(len(points))
        made += part if lamp.pattern is None else part * look_up(lamp, way)
    return made


def fade(lamp: Lamp, distance: np.ndarray) -> Any:
    """How much more than by the square of the distance arrives, metres away, of what arrives at one metre."""
    if is_plain(lamp):
        return 1.0
    away = np.maximum(distance, 1e-6)
    return away ** (2 - lamp.falloff) * (1 + lamp.smooth) / (1 + lamp.smooth / (away * away))


def look_up(lamp: Lamp, way: np.ndarray) -> np.ndarray:
    """A lamp's pattern on ways (K, 3) float32 of its light, world, of any length: (K, 3) float32, between texels."""
    pattern, (wide, high) = lamp.pattern, measure_pattern(lamp.kind, lamp.spot_angle)
    assert pattern is not None
    (rows, columns), whole = pattern.shape[:2], wide > 6
    x, y, z = (way @ np.linalg.pinv(np.asarray(lamp.matrix, np.float64)[:3, :3]).T.astype(np.float32)).T
    row = (0.5 - np.arctan2(y, np.hypot(x, z)) / high) * rows - 0.5
    column = (0.5 + np.arctan2(x, -z) / wide) * columns - 0.5
    row, column = np.clip(row, 0, rows - 1), column if whole else np.clip(column, 0, columns - 1)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    down, right = (row - top).astype(np.float32)[:, None], (column - left).astype(np.float32)[:, None]
    above, below = top, np.minimum(top + 1, rows - 1)
    left, beside = (left % columns, (left + 1) % columns) if whole else (left, np.minimum(left + 1, columns - 1))
    return ((1 - down) * ((1 - right) * pattern[above, left] + right * pattern[above, beside])
            + down * ((1 - right) * pattern[below, left] + right * pattern[below, beside]))
