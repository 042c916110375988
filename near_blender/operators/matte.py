"""Correct Matte: an artist draws on an asset's photo what of it is the object, and the asset is made again."""

from __future__ import annotations

from typing import Any

import bpy

from .._core import errors
from ..asset import photo_options
from ..references import Reference
from ..translations import say
from . import jobs
from .drawing import PhotoDrawing, begin
from .origin import find_origin
from .pictures import find_photo
from .place import is_changeable, report_errors


class NEAR_OT_correct_matte(bpy.types.Operator):
    bl_idname = "near.correct_matte"
    bl_label = "Correct Matte"
    bl_description = "Draw on the active asset's photo what of it is the object, in an Image Editor"
    bl_options = {"REGISTER"}

    photo: bpy.props.IntProperty(
        name="Photo", min=0, description="Which one of several photos, from 0", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        origin = find_origin(context.object)
        if origin is None or context.window is None or all(each.mask for each in origin.photos or [origin]):
            cls.poll_message_set("The active object was not made from a photo without a mask")
            return False
        linked = "The active object is linked: make a library override to change it"
        return is_changeable(cls, context.object, linked) and jobs.is_idle(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            asset, number = Reference.to_object(context.object), self.photo
            drawn_on = _find_drawn_on(context.object, number)
            if drawn_on is None or drawn_on.mask:
                raise errors.NearError("That photo has a mask, or is none of the asset's.", "Choose another one.")
            begin(context, PhotoDrawing(
                str(find_photo(drawn_on)), drawn_on.hints, photo_options.name_matting(find_origin(context.object)),
                errors.Message("make the asset again"), lambda *told: _make_again(asset, number, *told)))
            return {"FINISHED"}
        return {"CANCELLED"}


def _make_again(asset: Reference, number: int, context: bpy.types.Context, operator: bpy.types.Operator, hints: str
                ) -> set[str]:
    """Writes down what was drawn on a photo of an object's asset, and makes that again."""
    ob = asset.find()
    drawn_on = _find_drawn_on(ob, number)
    if drawn_on is None:
        operator.report({"WARNING"}, say("{name} is gone.", name=asset.name))
        return {"CANCELLED"}
    drawn_on.hints = hints
    if ob.name in context.view_layer.objects:
        context.view_layer.objects.active = ob
        ops: Any = bpy.ops
        if ops.near.remake_asset.poll():
            ops.near.remake_asset("INVOKE_DEFAULT")
            return {"FINISHED"}
    operator.report({"WARNING"}, say("{name} could not be made again now. It keeps what was drawn: use Make Again",
                                     name=ob.name))
    return {"FINISHED"}


def _find_drawn_on(ob: Any, number: int) -> Any:
    """The photo of that number among several, or the only one of an object's asset, with its hints; None where it is
    gone."""
    origin = find_origin(ob)
    if origin is None or not origin.photos:
        return origin
    return origin.photos[number] if number < len(origin.photos) else None


CLASSES = (NEAR_OT_correct_matte,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
