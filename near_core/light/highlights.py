"""Highlights on skins that turn within a pixel: a lobe that is narrower than the way to the next pixel's normal would
slip between the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..asset import Surfels
from ..directions import unit
from .config import TransportConfig


@dataclass(frozen=True, eq=False)
class NarrowPoints:
    """R of K points whose lobes are that narrow, as parts of their pixels. rows: (R,) of the points. share: (R,)
    float32, how much they count as narrow, 0..1. parts: the points by the normals of each part, with lobes as wide as
    these lie apart."""

    rows: np.ndarray
    share: np.ndarray
    parts: list[Surfels]

    def average(self, mirror: Callable[[Surfels, np.ndarray], np.ndarray]) -> np.ndarray:
        """The mean of what parts mirror. mirror: points and their rows -> an array."""
        made = mirror(self.parts[0], self.rows)
        for part in self.parts[1:]:
            made = made + mirror(part, self.rows)
        return made / np.float32(len(self.parts))


def find_narrow(roughness: np.ndarray, turned: np.ndarray, config: TransportConfig) -> np.ndarray:
    """Which points of a skin are narrow at all, (K,) bool; as split."""
    return np.float32(config.pixel_spread) * turned > _square(roughness, config)


def _square(roughness: np.ndarray, config: TransportConfig) -> np.ndarray:
    return np.square(np.square(np.maximum(roughness, np.float32(config.spot_roughness))))  # alpha squared


def split(points: Surfels, turned: np.ndarray, config: TransportConfig) -> NarrowPoints | None:
    """The narrow ones of points of a skin, None where there are none. turned: (K,) float32, by how much less than 1 the
    mean of a pixel's normals is long: a twelfth of the square of what they turn by across it. Lobes widened for whole
    pixels (Tokuyoshi and Kaplanyan 2019) would shine too far around; for parts of them they are narrower."""
    own = _square(points.roughness, config)
    share = np.clip(np.float32(config.pixel_spread) * turned / own - 1, 0, 1)
    rows = np.flatnonzero(share > 0)
    if not len(rows):
        return None
    chosen, share, turned = points.take(rows), share[rows], turned[rows]
    least = np.minimum(np.float32(config.part_spread) * turned, np.float32(config.most_spread))
    wide = np.sqrt(np.sqrt(np.maximum(own[rows], least)))
    normal = chosen.shading_normal
    across = unit(np.cross(normal, np.eye(3, dtype=np.float32)[np.abs(normal).argmin(1)]))
    step = (np.sqrt(12 * turned) * share * np.float32(config.part_reach))[:, None]
    parts = [replace(chosen, roughness=wide, shading_normal=unit(
        normal + step * (side * across + up * np.cross(normal, across))).astype(np.float32))
        for side, up in ((-1, -1), (-1, 1), (1, -1), (1, 1))]
    return NarrowPoints(rows, share, parts)
