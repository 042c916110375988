"""Colours: the sRGB transfer function, luminance, premultiplied alpha."""

from __future__ import annotations

import numpy as np

from .._kernels import ggx

_FROM_XYZ = np.array([[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
                      [0.0556434, -0.2040259, 1.0572252]])  # linear Rec.709, D65


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


def blackbody(kelvin: float) -> np.ndarray:
    """The colour of what glows at a temperature, linear Rec.709 of luminance 1, nothing negative. (3,) float64.

    Source: Planck's law; the CIE 1931 observer as Wyman, Sloan and Shirley (2013) fit it.
    """
    wave = np.arange(380.0, 781.0, 5.0)  # nm
    power = 1 / (wave ** 5 * np.expm1(np.minimum(1.438777e7 / (wave * max(kelvin, 500.0)), 500)))

    def lobe(height: float, middle: float, below: float, above: float) -> np.ndarray:
        return height * np.exp(-0.5 * ((wave - middle) / np.where(wave < middle, below, above)) ** 2)

    x = lobe(1.056, 599.8, 37.9, 31.0) + lobe(0.362, 442.0, 16.0, 26.7) - lobe(0.065, 501.1, 20.4, 26.2)
    y = lobe(0.821, 568.8, 46.9, 40.5) + lobe(0.286, 530.9, 16.3, 31.1)
    z = lobe(1.217, 437.0, 11.8, 36.0) + lobe(0.681, 459.0, 26.0, 13.8)
    tristimulus = np.stack([x, y, z]) @ power
    return np.maximum(_FROM_XYZ @ (tristimulus / tristimulus[1]), 0)
