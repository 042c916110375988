"""Gaussian splatting on the CPU: projection, compositing and their gradients.

The rules are those of gsplat's antialiased mode and are written out in `twins.splat`, the specification. Cameras are
OpenCV (x right, y down, z forward); pixel (column, row) has its centre at (column + 0.5, row + 0.5), row 0 at the top.
Every `threads` is the number of threads, 0 for all processors; results do not depend on it.

    seen = project(xyz, covariance, opacity, world_to_camera, intrinsics, 512, 512)
    image, alpha, depth = rasterize(seen, features, 512, 512)
"""

from typing import NamedTuple

import numpy as np

from .library import INTEGER, POINTER, REAL, Kernel, require

MAX_CHANNELS = 64
MAX_SIDE = 32768
# where a pixel's four samples lie from its centre, pixels: on a turned grid, 1.3 times as wide as a pixel
OFFSETS = 1.3 * np.array([[-0.375, -0.125], [0.125, -0.375], [0.375, 0.125], [-0.125, 0.375]], np.float32)

_GAUSSIANS = [POINTER] * 3 + [INTEGER]
_CAMERA = [POINTER] * 2 + [INTEGER] * 2 + [REAL] * 3 + [INTEGER] * 2
_PROJECTION = [POINTER] * 5 + [INTEGER]
_PICTURE = [POINTER, INTEGER, POINTER, INTEGER, INTEGER]  # features, channels, background, width, height

_project = Kernel("splat_project", *_GAUSSIANS, *_CAMERA, *[POINTER] * 5, INTEGER)
_project_backward = Kernel("splat_project_backward", *_GAUSSIANS, *_CAMERA, *[POINTER] * 8, INTEGER)
_rasterize = Kernel("splat_rasterize", *_PROJECTION, POINTER, *_PICTURE, INTEGER, *[POINTER] * 3, INTEGER)
_rasterize_backward = Kernel("splat_rasterize_backward", *_PROJECTION, POINTER, *_PICTURE, *[POINTER] * 8, INTEGER)
_contributions = Kernel("splat_contributions", *_PROJECTION, POINTER, INTEGER, INTEGER, POINTER, INTEGER)


class Projection(NamedTuple):
    """N Gaussians in a picture; a row is zero where the Gaussian is culled."""

    mean: np.ndarray  # (N, 2) float32, pixels
    conic: np.ndarray  # (N, 3) float32, 1/pixels^2: xx, xy, yy of the inverse covariance
    depth: np.ndarray  # (N,) float32, metres: camera z
    radius: np.ndarray  # (N,) int32, pixels: 3.33 standard deviations, 0 = culled
    opacity: np.ndarray  # (N,) float32, with the antialiasing compensation


class Gradients(NamedTuple):
    """The gradient of a loss with respect to features and to the fields of a Projection (radius has none)."""

    features: np.ndarray  # (N, C) float32
    mean: np.ndarray  # (N, 2) float32
    conic: np.ndarray  # (N, 3) float32
    depth: np.ndarray  # (N,) float32
    opacity: np.ndarray  # (N,) float32


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
    camera = _camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic)
    count = len(require("xyz", xyz, (None, 3)))
    require("covariance", covariance, (count, 6)), require("opacity", opacity, (count,))
    out = Projection(np.empty((count, 2), np.float32), np.empty((count, 3), np.float32), np.empty(count, np.float32),
                     np.empty(count, np.int32), np.empty(count, np.float32))
    _project(xyz, covariance, opacity, count, *camera, *out, threads)
    return out


def project_backward(xyz, covariance, opacity, world_to_camera, intrinsics, width: int, height: int,
                     projection: Projection, gradients: Gradients, *, near: float = 0.01, far: float = 1e10,
                     low_pass: float = 0.3, antialiased: bool = True, orthographic: bool = False, threads: int = 0):
    """Carries gradients of a Projection back to (xyz (N, 3), covariance (N, 6), opacity (N,)) of `project`.

    The gradient of an off-diagonal covariance is that of the one number that stands in both places.
    """
    camera = _camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic)
    count = len(require("xyz", xyz, (None, 3)))
    require("covariance", covariance, (count, 6)), require("opacity", opacity, (count,))
    require("projection.radius", projection.radius, (count,), np.int32)
    _, d_mean, d_conic, d_depth, d_compensated = gradients
    require("gradients.mean", d_mean, (count, 2)), require("gradients.conic", d_conic, (count, 3))
    require("gradients.depth", d_depth, (count,)), require("gradients.opacity", d_compensated, (count,))
    out = np.zeros((count, 3), np.float32), np.zeros((count, 6), np.float32), np.zeros(count, np.float32)
    _project_backward(xyz, covariance, opacity, count, *camera, projection.radius, d_mean, d_conic, d_depth,
                      d_compensated, *out, threads)
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
    count = _check(projection, width, height, occlusion_depth)
    channels = _check_features(features, count, background)
    if samples not in (1, 4):
        raise ValueError(f"samples must be 1 or 4, not {samples}.")
    image = np.empty((height, width, channels), np.float32)
    alpha, depth = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    _rasterize(*projection, count, occlusion_depth, features, channels, background, width, height, samples, image,
               alpha, depth, threads)
    return image, alpha, depth


def rasterize_backward(projection: Projection, features, width: int, height: int, d_image, d_alpha=None, d_depth=None,
                       *, background=None, occlusion_depth=None, samples: int = 1, threads: int = 0) -> Gradients:
    """Exact gradients of a loss from its gradients with respect to what `rasterize` returns for the same arguments.
    What is hidden stays hidden: where a surface closes has no gradient.

    d_image: (height, width, C), d_alpha, d_depth: (height, width) float32, or None for zeros.
    """
    options = {"background": background, "occlusion_depth": occlusion_depth, "threads": threads}
    if samples == 4:
        return _backward_of_means(projection, features, width, height, d_image, d_alpha, d_depth, options)
    count = _check(projection, width, height, occlusion_depth)
    channels = _check_features(features, count, background)
    d_alpha = np.zeros((height, width), np.float32) if d_alpha is None else d_alpha
    d_depth = np.zeros((height, width), np.float32) if d_depth is None else d_depth
    require("d_image", d_image, (height, width, channels))
    require("d_alpha", d_alpha, (height, width)), require("d_depth", d_depth, (height, width))
    out = Gradients(np.zeros((count, channels), np.float32), np.zeros((count, 2), np.float32),
                    np.zeros((count, 3), np.float32), np.zeros(count, np.float32), np.zeros(count, np.float32))
    _rasterize_backward(*projection, count, occlusion_depth, features, channels, background, width, height, d_image,
                        d_alpha, d_depth, *out, threads)
    return out


def _backward_of_means(projection: Projection, features, width: int, height: int, d_image, d_alpha, d_depth,
                       options: dict) -> Gradients:
    """rasterize_backward of four samples: each is a picture of its own, whose means are the image, alpha, and alpha
    times depth."""
    shifted = [projection._replace(mean=projection.mean - offset) for offset in OFFSETS]
    d_alphas, d_depths = [None if d_alpha is None else d_alpha / 4] * 4, [None] * 4
    if d_depth is not None:  # depth = sum(alpha_s depth_s) / sum(alpha_s)
        made = [rasterize(each, features, width, height, **options)[1:] for each in shifted]
        share = d_depth / np.maximum(sum(alpha for alpha, _ in made), 1e-10)
        mean = sum(alpha * depth for alpha, depth in made) / np.maximum(sum(alpha for alpha, _ in made), 1e-10)
        d_depths = [share * alpha for alpha, _ in made]
        d_alphas = [share * (depth - mean) + (0 if d is None else d) for (_, depth), d in zip(made, d_alphas)]
    parts = [rasterize_backward(*each, **options) for each in
             zip(shifted, [features] * 4, [width] * 4, [height] * 4, [d_image / 4] * 4, d_alphas, d_depths)]
    return Gradients(*(sum(each) for each in zip(*parts)))


def contributions(projection: Projection, width: int, height: int, *, occlusion_depth=None,
                  threads: int = 0) -> np.ndarray:
    """(N,) float32: each Gaussian's blending weight summed over the picture's pixels; 0 where nothing of it is seen.
    occlusion_depth: as in `rasterize`."""
    count = _check(projection, width, height, occlusion_depth)
    weights = np.zeros(count, np.float32)
    _contributions(*projection, count, occlusion_depth, width, height, weights, threads)
    return weights


def _camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic) -> tuple:
    _check_size(width, height)
    pose = require("world_to_camera", np.ascontiguousarray(world_to_camera, np.float32), (4, 4))
    matrix = require("intrinsics", np.ascontiguousarray(intrinsics, np.float32), (3, 3))
    if not (np.isfinite(pose).all() and np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise ValueError("world_to_camera and intrinsics must be finite and the focal lengths positive.")
    if not (low_pass >= 0 and near <= far):
        raise ValueError("low_pass must not be negative and near not beyond far.")
    return pose, matrix, width, height, near, far, low_pass, bool(antialiased), bool(orthographic)


def _check(projection: Projection, width: int, height: int, occlusion_depth=None) -> int:
    _check_size(width, height)
    count = len(require("projection.mean", projection.mean, (None, 2)))
    require("projection.conic", projection.conic, (count, 3)), require("projection.depth", projection.depth, (count,))
    require("projection.radius", projection.radius, (count,), np.int32)
    require("projection.opacity", projection.opacity, (count,))
    if occlusion_depth is not None:
        require("occlusion_depth", occlusion_depth, (count,))
    return count


def _check_features(features, count: int, background) -> int:
    channels = require("features", features, (count, None)).shape[1]
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"features must have 1 to {MAX_CHANNELS} channels, not {channels}.")
    if background is not None:
        require("background", background, (channels,))
    return channels


def _check_size(width: int, height: int) -> None:
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"width and height must be 1 to {MAX_SIDE} pixels, not {width} x {height}.")
