"""The pass Mist: how far away what a pixel shows is, between the two distances that its World says."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import scene

_POWERS = {"QUADRATIC": 2.0, "LINEAR": 1.0, "INVERSE_QUADRATIC": 0.5}
_WITHOUT_WORLD = 0.0, 100.0, "LINEAR"  # start, depth and falloff, as Cycles has them


def make_clear(made: dict[str, np.ndarray], camera: scene.Camera, world: Any, held: np.ndarray) -> np.ndarray:
    """composite.CLEAR of the assets. Source: Cycles, film_write: what a holdout covers has none.

    made: passes with Depth and scene.INSTANCES; without these, as the published model draws, an asset covers what it
    covers the middle of. world: Blender's, None for none. held: what holdouts cover, as holdouts.measure says.
    """
    start, depth, falloff = _WITHOUT_WORLD
    if world is not None:
        start, depth, falloff = (getattr(world.mist_settings, name) for name in ("start", "depth", "falloff"))
    away = made["Depth"][..., 0].astype(np.float64)
    if not camera.orthographic:  # from the camera, not along its axis
        x, y = ((np.arange(count) + 0.5 - middle) / focal for count, middle, focal in zip(
            (camera.width, camera.height), camera.intrinsics[:2, 2], np.diag(camera.intrinsics)[:2]))
        away = away * np.sqrt(1 + x ** 2 + y[:, None] ** 2)
    mist = np.clip((away - start) / max(depth, 1e-6), 0, 1) ** _POWERS[falloff]
    covered = (away > 0) * 1.0
    if scene.INSTANCES in made:
        covered = made[scene.INSTANCES].reshape(*away.shape, -1, 2)[..., 1].sum(-1)
    return ((1 - mist[..., None]) * (covered[..., None] - held)).astype(np.float32)
