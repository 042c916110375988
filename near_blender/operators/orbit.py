"""Limit Camera: an orbit around an asset from which it can be trusted, that the scene's camera cannot leave."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .._core import asset as assets
from .._core import directions, errors
from ..asset import payload, proxy
from ..cycles import motion as cycles_motion
from ..translations import say
from .place import is_asset_active, is_changeable, report_errors

KEY = "near_orbit"  # a custom property of the empty that the camera goes around with
_PLACE = frozenset(kind + name for kind in ("", "delta_") for name in (
    "location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale"))
STEEPEST = math.radians(85)  # above and below


class NEAR_OT_limit_camera(bpy.types.Operator):
    bl_idname = "near.limit_camera"
    bl_label = "Limit Camera"
    bl_description = ("Keep the scene's camera where the active asset can be trusted: it goes around with an empty, "
                      "whose rotation is limited. Once more frees it")
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not is_asset_active(cls, context):
            return False
        if context.scene.camera is None:
            cls.poll_message_set("The scene has no camera")
            return False
        return is_changeable(cls, context.scene.camera,
                             "The scene's camera is linked: make a library override to change it")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            camera: Any = context.scene.camera
            pivot, ob = find_pivot(camera), context.object
            if pivot is not None and is_around(camera, ob):
                free(camera, pivot)
                return {"FINISHED"}
            asset = payload.decode_asset(ob)
            arc = None if asset is None else asset.trusted
            if arc is None or arc.width == 0:
                raise errors.NearError("{name} can be trusted from nowhere.", "Give it more photos.", name=ob.name)
            if arc.width == 360:
                raise errors.NearError("{name} can be trusted from all around.", "Use the camera as it is.",
                                       name=ob.name)
            if pivot is not None:  # around another asset
                free(camera, pivot)
            if camera.parent or is_moved(camera):
                raise errors.NearError("{name} is moved by a parent, constraint or animation.",
                                       "Take that away, or choose another camera.", name=camera.name)
            pivot = limit(context, camera, ob, arc)
            self.report({"INFO"}, say("Turn {pivot} around Z: {camera} goes along, within {width:.0f}\u00b0",
                                      pivot=pivot.name, camera=camera.name, width=arc.width))
            return {"FINISHED"}
        return {"CANCELLED"}


def is_moved(ob: Any) -> bool:
    """Whether constraints, an animation or drivers say where a camera is, or a parent; but for what limits it."""
    return ob is not None and KEY not in ob and (
        any(not each.mute for each in ob.constraints) or is_animated(ob, _PLACE) or is_moved(ob.parent))


def is_animated(owner: Any, names: frozenset[str]) -> bool:
    """Whether an animation or drivers set properties of these names, or an armature's bones."""
    moves = owner.animation_data
    if moves is None:
        return False
    strips = cycles_motion.list_strips(track for track in moves.nla_tracks if not track.mute)
    curves = [*moves.drivers, *(curve for each in (moves, *strips) for curve in cycles_motion.list_curves(each))]
    return any(not curve.mute and (curve.data_path in names or curve.data_path.startswith("pose.")) for curve in curves)


def find_pivot(camera: Any) -> Any:
    """The empty whose rotation limits a camera; None where it is free."""
    return camera.parent if camera is not None and camera.parent is not None and KEY in camera.parent else None


def is_around(camera: Any, ob: Any) -> bool:
    """Whether a camera's rotation around ob's asset is limited."""
    pivot = find_pivot(camera)
    return pivot is not None and pivot.parent == ob


def limit(context: bpy.types.Context, camera: Any, ob: Any, arc: assets.TrustedArc) -> bpy.types.Object:
    """Has a camera go around an asset's object, no further than an arc; where it is outside, it is turned into it.
    Returns the empty that it goes with, which follows the asset."""
    context.view_layer.update()
    frame = proxy.compute_asset_matrix(ob, np.array(ob.matrix_world))
    base = np.eye(4)
    base[:3, :3] = directions.polar_rotation(frame)
    base[:3, 0] *= np.sign(np.linalg.det(base[:3, :3]))  # of a mirrored asset, too, a rotation
    base[:3, 3] = frame[:3, 3]
    middle = Matrix(base.tolist()) @ Matrix.Rotation(math.radians(arc.middle), 4, "Z")  # what the pivot rests in
    x, y, z = middle.inverted() @ camera.matrix_world.translation
    pivot: Any = bpy.data.objects.new(f"Orbit of {ob.name}", None)
    pivot[KEY] = True
    pivot.empty_display_type, pivot.empty_display_size = "CIRCLE", max(math.hypot(x, y), 1e-3)
    (context.collection if context.collection.is_editable else context.scene.collection).objects.link(pivot)
    pivot.parent, pivot.matrix_parent_inverse = ob, ob.matrix_world.inverted_safe() @ middle
    turn = math.atan2(x, -y)
    pivot.rotation_euler = -math.atan2(z, math.hypot(x, y)), 0, turn
    context.view_layer.update()
    camera.parent, camera.matrix_parent_inverse = pivot, pivot.matrix_world.inverted()
    half = math.radians(arc.width / 2)
    pivot.rotation_euler.z = min(max(turn, -half), half)
    held = pivot.constraints.new("LIMIT_ROTATION")
    held.owner_space, held.use_transform_limit = "LOCAL", True
    held.use_limit_x = held.use_limit_y = held.use_limit_z = True
    held.min_x, held.max_x, held.min_z, held.max_z = -STEEPEST, STEEPEST, -half, half
    return pivot


def free(camera: Any, pivot: Any) -> None:
    """Takes a camera's limits away; it stays where it is. The empty stays while others hang on it, as copies do."""
    matrix = camera.matrix_world.copy()
    camera.parent = None
    camera.matrix_world = matrix
    if not pivot.children:
        bpy.data.objects.remove(pivot)


CLASSES = (NEAR_OT_limit_camera,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
