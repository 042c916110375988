"""Neural assets that are holes in the picture: what is behind them is not seen, and they show nothing of themselves."""

from __future__ import annotations

import numpy as np

from .._core import composite, scene
from ..scene import sync


def measure(made: dict[str, np.ndarray], assets: sync.VisibleAssets) -> np.ndarray:
    """What holdouts cover of each pixel, (H, W, 1); (1, 1, 1) where there are none."""
    if not assets.held or scene.INSTANCES not in made:
        return np.zeros((1, 1, 1), np.float32)
    pairs = made[scene.INSTANCES].reshape(*made["Combined"].shape[:2], -1, 2)
    return np.where(np.isin(pairs[..., 0], np.array(assets.held) + 1), pairs[..., 1], 0).sum(-1, keepdims=True)


def cut_out(made: dict[str, np.ndarray], held: np.ndarray) -> None:
    """Takes what holdouts cover, as measure says, out of a picture of assets alone, which has scene.INSTANCES."""
    if not held.any():
        return
    covered = made[scene.INSTANCES].reshape(*held.shape[:2], -1, 2)[..., 1].sum(-1, keepdims=True)
    left = np.maximum(covered - held, 0)
    for name in made.keys() & {*scene.PASSES, *composite.NEAREST} - {*scene.LIGHT}:
        alike = name in ("Normal", *composite.NEAREST)
        made[name] *= (held <= left) * (1 if alike else covered / np.maximum(left, 1e-4))
    made["Combined"][..., 3:] -= held
