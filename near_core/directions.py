"""Unit vectors: octahedral codes, evenly spread directions, the rotation in a matrix."""

from __future__ import annotations

import math

import numpy as np


def encode_octahedral(normal: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 3) -> (..., 2) in [-1, 1]^2."""
    p = normal / np.maximum(np.abs(normal).sum(-1, keepdims=True), 1e-12)
    folded = (1 - np.abs(p[..., [1, 0]])) * np.where(p[..., :2] >= 0, 1, -1)
    return np.where(p[..., 2:] < 0, folded, p[..., :2]).astype(np.float32)


def decode_octahedral(code: np.ndarray) -> np.ndarray:
    """(..., 2) in [-1, 1]^2 -> unit vectors (..., 3) float32."""
    code = np.asarray(code, np.float32)
    z = 1 - np.abs(code).sum(-1, keepdims=True)
    fold = np.maximum(-z, 0)
    xy = code - np.where(code >= 0, fold, -fold)
    n = np.concatenate([xy, z], -1)
    return unit(n)


def polar_rotation(matrix: np.ndarray) -> np.ndarray:
    """The orthogonal factor O (..., 3, 3) of M = O S, matrices (..., 3 or 4, 3 or 4); it mirrors where M does."""
    u, _, vt = np.linalg.svd(matrix[..., :3, :3])
    return u @ vt


def unit(v: np.ndarray, axis: int = -1) -> np.ndarray:
    """Vectors (..., 3), or along another axis, made one long; those of no length stay 0. Same shape and precision."""
    along = np.moveaxis(v, axis, -1)
    length = np.sqrt(np.einsum("...c,...c->...", along, along))  # numpy's norm is slow along a short axis
    return v / np.maximum(np.expand_dims(length, axis), 1e-20)  # squares of less are 0 in float32


def fibonacci_sphere(count: int) -> np.ndarray:
    """Evenly spread unit directions (count, 3) float32; each stands for 4 pi / count steradians."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    azimuth = i * math.pi * (1 + math.sqrt(5))
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], -1).astype(np.float32)
