"""The filter by which samples become pixels: Blackman and Harris's, as Cycles weighs its samples."""

from __future__ import annotations

import numpy as np

MAX_WIDTH = 3.4  # pixels: a wider filter counts as this wide
UNIT = 1 << 16  # parts of a pixel that weights are counted in
STEPS = 1024  # of the integral that places samples


def _fall(x: np.ndarray, width: float) -> np.ndarray:
    """The filter, not normalized, at x pixels from its middle. Source: Cycles, filter_func_blackman_harris, which takes
    the width twice."""
    turn = 2 * np.pi * (x / (2 * width) + 0.5)
    value = 0.35875 - 0.48829 * np.cos(turn) + 0.14128 * np.cos(2 * turn) - 0.01168 * np.cos(3 * turn)
    return np.where(np.abs(x) < width, value, 0)


def spread(even: np.ndarray, width: float) -> np.ndarray:
    """Samples (S, 2) that lie evenly in a pixel, from its centre, for a filter: closer where this is narrower than a
    pixel. (S, 2) float32, pixels."""
    return (np.asarray(even) * min(max(width, 0.01), 1)).astype(np.float32)


def weigh(offset: np.ndarray, width: float) -> np.ndarray:
    """What samples at offset (S, 2) from a pixel's centre weigh in the pixels around, (S, D, D) float32 by row and
    column from their own; all of them together 1."""
    width = float(np.clip(width, 0.01, MAX_WIDTH))
    reach = max(int(np.ceil(width + np.abs(offset).max())) - 1, 0)
    pixels = np.arange(-reach, reach + 1)
    x, y = (_fall(pixels - np.asarray(offset[:, axis, None], np.float64), width) for axis in (0, 1))
    weight = y[:, :, None] * x[:, None, :]
    weight = np.round(weight / weight.sum() * UNIT)  # whole numbers: what covers a pixel sums up to 1, not nearly 1
    weight.flat[weight.argmax()] += UNIT - weight.sum()
    return (weight / UNIT).astype(np.float32)


def place(even: np.ndarray, width: float) -> np.ndarray:
    """Samples (S, 2) that lie evenly in a pixel, where they count alike: as densely as the filter weighs. Pixels."""
    width = float(np.clip(width, 0.01, MAX_WIDTH))
    x = np.linspace(-width, width, STEPS)
    share = np.cumsum(_fall(x, width))
    return np.interp(even + 0.5, (share - share[0]) / (share[-1] - share[0]), x)
