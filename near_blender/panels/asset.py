"""What Properties editors show of an asset, and the 3D View's sidebar of NeAR, whatever the engine."""

from __future__ import annotations

import bpy

from .._core import asset as assets
from .._core import errors
from .._core import shot as shots
from ..asset import following, payload, photo_options, turntable
from ..engine import compositing
from ..operators import jobs, orbit, origin, photos
from ..translations import say, translate
from . import lines, menus
from .engine import ENGINE, split


class NEAR_RENDER_PT_compositing(bpy.types.Panel):
    """In files with neural assets, what their artists see in the Render tab while another engine draws."""

    bl_label = "NeAR"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.engine != ENGINE and any(payload.is_payload(mesh) for mesh in bpy.data.meshes)

    def draw(self, context: bpy.types.Context) -> None:
        layout, companion = self.layout, compositing.find_companion(context.scene)
        draw_compositing(layout, companion)
        if companion is not None:
            split(layout, keyed=False)
            layout.prop(companion.near, "quality")
            layout.prop(companion.near, "shading")


class NEAR_DATA_PT_asset(bpy.types.Panel):
    bl_label = "Neural Asset"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "data"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and payload.find_payload(context.object) is not None

    def draw(self, context: bpy.types.Context) -> None:
        draw_asset(self.layout, context)


class Sidebar(bpy.types.Panel):
    """A panel of the 3D View's sidebar, never registered itself."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "NeAR"


class NEAR_VIEW3D_PT_create(Sidebar):
    bl_label = "Create"

    def draw(self, context: bpy.types.Context) -> None:
        layout, creation = self.layout, jobs.get_current()
        if creation is not None:
            draw_creation(layout, context, creation)
            return
        layout.operator_context = "INVOKE_DEFAULT"
        menus.draw_ways(layout.column(align=True))
        column = layout.column(align=True)
        column.operator("near.import_asset", text="Import...", icon="IMPORT")
        column.operator("near.add_sample", text="Sample Asset", icon="MONKEY")


class NEAR_VIEW3D_PT_asset(Sidebar):
    bl_label = "Neural Asset"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and payload.find_payload(context.object) is not None

    def draw(self, context: bpy.types.Context) -> None:
        draw_asset(self.layout, context)
        column = self.layout.column(align=True)
        column.operator("near.export_asset", text="Export...", icon="EXPORT")
        column.operator("near.mark_asset", text="Mark as Asset", icon="ASSET_MANAGER")
        if context.engine != ENGINE:
            companion = compositing.find_companion(context.scene)
            if companion is None:
                self.layout.prop_enum(context.scene.render, "engine", ENGINE, text="Render with NeAR",
                                      icon="RENDER_STILL")
            draw_compositing(self.layout, companion)


def draw_compositing(layout: bpy.types.UILayout, companion: bpy.types.Scene | None) -> None:
    """The button that has NeAR draw the assets in another engine's render, pressed where it does."""
    layout.operator("near.build_compositing", icon="NODE_COMPOSITING", depress=companion is not None)


def draw_creation(layout: bpy.types.UILayout, context: bpy.types.Context, creation: jobs.Creation) -> None:
    """The creation under way: name, progress, the first pictures, Stop."""
    layout.label(text=creation.name, icon="TIME", translate=False)
    fraction, status = creation.job.fraction, creation.status
    if lines.fits(context, status):
        layout.progress(factor=fraction, text=status, translate=False)
    else:
        column = layout.column(align=True)
        column.progress(factor=fraction)
        lines.draw_sentence(column, context, status, "NONE")
    if creation.icons is not None:
        row = layout.row()
        for icon in creation.icons.values():
            row.template_icon(icon.icon_id, scale=5)
    layout.operator("near.stop", icon="X").what = "CREATION"


def draw_asset(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the active object's asset is, and what is wrong with it."""
    ob = context.object
    try:
        asset = payload.decode_asset(ob)
    except errors.NearError as error:
        _draw_warning(layout, context, error.what, error.fix)
        return
    if asset is None:
        _draw_warning(layout, context, "Its asset is not in this file", "Find the library or create it again")
        return
    if ob.preview is not None and ob.preview.is_image_custom:
        layout.template_icon(ob.preview.icon_id, scale=6)
    confidence = asset.material[:, assets.VoxelMaterial.CONFIDENCE].astype("f4").mean()
    facts = {"Voxels": f"{len(asset.coords):,}", "Model": asset.model or say("none"),
             "Source": asset.source or say("unknown"),
             "Seen": say("{share:.0%} of it", share=confidence), "Trusted": _describe_trust(asset)}
    lines.draw_facts(layout, context, facts)
    if asset.trusted is not None and 0 < asset.trusted.width < 360:
        layout.operator("near.limit_camera", icon="CON_ROTLIMIT",
                        depress=orbit.is_around(context.scene.camera, ob))
    problem = following.find_problem(ob.evaluated_get(context.view_layer.depsgraph))
    for part in problem.values.values():
        _draw_warning(layout, context, "Not drawn as its mesh looks:", part)
    if asset.camera is not None:
        draw_origin(layout, context, asset)


def draw_origin(layout: bpy.types.UILayout, context: bpy.types.Context, asset: assets.NeuralAsset) -> None:
    """The active object's asset from four sides, and what can be corrected of it where its photo is remembered."""
    row = layout.row(align=True)
    for icon in turntable.find_icons(context.object, asset):
        row.template_icon(icon, scale=3.5)
    layout.operator("near.match_camera", icon="CAMERA_DATA")
    options = origin.find_origin(context.object)
    if options is None:
        return
    for number, photo in enumerate(options.photos[:shots.MOST]):  # a file may hold any number
        photos.draw_photo(layout, photo, number)
    column = split(layout.column(), keyed=False)
    if not options.photos:
        photos.draw_source(column, options)
        column.prop(options, "mask")
        column.operator("near.correct_matte", icon="BRUSH_DATA", text="Correct Matte (Drawn On)..." if options.hints
                        else "Correct Matte...")
    body = photo_options.fold_options(column)
    if body is not None:
        photo_options.draw_options(body, options, (
            "matting", *photo_options.SHAPE, "refine") if options.photos else (
            "matting", *photo_options.CAMERA, *photo_options.SHAPE))
    layout.operator_context = "INVOKE_DEFAULT"
    layout.operator("near.remake_asset", icon="FILE_REFRESH")


def _describe_trust(asset: assets.NeuralAsset) -> str:
    """From how far around an asset looks as the photos or the mesh that it was made from."""
    arc = asset.trusted
    if arc is None:
        return say("unknown")
    if arc.width == 360:
        return say("from all around")
    if arc.width == 0:
        return say("from nowhere")
    if abs(arc.middle) <= 10:
        return say("{width:.0f}\u00b0 around the front", width=arc.width)
    return say("{width:.0f}\u00b0 around azimuth {middle:.0f}\u00b0", width=arc.width, middle=arc.middle)


def _draw_warning(layout: bpy.types.UILayout, context: bpy.types.Context, what: str, fix: str) -> None:
    box = layout.box().column(align=True)
    lines.draw_sentence(box, context, translate(what), "ERROR")
    lines.draw_sentence(box, context, translate(fix), "BLANK1")


CLASSES = (NEAR_RENDER_PT_compositing, NEAR_DATA_PT_asset, NEAR_VIEW3D_PT_create, NEAR_VIEW3D_PT_asset)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
