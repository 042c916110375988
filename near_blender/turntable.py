"""Small pictures of an asset from four sides, as icons for the sidebar."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.utils import previews

from . import opening, payload
from ._core import asset as assets
from ._core import thumbnail

_icons: Any = None  # bpy's preview collection


def find_icons(ob: bpy.types.Object, asset: assets.NeuralAsset) -> list[int]:
    """Numbers of the icons that show an object's asset from the sides of thumbnail.TURNTABLE; drawn once."""
    global _icons
    if _icons is None:
        _icons = previews.new()
    key = payload.find_hash(payload.find_payload(ob))
    names = [f"{key} {number}" for number in range(len(thumbnail.TURNTABLE))]
    if names[0] not in _icons:
        for name, picture in zip(names, np.split(thumbnail.draw_turntable(asset), len(names), 1)):
            icon = _icons.new(name)
            icon.image_size = picture.shape[1::-1]
            icon.image_pixels_float.foreach_set((picture[::-1].astype(np.float32) / 255).ravel())
    return [_icons[name].icon_id for name in names]


def forget() -> None:
    """Frees the icons."""
    global _icons
    if _icons is not None:
        previews.remove(_icons)
        _icons = None


def register() -> None:
    opening.add(forget)


def unregister() -> None:
    opening.remove(forget)
