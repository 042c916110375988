"""Attention in float32 on the processor's matrix unit. The specification is kernels/twins/attention.py.

The unit (AMX) multiplies bfloat16 and adds in float32. A number is cut into two bfloat16 parts and a product made of
three, so that it is off by about 2^-17 of itself.
"""

import numpy as np

from .library import INTEGER, POINTER, Kernel, KernelsMissing, isa, load, require

_attention = Kernel("attention", *[POINTER] * 3, *[INTEGER] * 3, POINTER, INTEGER)

CHANNELS = 64  # of a head


def available() -> bool:
    """Whether this machine has the unit, the system grants it, and the compiled kernels are there."""
    try:
        return isa() == "avx512" and load().near_amx() == 1
    except KernelsMissing:
        return False


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, *, threads: int = 0) -> np.ndarray:
    """softmax(q k / 8) v for every head; only where `available`.

    q: (N, H, 64), k and v: (H, T, 64), float32, T >= 1. Returns (N, H, 64) float32.
    """
    rows, heads, _ = require("q", q, (None, None, CHANNELS)).shape
    count = require("k", k, (heads, None, CHANNELS)).shape[1]
    require("v", v, (heads, count, CHANNELS))
    if not count:
        raise ValueError("k must have rows.")
    out = np.empty_like(q)
    _attention(q, k, v, rows, heads, count, out, threads)
    return out
