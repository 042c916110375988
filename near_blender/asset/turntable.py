"""Small pictures of an asset from four sides, as icons for the sidebar."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.utils import previews

from .. import opening
from .._core import asset as assets
from .._core import thumbnail
from . import payload

_icons: Any = None  # bpy's preview collection


def find_icons(ob: bpy.types.Object, asset: assets.NeuralAsset) -> list[int]:
    """Numbers of the icons that show an object's asset from the sides of thumbnail.TURNTABLE; drawn once, one of them
    at each redraw, which asks for the next."""
    global _icons
    if _icons is None:
        _icons = previews.new()
    key = payload.find_hash(payload.find_payload(ob))
    names = {f"{key} {azimuth}": azimuth for azimuth in thumbnail.TURNTABLE}
    missing = next((name for name in names if name not in _icons), None)
    if missing is not None:
        picture = thumbnail.draw(asset, names[missing], thumbnail.ELEVATION)
        icon = _icons.new(missing)
        icon.image_size = picture.shape[1::-1]
        icon.image_pixels_float.foreach_set((picture[::-1].astype(np.float32) / 255).ravel())
        if not bpy.app.timers.is_registered(_redraw):
            bpy.app.timers.register(_redraw, first_interval=0.01)
    return [_icons[name].icon_id for name in names if name in _icons]


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PROPERTIES"):
                area.tag_redraw()


def forget() -> None:
    """Frees the icons."""
    global _icons
    if _icons is not None:
        previews.remove(_icons)
        _icons = None


def register() -> None:
    opening.add(forget)


def unregister() -> None:
    if bpy.app.timers.is_registered(_redraw):
        bpy.app.timers.unregister(_redraw)
    opening.remove(forget)
