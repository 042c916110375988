"""Where Blender's own menus offer neural assets."""

from __future__ import annotations

import bpy


def draw_ways(layout: bpy.types.UILayout) -> None:
    """What an asset can be made from."""
    layout.operator("near.create_asset_from_image", text="From Image...", icon="IMAGE_DATA")
    layout.operator("near.create_asset_from_clipboard", text="From Clipboard", icon="PASTEDOWN")
    layout.operator("near.create_asset_from_photos", text="From Photos...", icon="IMAGE_REFERENCE")
    layout.operator("near.create_assets_from_folder", text="From Folder...", icon="FILE_FOLDER")
    layout.operator_menu_enum("near.create_asset_from_mesh", "detail", text="From Mesh", icon="MESH_DATA")


class NEAR_MT_add(bpy.types.Menu):
    bl_idname = "NEAR_MT_add"
    bl_label = "Neural Asset"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_context = "INVOKE_DEFAULT"  # Add menus execute at once, ours open a file dialog first
        layout.operator("near.add_sample", text="Sample Asset", icon="MONKEY")
        layout.separator()
        draw_ways(layout)
        layout.separator()
        layout.operator("near.import_asset", text="Import...", icon="IMPORT")


def _draw_add(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.separator()
    self.layout.menu(NEAR_MT_add.bl_idname, icon="POINTCLOUD_DATA")


def _draw_import(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator("near.import_asset", text="Neural Asset (.near)")


def _draw_export(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator("near.export_asset", text="Neural Asset (.near)")
    self.layout.operator("near.bake_splats", text="Neural Asset as Gaussian Splats (.ply)")


_ENTRIES = {"VIEW3D_MT_add": _draw_add, "TOPBAR_MT_file_import": _draw_import, "TOPBAR_MT_file_export": _draw_export}


def register() -> None:
    bpy.utils.register_class(NEAR_MT_add)
    for menu, draw in _ENTRIES.items():
        getattr(bpy.types, menu).append(draw)


def unregister() -> None:
    for menu, draw in _ENTRIES.items():
        getattr(bpy.types, menu).remove(draw)
    bpy.utils.unregister_class(NEAR_MT_add)
