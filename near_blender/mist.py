"""The pass Mist: how far away what a pixel shows is, between the two distances that its World says."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._core import composite, scene

_POWERS = {"QUADRATIC": 2.0, "LINEAR": 1.0, "INVERSE_QUADRATIC": 0.5}


def make_clear(made: dict[str, np.ndarray], camera: scene.Camera, world: Any) -> dict[str, np.ndarray]:
    """composite.CLEAR of the assets; nothing without a World, where no such pass is wanted. Source: Cycles, film_write.

    made: passes with Depth and scene.INSTANCES; without these, as the published model draws, an asset covers what it
    covers the middle of. world: Blender's.
    """
    if world is None:
        return {}
    settings = world.mist_settings
    away = made["Depth"][..., 0].astype(np.float64)
    if not camera.orthographic:  # from the camera, not along its axis
        x, y = ((np.arange(count) + 0.5 - middle) / focal for count, middle, focal in zip(
            (camera.width, camera.height), camera.intrinsics[:2, 2], np.diag(camera.intrinsics)[:2]))
        away = away * np.sqrt(1 + x ** 2 + y[:, None] ** 2)
    mist = np.clip((away - settings.start) / max(settings.depth, 1e-6), 0, 1) ** _POWERS[settings.falloff]
    covered = (away > 0) * 1.0
    if scene.INSTANCES in made:
        covered = made[scene.INSTANCES].reshape(*away.shape, -1, 2)[..., 1].sum(-1)
    return {composite.CLEAR: ((1 - mist) * covered)[..., None].astype(np.float32)}
