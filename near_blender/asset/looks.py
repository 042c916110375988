"""The look of an asset's object: how the artist changes its material and how it is shown, frame by frame."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import FloatProperty, FloatVectorProperty

from .. import colorspace
from .._core import scene

_OVERRIDE: Any = {"LIBRARY_OVERRIDABLE"}


class NEAR_PG_look(bpy.types.PropertyGroup):
    """As scene.AssetLook, but that the tint is in the file's working space."""

    tint: FloatVectorProperty(
        name="Tint", override=_OVERRIDE, default=(1, 1, 1), size=3, min=0, max=10, soft_max=1, subtype="COLOR",
        description="Multiplies the colours of the material; light that the asset reflects onto others follows")
    hue: FloatProperty(
        name="Hue", override=_OVERRIDE, default=0, min=-0.5, max=0.5,
        description="Turns the colours of the material, by a whole circle from -0.5 to 0.5")
    saturation: FloatProperty(
        name="Saturation", override=_OVERRIDE, default=1, min=0, max=4, soft_max=2,
        description="0 makes the material grey, 1 leaves it as it is")
    exposure: FloatProperty(
        name="Exposure", override=_OVERRIDE, default=0, min=-20, max=20, soft_min=-4, soft_max=4,
        description="Stops by which the camera sees the asset brighter; its material stays")
    roughness: FloatProperty(
        name="Roughness", override=_OVERRIDE, default=0, min=-1, max=1,
        description="-1 makes the material a mirror, 0 leaves it as it is, 1 makes it fully rough")
    metallic: FloatProperty(
        name="Metallic", override=_OVERRIDE, default=0, min=-1, max=1,
        description="-1 takes all metal away, 0 leaves the material as it is, 1 makes it metal")
    opacity: FloatProperty(
        name="Opacity", override=_OVERRIDE, default=1, min=0, max=1, subtype="FACTOR",
        description="Fades the object as a whole, its shadow with it")


NAMES = tuple(NEAR_PG_look.__annotations__)


def _is_asset(ob: Any) -> bool:
    """Whether ob stands for a neural asset."""
    return ob.type == "MESH" and ob.original.near.asset is not None


def read(ob: Any) -> scene.AssetLook:
    """The look of ob, evaluated."""
    look: Any = ob.near.look
    tint = colorspace.to_rec709(np.array(look.tint, np.float64))
    others: Any = {name: float(getattr(look, name)) for name in NAMES if name != "tint"}
    return scene.AssetLook(tuple(np.maximum(tint, 0).tolist()), **others)


def collect(depsgraph: bpy.types.Depsgraph) -> dict[str, scene.AssetLook]:
    """The looks of assets that have one, by name_full: what the second Blender gives their proxies."""
    looks = {ob.name_full: read(ob) for ob in depsgraph.objects if _is_asset(ob)}
    return {name: look for name, look in looks.items() if look != scene.PLAIN}


def register() -> None:
    bpy.utils.register_class(NEAR_PG_look)


def unregister() -> None:
    bpy.utils.unregister_class(NEAR_PG_look)
