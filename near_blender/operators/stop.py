"""Stop: ends what is under way, the creation of an asset or a task of the preferences."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..translations import translate
from . import jobs, tasks

_CURRENT = {"CREATION": jobs.get_current, "TASK": tasks.get_current}
_WHAT = [("CREATION", "Creation", "Stop creating the neural asset; nothing is changed"),
         ("TASK", "Task", "Stop; what has come so far is kept for the next time")]


class NEAR_OT_stop(bpy.types.Operator):
    bl_idname = "near.stop"
    bl_label = "Stop"
    bl_description = "Stop what is under way"
    bl_options = {"INTERNAL"}

    what: EnumProperty(name="What", description="What to stop", items=_WHAT)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        return translate(next(text for key, _, text in _WHAT if key == properties.what))

    def execute(self, context: bpy.types.Context) -> set[str]:
        current = _CURRENT[self.what]()
        if current is None:
            return {"CANCELLED"}
        current.job.cancel()
        return {"FINISHED"}


CLASSES = (NEAR_OT_stop,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
