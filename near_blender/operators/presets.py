"""Draft, Preview, Final: how much work the scene's pictures take, in one click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
from bpy.props import EnumProperty

from ..engine import ordinary
from ..translations import translate


@dataclass(frozen=True)
class ScenePreset:
    """What a preset sets. quality: of the assets. samples: per pixel, of what Cycles draws. viewport_scale: percent, of
    Rendered mode while something changes. what: in words."""

    quality: str
    samples: int
    viewport_scale: int
    what: str


PRESETS = {"DRAFT": ScenePreset("DRAFT", 4, 33, "A quick look: assets without fine detail, 4 samples"),
           "PREVIEW": ScenePreset("FINAL", 16, 50, "The assets as they will be, 16 samples"),
           "FINAL": ScenePreset("FINAL", 128, 50, "Everything the model can do, 128 samples")}


class NEAR_OT_apply_preset(bpy.types.Operator):
    bl_idname = "near.apply_preset"
    bl_label = "Apply Preset"
    bl_description = "Set quality and samples of the scene"
    bl_options = {"REGISTER", "UNDO"}

    preset: EnumProperty(name="Preset", description="How much work pictures take", default="PREVIEW",
                         items=[(key, key.title(), each.what) for key, each in PRESETS.items()])

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        return translate(PRESETS[properties.preset].what)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or not context.scene.is_editable:
            cls.poll_message_set("The scene is linked: make a library override to change it")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene: Any = context.scene
        near, chosen = scene.near, PRESETS[self.preset]
        near.quality, near.samples, near.denoise = chosen.quality, chosen.samples, True
        near.viewport_scale = chosen.viewport_scale
        return {"FINISHED"}


def find_preset(scene: Any) -> str:
    """The key of the preset that the scene is set as, "" where it is none."""
    near, drawn = scene.near, ordinary.read_options(scene)
    return next((key for key, each in PRESETS.items() if drawn.denoise and
                 (near.quality, drawn.samples, near.viewport_scale) ==
                 (each.quality, each.samples, each.viewport_scale)), "")


CLASSES = (NEAR_OT_apply_preset,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
