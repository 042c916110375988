"""Below the panels of an asset: where its look is changed, and how it gets out again."""

from __future__ import annotations

from typing import Any

import bpy

from ..asset import looks
from ..translations import OWN
from .asset import Sidebar
from .engine import split


class NEAR_DATA_PT_look(bpy.types.Panel):
    bl_label = "Look"
    bl_translation_context = OWN
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "data"
    bl_parent_id = "NEAR_DATA_PT_asset"

    def draw(self, context: bpy.types.Context) -> None:
        draw_look(self.layout, context.object)


class NEAR_VIEW3D_PT_look(Sidebar):
    bl_label = "Look"
    bl_translation_context = OWN
    bl_parent_id = "NEAR_VIEW3D_PT_asset"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        draw_look(self.layout, context.object)


class NEAR_VIEW3D_PT_bake(Sidebar):
    bl_label = "Output"
    bl_parent_id = "NEAR_VIEW3D_PT_asset"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.operator("near.bake_mesh", icon="MESH_DATA")
        column.operator_context = "INVOKE_DEFAULT"
        column.operator("near.bake_splats", text="Bake Splats...", icon="POINTCLOUD_DATA")
        column.operator("near.render_turntable", text="Render Turntable...", icon="ORIENTATION_GIMBAL")
        column.operator("near.render_light_sweep", text="Render Light Sweep...", icon="LIGHT_HEMI")


def draw_look(layout: bpy.types.UILayout, ob: Any) -> None:
    """How the artist changes an asset's material and how it is shown."""
    column = split(layout).column()
    for name in looks.NAMES:
        column.prop(ob.near.look, name, slider=name in ("hue", "roughness", "metallic"))


CLASSES = (NEAR_DATA_PT_look, NEAR_VIEW3D_PT_look, NEAR_VIEW3D_PT_bake)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
