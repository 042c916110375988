"""Things of the second Blender that move while the shutter is open: animated around the frame that is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix


def animate(ob: Any, places: np.ndarray, middle: float, shutter: float) -> None:
    """Has ob go through places (T, 4, 4), from the opening to the closing of the shutter around `middle`; frames."""
    stop(ob)
    ob.rotation_mode = "QUATERNION"
    before = None
    for place, share in zip(places, np.linspace(-0.5, 0.5, len(places))):
        location, rotation, scale = Matrix(np.asarray(place).tolist()).decompose()
        if before is not None:
            rotation.make_compatible(before)
        ob.location, ob.rotation_quaternion, ob.scale, before = location, rotation, scale, rotation
        for channel in ("location", "rotation_quaternion", "scale"):
            ob.keyframe_insert(channel, frame=middle + shutter * share)
    for curve in list_curves(ob.animation_data):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"


def stop(ob: Any) -> None:
    """Has ob stand still again."""
    if ob.animation_data is not None:
        action: Any = ob.animation_data.action
        ob.animation_data_clear()
        if action is not None and not action.users:
            bpy.data.actions.remove(action)


def list_curves(animation: Any) -> list[Any]:
    """The curves of what is animated; from 4.4 in a slot of a layered action. None where it is None."""
    action = animation and animation.action
    if action is None or not hasattr(animation, "action_slot"):
        return [] if action is None else list(action.fcurves)
    bags = [strip.channelbag(animation.action_slot) for layer in action.layers for strip in layer.strips
            if animation.action_slot is not None]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def list_strips(homes: Iterable[Any]) -> list[Any]:
    """The strips of NLA tracks, or of strips that hold some, and all that these hold; list_curves takes them, too."""
    found = [strip for home in homes for strip in home.strips]
    return found + (list_strips(found) if found else [])


def open_shutter(scene: Any, motion: dict[str, Any] | None) -> None:
    """Has Cycles blur as exposure.Motion.describe says, around the frame that is drawn; None for not at all, nor where
    it says that nothing blurs: then what moves is only written down."""
    render = scene.render
    blurs = motion is not None and motion.get("blurs", True)
    if render.use_motion_blur != blurs:
        render.use_motion_blur = blurs
    if motion is None or not blurs:
        return
    render.motion_blur_shutter = motion["shutter"]
    for owner in (render, scene.cycles):  # moved to the former in 4.2
        if hasattr(owner, "motion_blur_position"):
            owner.motion_blur_position = "CENTER"
