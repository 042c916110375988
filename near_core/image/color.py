"""Colours: the sRGB transfer function, luminance, premultiplied alpha."""

from __future__ import annotations

import numpy as np

from .._kernels import ggx


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """The sRGB transfer function (IEC 61966-2-1) of values clipped to 0..1. float32, same shape."""
    x = np.clip(linear, 0, 1).astype(np.float32)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """The inverse of srgb_encode for values 0..1, in the precision they come in. float32, same shape."""
    x = np.asarray(encoded)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def luminance(linear: np.ndarray) -> np.ndarray:
    """The luminance (...) of linear Rec.709 colours (..., 3)."""
    return linear @ ggx.LUMINANCE


def premultiply(straight: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3 or 4) with straight alpha -> (H, W, 4) float32 with premultiplied alpha."""
    if straight.shape[2] == 3:
        return np.concatenate([straight, np.ones_like(straight[..., :1])], 2)
    return np.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], 2)
