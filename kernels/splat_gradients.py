"""Gradients of kernels.splat, for training and fitting; autograd makes torch functions of them."""

from typing import NamedTuple

import numpy as np

from . import pages
from .library import INTEGER, POINTER, Kernel, require
from .splat import (
    CAMERA,
    GAUSSIANS,
    OFFSETS,
    PICTURE,
    PROJECTION,
    Projection,
    check_camera,
    check_features,
    check_projection,
    rasterize,
)

_project_backward = Kernel("splat_project_backward", *GAUSSIANS, *CAMERA, *[POINTER] * 8, INTEGER)
_rasterize_backward = Kernel("splat_rasterize_backward", *PROJECTION, POINTER, *PICTURE, *[POINTER] * 8, INTEGER)


class Gradients(NamedTuple):
    """The gradient of a loss with respect to features and to the fields of a Projection (radius has none)."""

    features: np.ndarray  # (N, C) float32
    mean: np.ndarray  # (N, 2) float32
    conic: np.ndarray  # (N, 3) float32
    depth: np.ndarray  # (N,) float32
    opacity: np.ndarray  # (N,) float32


def project_backward(xyz, covariance, opacity, world_to_camera, intrinsics, width: int, height: int,
                     projection: Projection, gradients: Gradients, *, near: float = 0.01, far: float = 1e10,
                     low_pass: float = 0.3, antialiased: bool = True, orthographic: bool = False, threads: int = 0):
    """Carries gradients of a Projection back to (xyz (N, 3), covariance (N, 6), opacity (N,)) of `project`.

    The gradient of an off-diagonal covariance is that of the one number that stands in both places.
    """
    camera = check_camera(world_to_camera, intrinsics, width, height, near, far, low_pass, antialiased, orthographic)
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


def rasterize_backward(projection: Projection, features, width: int, height: int, d_image, d_alpha=None, d_depth=None,
                       *, background=None, occlusion_depth=None, samples: int = 1, threads: int = 0) -> Gradients:
    """Exact gradients of a loss from its gradients with respect to what `rasterize` returns for the same arguments.
    What is hidden stays hidden: where a surface closes has no gradient.

    d_image: (height, width, C), d_alpha, d_depth: (height, width) float32, or None for zeros.
    """
    options = {"background": background, "occlusion_depth": occlusion_depth, "threads": threads}
    if samples == 4:
        return _backward_of_means(projection, features, width, height, d_image, d_alpha, d_depth, options)
    count = check_projection(projection, width, height, occlusion_depth)
    channels = check_features(features, count, background)
    require("d_image", d_image, (height, width, channels))
    for name, loss in (("d_alpha", d_alpha), ("d_depth", d_depth)):
        loss is None or require(name, loss, (height, width))
    out = Gradients(*(pages.empty(shape) for shape in ((count, channels), (count, 2), (count, 3), (count,), (count,))))
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
