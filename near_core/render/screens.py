"""What assets hide whole, as squares in the world: who draws what is behind them need not look past these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scene import Camera
from .config import CompositeConfig


@dataclass(frozen=True)
class ScreenConfig:
    """How large squares are, and where there are some. Chosen by hand."""

    edge: int = 4  # pixels along a square
    around: int = 3  # pixels around one that are hidden as well, at least: a denoiser looks further than a pixel
    beyond: int = 2  # pixels beyond what the picture's filter reaches that are, too
    sure: float = 1e-3  # of a pixel, that what counts as hidden may show
    behind: float = CompositeConfig.rim  # pixels that squares stand behind what is seen, where things touch


def find(alpha: np.ndarray, depth: np.ndarray, camera: Camera, width: float = 1.5,
         config: ScreenConfig = ScreenConfig()) -> np.ndarray:
    """Corners (N, 4, 3) float32, metres, world, of squares that face a camera behind what hides them.

    alpha, depth: (H, W), how much of each pixel is covered, and metres along the view axis. width: pixels, of the
    picture's filter.
    """
    edge, around = config.edge, max(config.around, int(np.ceil(width / 2)) + config.beyond)
    sure = np.pad((alpha > 1 - config.sure) & (depth > 0), around, mode="edge")
    count = np.pad(sure.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left = (np.arange(0, size - edge + 1, edge) for size in alpha.shape)
    wide = edge + 2 * around
    low, right = top + wide, left + wide
    inside = (count[np.ix_(low, right)] - count[np.ix_(top, right)] - count[np.ix_(low, left)]
              + count[np.ix_(top, left)])
    rows, columns = np.nonzero(inside == wide * wide)
    shown = depth[:len(top) * edge, :len(left) * edge].reshape(len(top), edge, len(left), edge)[rows, :, columns]
    nearest, farthest = shown.min((1, 2)).astype(np.float64), shown.max((1, 2)).astype(np.float64)
    place = 2 * farthest - nearest + config.behind * camera.measure_pixel(farthest)
    corner = np.stack([left[columns], top[rows]], 1)[:, None] + edge * np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    return camera.lift(corner.reshape(-1, 2), np.repeat(place, 4)).reshape(-1, 4, 3).astype(np.float32)
