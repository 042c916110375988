"""image.color's sRGB pair for tensors, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def srgb_encode(linear: Tensor) -> Tensor:
    """Linear values, clipped to 0..1, to sRGB 0..1. Same shape."""
    x = linear.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp(min=1e-8) ** (1 / 2.4) - 0.055)  # finite slope at 0


def srgb_decode(encoded: Tensor) -> Tensor:
    """sRGB 0..1 to linear values. Same shape."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
