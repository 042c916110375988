"""Stop: ends what is under way, the creation of an asset, a task of the preferences or Check Setup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import EnumProperty

from ..translations import translate
from . import jobs, setup, tasks

_STOP: dict[str, Callable[[], Any]] = {
    "CREATION": jobs.get_current, "TASK": lambda: getattr(tasks.get_current(), "job", None), "CHECK": setup.get_current}
_WHAT = [("CREATION", "Creation", "Stop creating the neural asset; nothing is changed"),
         ("TASK", "Task", "Stop; what has come so far is kept for the next time"),
         ("CHECK", "Check", "Stop Check Setup")]


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
        work = _STOP[self.what]()
        if work is None:
            return {"CANCELLED"}
        work.cancel()
        return {"FINISHED"}


CLASSES = (NEAR_OT_stop,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
