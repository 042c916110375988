"""From where a photo of a known shape may have been taken, as the search and an artist move it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

FARTHEST = 1e6  # degrees, logarithms and distances


@dataclass(frozen=True)
class Stance:
    """From where a photo may have been taken.

    azimuth, elevation: degrees, the direction from which the object is seen, as in Photo.guess_camera. roll: degrees,
    by which the object is turned clockwise in the picture. fov: degrees, of the whole photo's width. away: logarithm of
    the distance over the one that the outline's box tells. right, down: how far the object is from where that box has
    it, in strides (view.measure_stride).
    """

    azimuth: float = 0.0
    elevation: float = 0.0
    roll: float = 0.0
    fov: float = 40.0
    away: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for what is no place to look from."""
        if not all(abs(value) < FARTHEST for value in vars(self).values()) or not 0 < self.fov <= 170.01:
            raise ValueError(f"{self} is nowhere")

    def move(self, name: str, change: float) -> Stance:
        """Another stance. change: of the field of that name, of fov's logarithm. Nobody looks from beyond the poles."""
        if name == "fov":
            return replace(self, fov=float(np.clip(self.fov * np.exp(change), 3, 140)))
        value = getattr(self, name) + change
        return replace(self, **{name: float(np.clip(value, -90, 90)) if name == "elevation" else value})
