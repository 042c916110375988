"""Unevenly scaled instances: light turns with an instance but knows nothing of scales, so assets are stretched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..asset import octants
from ..asset.deformation import choose_stretches, stretch
from ..models.mini import runtime
from ..scene import Instance


def stretch_all(instances: Sequence[Instance], model: runtime.NearMini, known: dict[Any, Any], make: bool = True
                ) -> tuple[list[Instance], np.ndarray]:
    """The same instances of stretched assets, about as their matrices have them, and what their matrices were
    multiplied by, (N, 4, 4). known: stretched assets by hash, stretch and False; new ones are added. make: else only
    those are stretched that are known."""
    made, back = list(instances), np.tile(np.eye(4), (len(instances), 1, 1))
    usable = [number for number, each in enumerate(instances) if np.isfinite(each.matrix).all()]
    matrices = np.array([instances[number].matrix for number in usable], np.float64).reshape(-1, 4, 4)
    found = choose_stretches([instances[number].asset.hash for number in usable], matrices)
    for number, linear in zip(usable, found):
        asset = instances[number].asset
        key = asset.hash, "" if linear is None else linear.tobytes().hex(), False
        if linear is None or not (make or key in known):
            continue
        if key not in known:
            known[key] = stretch(asset, octants.choose_surfels(asset, model), linear)
        back[number, :3, :3] = np.linalg.inv(linear)
        made[number] = replace(instances[number], asset=known[key], matrix=instances[number].matrix @ back[number])
    return made, back
