"""What blurs a picture while it is taken: an open shutter, and a lens that is no pinhole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .camera import Camera

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Shutter:
    """How the camera and the instances move while the shutter is open, at T >= 2 times evenly spread from its opening
    to its closing; between them they go straight and turn evenly. The picture's own camera and matrices are those that
    light is computed for, about the middle.

    cameras: T, of the picture's size. matrices: (T, I, 4, 4) float64, of every instance, asset frame -> world.
    openness: how far the shutter is open, at evenly spread times.
    """

    cameras: Sequence[Camera]
    matrices: np.ndarray
    openness: tuple[float, ...] = (1.0, 1.0)

    def draw_times(self, count: int) -> np.ndarray:
        """(count,) times, 0 at the opening and 1 at the closing, as dense as the shutter is open."""
        fine = np.linspace(0, 1, 257)
        held = np.maximum(np.interp(fine, np.linspace(0, 1, len(self.openness)), self.openness), 0) + 1e-9
        passed = np.concatenate([[0], np.cumsum((held[1:] + held[:-1]) / 2)])
        return np.interp((np.arange(count) + 0.5) / count, passed / passed[-1], fine)


@dataclass(frozen=True)
class Lens:
    """A thin lens. radius: of its opening, metres: the focal length over twice the f-stop. focus: metres along the
    camera's axis to what is sharp. blades: of the opening, round below 3; rotation: theirs, radians, counter-clockwise
    as the camera sees it. ratio: above 1 the blur is narrower than high, as of an anamorphic lens."""

    radius: float
    focus: float
    blades: int = 0
    rotation: float = 0.0
    ratio: float = 1.0

    def draw_points(self, count: int) -> np.ndarray:
        """(count, 2) evenly spread points of the opening, metres, x right and y down. Source: Cycles'
        camera_sample_aperture, with a lattice in the place of random numbers."""
        u, v = (np.arange(count) + 0.5) / count, (np.arange(count) * GOLDEN + 0.5) % 1
        if self.blades < 3:
            around = 2 * math.pi * v
            points = np.sqrt(u)[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
        else:
            u, v = v, u  # blades one after the other
            corner = np.floor(u * self.blades)
            far = np.sqrt(u * self.blades - corner)
            across, along = v * far, 1 - far
            half = math.pi / self.blades
            x, y = (across + along) * math.cos(half), (across - along) * math.sin(half)
            turn = self.rotation + corner * 2 * half
            points = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], 1)
        return self.radius * points * (1 / self.ratio, -1)
