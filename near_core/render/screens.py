"""What assets hide whole, as squares in the world: who draws what is behind them need not look past these."""

from __future__ import annotations

import numpy as np

from ..scene import Camera

EDGE = 4  # pixels along a square
AROUND = 3  # pixels around one that are hidden as well, at least: a denoiser looks further than a pixel
SURE = 1e-3  # of a pixel, that what counts as hidden may show
BEHIND = 32.0  # pixels that squares stand behind what is seen: CompositeConfig.rim, where things touch


def find(alpha: np.ndarray, depth: np.ndarray, camera: Camera, width: float = 1.5) -> np.ndarray:
    """Corners (N, 4, 3) float32, metres, world, of squares that face a camera behind what hides them.

    alpha, depth: (H, W), how much of each pixel is covered, and metres along the view axis. width: pixels, of the
    picture's filter.
    """
    around = max(AROUND, int(np.ceil(width / 2)) + 2)
    sure = np.pad((alpha > 1 - SURE) & (depth > 0), around, mode="edge")
    count = np.pad(sure.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left = (np.arange(0, size - EDGE + 1, EDGE) for size in alpha.shape)
    wide = EDGE + 2 * around
    low, right = top + wide, left + wide
    inside = (count[np.ix_(low, right)] - count[np.ix_(top, right)] - count[np.ix_(low, left)]
              + count[np.ix_(top, left)])
    rows, columns = np.nonzero(inside == wide * wide)
    shown = depth[:len(top) * EDGE, :len(left) * EDGE].reshape(len(top), EDGE, len(left), EDGE)[rows, :, columns]
    nearest, farthest = shown.min((1, 2)).astype(np.float64), shown.max((1, 2)).astype(np.float64)
    place = 2 * farthest - nearest + BEHIND * camera.measure_pixel(farthest)
    corner = np.stack([left[columns], top[rows]], 1)[:, None] + EDGE * np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    return camera.lift(corner.reshape(-1, 2), np.repeat(place, 4)).reshape(-1, 4, 3).astype(np.float32)
