"""Which surfels of a picture are drawn, where they fall and what they weigh in it."""

from __future__ import annotations

import numpy as np

from .._kernels import splat
from ..scene import Camera
from . import gaussians

LOW_PASS, SHARP = 0.1, 0.02  # square pixels added to a splat's footprint where a pixel takes one sample, and four
FACING = -0.05  # surfels turned further away than this cosine are not drawn
SEEN = 2e-4  # pixels' worth of blending weight from which a surfel is seen
# A surfel is not shaded but left to its neighbours where hardly any of it is seen, and of no pixel much.
FAINT = 0.01, 0.05  # of what its disc would weigh alone; pixels
MARGIN = 16  # pixels around a window where surfels count as seen as well
WIDE = 2  # pixels of a projected disc's radius from which its texels are drawn
# Cells behind a layer of discs from which nothing is seen through it. Such a layer lets a sixth through at most
# (kernels.splat), for which SOLIDITY makes up.
HIDES = 3


def seen_weights(projection: splat.Projection, hides: np.ndarray, camera: Camera, threads: int) -> np.ndarray:
    """What each of M surfels weighs in the picture, (M,) pixels; a little beyond a window, so that windows agree."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    low = np.maximum(np.int64([left, top]), -MARGIN)
    high = np.minimum(np.int64([left + width, top + height]), np.int64([camera.width, camera.height]) + MARGIN)
    shifted = projection._replace(mean=projection.mean - low.astype(np.float32))
    return splat.contributions(shifted, *map(int, high - low), hides=hides, threads=threads)


def faint_weight(projection: splat.Projection, rows: np.ndarray) -> np.ndarray:
    """The weight from which surfels at rows (K,) are worth shading. (K,) pixels."""
    a, b, c = projection.conic[rows].T
    alone = 2 * np.float32(np.pi) * projection.opacity[rows] / np.sqrt(a * c - b * b)
    return np.minimum(FAINT[0] * alone, FAINT[1])


def project(shape: gaussians.Gaussians, camera: Camera, threads: int = 0, low_pass: float = LOW_PASS) -> splat.Projection:
    """Gaussians on the camera's pixels, with the renderer's low-pass."""
    left, top, width, height = camera.frame or (0, 0, camera.width, camera.height)
    projection = splat.project(
        shape.xyz, shape.covariance, shape.opacity, camera.world_to_camera,
        camera.intrinsics - [[0, 0, left], [0, 0, top], [0, 0, 0]], width, height, near=camera.near, far=camera.far,
        low_pass=low_pass, orthographic=camera.orthographic, threads=threads)
    projection.mean[:] += np.float32([left, top])  # what is bent at the whole picture's edge is bent alike in a window
    return projection
