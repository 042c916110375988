"""Passes: which features a picture needs per surfel, and how the blended features become its passes."""

from __future__ import annotations

import numpy as np

from ..scene import PASSES

_DATA = ("Base Color", "Normal", "Roughness", "Metallic", "Shadow", "Confidence")  # divided by alpha


def pack(radiance: np.ndarray, data: dict[str, np.ndarray], wanted: tuple[str, ...]) -> np.ndarray:
    """Features (K, C) float32 of surfels: radiance (K, 3), then those of data, (K, n) or (K,) each, that are wanted."""
    return np.column_stack([radiance, *(data[name] for name in _DATA if name in wanted)]).astype(np.float32)


def width(wanted: tuple[str, ...]) -> int:
    """C, the number of features of pack."""
    return 3 + sum(PASSES[name] for name in _DATA if name in wanted)


def scaled(image: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """image (H, W, C) times factor (H, W), channel by channel: numpy is slow along a short axis."""
    out = np.empty(image.shape, np.float32)
    for c in range(image.shape[-1]):
        np.multiply(image[..., c], factor, out=out[..., c])
    return out


def unpack(image: np.ndarray, alpha: np.ndarray, depth: np.ndarray, sky: np.ndarray | None, wanted: tuple[str, ...]
           ) -> dict[str, np.ndarray]:
    """Passes by name, (H, W, n) float32 each, in the order wanted.

    image: (H, W, C) blended features, premultiplied. alpha, depth: (H, W). sky: (H, W, 3) radiance behind, or None.
    """
    made = {"Depth": depth[..., None]}
    if "Combined" in wanted:
        made["Combined"] = np.empty((*alpha.shape, 4), np.float32)
        open_share = 1 - alpha
        for c in range(3):
            made["Combined"][..., c] = image[..., c] if sky is None else image[..., c] + open_share * sky[..., c]
        made["Combined"][..., 3] = alpha if sky is None else 1
    over_alpha = np.where(alpha > 1e-4, 1 / np.maximum(alpha, 1e-4), 0).astype(np.float32)
    at = 3
    for name in _DATA:
        if name in wanted:
            made[name] = scaled(image[..., at:at + PASSES[name]], over_alpha)
            at += PASSES[name]
    if "Normal" in wanted:
        length = np.sqrt(np.einsum("hwc,hwc->hw", made["Normal"], made["Normal"]))
        made["Normal"] /= np.maximum(length, 1e-12)[..., None]
    return {name: np.ascontiguousarray(made[name], np.float32) for name in wanted}
