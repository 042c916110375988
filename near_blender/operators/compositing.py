"""Draw Neural Assets in This Render: for scenes that Cycles, EEVEE or another engine draws."""

from __future__ import annotations

from typing import Any

import bpy

from ..engine import compositing
from ..translations import say
from . import place


class NEAR_OT_build_compositing(bpy.types.Operator):
    bl_idname = "near.build_compositing"
    bl_label = "Draw Neural Assets in This Render"
    bl_description = ("Have NeAR draw the neural assets and the compositor put them into this scene's render. "
                      "A second click takes it away again")
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene: Any = context.scene
        if scene.near.companion_of is not None:
            cls.poll_message_set(say("This scene draws the assets of {name}", name=scene.near.companion_of.name))
            return False
        if scene.render.engine == compositing.ENGINE and compositing.find_companion(scene) is None:
            cls.poll_message_set("NeAR draws this scene already")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        with place.report_errors(self):
            if compositing.find_companion(context.scene) is not None:
                compositing.remove(context.scene)
                self.report({"INFO"}, say("Neural assets are no longer drawn in this render"))
            else:
                compositing.build(context.scene)
                self.report({"INFO"}, say("NeAR draws the neural assets in this render"))
            return {"FINISHED"}
        return {"CANCELLED"}


CLASSES = (NEAR_OT_build_compositing,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
