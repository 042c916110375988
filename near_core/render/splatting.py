"""Which surfels of a picture are drawn, where they fall and what they weigh in it."""

from __future__ import annotations

import numpy as np

from .._kernels import splat
from ..scene import Camera
from . import gaussians
from .config import SplattingConfig


def seen_weights(projection: splat.Projection, hides: np.ndarray, camera: Camera, threads: int = 0,
                 config: SplattingConfig = SplattingConfig()) -> np.ndarray:
    """What each of M surfels weighs in the picture, (M,) pixels; a little beyond a window, so that windows agree."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    low = np.maximum(np.int64([left, top]), -config.margin)
    high = np.minimum(np.int64([left + width, top + height]), np.int64([camera.width, camera.height]) + config.margin)
    shifted = projection._replace(mean=projection.mean - low.astype(np.float32))
    return splat.contributions(shifted, *map(int, high - low), occlusion_depth=hides, threads=threads)


def faint_weight(projection: splat.Projection, rows: np.ndarray, config: SplattingConfig = SplattingConfig()
                 ) -> np.ndarray:
    """The weight from which surfels at rows (K,) are worth shading. (K,) pixels."""
    a, b, c = projection.conic[rows].T
    alone = 2 * np.float32(np.pi) * projection.opacity[rows] / np.sqrt(a * c - b * b)
    return np.minimum(config.faint_share * alone, config.faint_weight)


def project(shape: gaussians.Gaussians, camera: Camera, low_pass: float, threads: int = 0) -> splat.Projection:
    """Gaussians on the camera's pixels. low_pass: square pixels added to their footprints."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    projection = splat.project(
        shape.xyz, shape.covariance, shape.opacity, camera.world_to_camera,
        camera.intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]], width, height, near=camera.near, far=camera.far,
        low_pass=low_pass, orthographic=camera.orthographic, threads=threads)
    projection.mean[:] += np.float32([left, top])  # what is bent at the whole picture's edge is bent alike in a window
    return projection
