"""Instances with a look of their own: prepared assets in another material, and layers that are faded as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..light.transport import Transport, compute_albedo, describe_mirrors
from ..scene.look import AssetLook
from .surface import Surface

Dressed = TypeVar("Dressed", bound=Surface)


def dress(made: Dressed, look: AssetLook) -> Dressed:
    """A surface, or a prepared asset, in a look's material: what it is made of and what it bounces. What its surfels
    see of each other stays, and is shared."""
    surfels = look.dress(made.level.surfels)
    changed: dict = {"level": replace(made.level, surfels=surfels)}
    if "thickness" in vars(made.level):
        vars(changed["level"])["thickness"] = made.level.thickness  # where cached_property keeps it
    if made.shift is not None:
        own = made.level.surfels.base_color[made.texels.surfel] + made.shift
        changed["shift"] = look.recolor(own) - surfels.base_color[made.texels.surfel]
    transport: Transport | None = getattr(made, "transport", None)
    if transport is not None:
        changed["transport"] = replace(
            transport, surfels=surfels, albedo=compute_albedo(surfels, transport.config) / np.float32(np.pi),
            mirrors=describe_mirrors(surfels, transport.fine))
    dressed = replace(made, **changed)
    dressed.share_discs(made)
    return dressed


def list_layers(numbers: Sequence[int], looks: Sequence[AssetLook]) -> list[list[int]]:
    """Which of some instances are drawn together: those that are not faded, and each of the others by itself, at all
    its levels. numbers: from 1, of each; levels of one instance share theirs."""
    layers: dict[int, list[int]] = {}
    for place, (number, look) in enumerate(zip(numbers, looks)):
        layers.setdefault(number if look.opacity < 1 else 0, []).append(place)
    return list(layers.values())
