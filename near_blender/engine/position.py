"""The pass Position: where in the world what a pixel shows is."""

from __future__ import annotations

import numpy as np

from .._core import camera as cameras


def make_positions(made: dict[str, np.ndarray], camera: cameras.Camera) -> np.ndarray:
    """Of the assets, (H, W, 3) float32 metres; 0 where none is. made: passes with Depth."""
    depth = made["Depth"][..., 0]
    positions = np.zeros((*depth.shape, 3), np.float32)
    rows, columns = np.nonzero(depth > 0)
    positions[rows, columns] = camera.lift(np.stack([columns, rows], 1) + 0.5, depth[rows, columns])
    return positions
