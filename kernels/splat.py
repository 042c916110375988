"""Gaussian splatting on the CPU: projection and compositing. Their gradients are in splat_gradients.

The rules are those of gsplat's antialiased mode and are written out in `twins.splat`, the specification. Cameras are
OpenCV (x right, y down, z forward); pixel (column, row) has its centre at (column + 0.5, row + 0.5), row 0 at the top.
Every `threads` is the number of threads, 0 for all processors; results do not depend on it.

    seen = project(xyz, covariance, opacity, world_to_camera, intrinsics, 512, 512)
    image, alpha, depth = rasterize(seen, features, 512, 512)
"""

from typing import NamedTuple

import numpy as np

from . import pages
from .library import INTEGER, POINTER, REAL, Kernel, require

MAX_CHANNELS = 64
MAX_SIDE = 32768
# where a pixel's four samples lie from its centre, pixels: on a turned grid, 1.3 times as wide as a pixel
OFFSETS = 1.3 * np.array([[-0.375, -0.125], [0.125, -0.375], [0.375, 0.125], [-0.125, 0.375]], np.float32)

# arguments that several kernels share
GAUSSIANS = [POINTER] * 3 + [INTEGER]
CAMERA = [POINTER] * 2 + [INTEGER] * 2 + [REAL] * 3 + [INTEGER] * 2
PROJECTION = [POINTER] * 5 + [INTEGER]
PICTURE = [POINTER, INTEGER, POINTER, INTEGER, INTEGER]  # features, channels, background, width, height

_project = Kernel("splat_project", *GAUSSIANS, *CAMERA, *[POINTER] * 5, INTEGER)
_rasterize = Kernel("splat_rasterize", *PROJECTION, POINTER, *PICTURE, INTEGER, *[POINTER] * 3, INTEGER)
_contributions = Kernel("splat_contributions", *PROJECTION, POINTER, INTEGER, INTEGER, POINTER, INTEGER)


class Projection(NamedTuple):
    """N Gaussians in a picture; a row is zero where the Gaussian is culled."""

    mean: np.ndarray  # (N, 2) float32, pixels
    conic: np.ndarray  # (N, 3) float32, 1/pixels^2: xx, xy, yy of the inverse covariance
    depth: np.ndarray  # (N,) float32, metres: camera z
    radius: np.ndarray  # (N,) int32, pixels: 3.33 standard deviations, 0 = culled
    opacity: np.ndarray  # (N,) float32, with the antialiasing compensation


def project(xyz, covariance, opacity, world_to_camera, intrinsics, width: int, height: int, *, near: float = 0.01,
            far: float = 1e10, low_pass: float = 0.3, antialiased: bool = True, orthographic: bool = False,
            threads: int = 0) -> Projection:
    """Projects Gaussians into a picture of width x height pixels.

    xyz: (N, 3) float32, metres, world. covariance: (N, 6) float32, metres^2, world: xx, xy, xz, yy, yz, zz.
    opacity: (N,) float32. world_to_camera: (4, 4). intrinsics: (3, 3), pixels; for an orthographic camera fx and fy are
    pixels per metre. near, far: metres of camera z, both kept. low_pass: pixels^2 added to the variance; `antialiased`
    lowers the opacity by what it spreads. Culled are rows out of view, fainter than 1/255, degenerate or not finite.
    To render a crop, project into the whole picture and rasterize with `mean` minus the crop's corner: off screen the
    projection is bent (EWA's clamped Jacobian), and that must not depend on the crop.
    Raises ValueError naming the argument that does not fit.
    """
    camera = check_camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic)
    count = len(require("xyz", xyz, (None, 3)))
    require("covariance", covariance, (count, 6)), require("opacity", opacity, (count,))
    out = Projection(np.empty((count, 2), np.float32), np.empty((count, 3), np.float32), np.empty(count, np.float32),
                     np.empty(count, np.int32), np.empty(count, np.float32))
    _project(xyz, covariance, opacity, count, *camera, *out, threads)
    return out


def rasterize(projection: Projection, features, width: int, height: int, *, background=None, occlusion_depth=None,
              samples: int = 1, threads: int = 0):
    """Composites projected Gaussians front to back.

    features: (N, C) float32, C in 1..64. background: (C,) float32 or None for zeros. occlusion_depth: (N,) float32 or
    None: where a Gaussian leaves no more than a sixth of the light through, it closes a surface, and what lies more
    than this many metres behind it is not seen: it takes light as before, but its features count as zeros.
    Returns image (height, width, C) float32, premultiplied, over the background; alpha (height, width) float32; depth
    (height, width) float32, the expected camera z in metres, 0 where empty. Gaussians with a feature that is not finite
    are left out. Raises ValueError naming the argument that does not fit.
    """
    count = check_projection(projection, width, height, occlusion_depth)
    channels = check_features(features, count, background)
    if samples not in (1, 4):
        raise ValueError(f"samples must be 1 or 4, not {samples}.")
    image = pages.empty((height, width, channels))
    alpha, depth = pages.empty((height, width)), pages.empty((height, width))
    _rasterize(*projection, count, occlusion_depth, features, channels, background, width, height, samples, image,
               alpha, depth, threads)
    return image, alpha, depth


def sum_contributions(projection: Projection, width: int, height: int, *, occlusion_depth=None,
                      threads: int = 0) -> np.ndarray:
    """(N,) float32: each Gaussian's blending weight summed over the picture's pixels; 0 where nothing of it is seen.
    occlusion_depth: as in `rasterize`."""
    count = check_projection(projection, width, height, occlusion_depth)
    weights = np.zeros(count, np.float32)
    _contributions(*projection, count, occlusion_depth, width, height, weights, threads)
    return weights


def check_camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic) -> tuple:
    """A camera as the kernels take it: its matrix for the world around the place in its last row, which is about where
    the camera is. Raises ValueError naming what does not fit."""
    _check_size(width, height)
    pose = require("world_to_camera", np.ascontiguousarray(world_to_camera, np.float32), (4, 4)).copy()
    pose[3, :3] = -pose[:3, :3].T @ pose[:3, 3]
    pose[:3, 3] = np.asarray(world_to_camera, np.float64)[:3] @ (*pose[3, :3], 1)
    matrix = require("intrinsics", np.ascontiguousarray(intrinsics, np.float32), (3, 3))
    if not (np.isfinite(pose).all() and np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise ValueError("world_to_camera and intrinsics must be finite and the focal lengths positive.")
    if not (low_pass >= 0 and near <= far):
        raise ValueError("low_pass must not be negative and near not beyond far.")
    return pose, matrix, width, height, near, far, low_pass, bool(antialiased), bool(orthographic)


def check_projection(projection: Projection, width: int, height: int, occlusion_depth=None) -> int:
    """The number of projected Gaussians. Raises ValueError naming what does not fit."""
    _check_size(width, height)
    count = len(require("projection.mean", projection.mean, (None, 2)))
    require("projection.conic", projection.conic, (count, 3)), require("projection.depth", projection.depth, (count,))
    require("projection.radius", projection.radius, (count,), np.int32)
    require("projection.opacity", projection.opacity, (count,))
    if occlusion_depth is not None:
        require("occlusion_depth", occlusion_depth, (count,))
    return count


def check_features(features, count: int, background) -> int:
    """The number of channels. Raises ValueError naming what does not fit."""
    channels = require("features", features, (count, None)).shape[1]
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"features must have 1 to {MAX_CHANNELS} channels, not {channels}.")
    if background is not None:
        require("background", background, (channels,))
    return channels


def _check_size(width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"width and height must be 1 to {MAX_SIDE} pixels, not {width} x {height}.")
