"""What Properties editors and the 3D View's sidebar show of NeAR."""

from __future__ import annotations

from typing import Any

import bpy

from . import compositing, following, ordinary, payload, photo_options, turntable
from ._core import asset as assets
from ._core import errors
from ._core import shot as shots
from .engine import NearRenderEngine
from .operators import jobs, orbit, origin, photos, presets
from .translations import say, translate

ENGINE = NearRenderEngine.bl_idname


def _near(owner: Any) -> Any:
    """The property group of a datablock; the stubs do not know it."""
    return owner.near


class _Properties(bpy.types.Panel):
    """A panel of a Properties editor's tab, shown while NeAR is the engine; never registered itself."""

    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    COMPAT_ENGINES = {ENGINE}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.engine in cls.COMPAT_ENGINES


class NEAR_RENDER_PT_quality(_Properties):
    bl_label = "NeAR"
    bl_context = "render"

    def draw(self, context: bpy.types.Context) -> None:
        layout, near = self.layout, _near(context.scene)
        layout.use_property_split = True
        layout.use_property_decorate = False
        row, chosen = layout.row(align=True), presets.find_preset(context.scene)
        for key in presets.PRESETS:
            row.operator("near.apply_preset", text=key.title(), depress=key == chosen).preset = key
        layout.prop(near, "quality")
        layout.prop(near, "shading")
        viewport = layout.column(align=True)  # a narrow editor would cut both names to the same
        viewport.prop(near, "viewport_scale", text="Viewport")
        viewport.prop(near, "viewport_rate", text="Rate")


class NEAR_RENDER_PT_ordinary(_Properties):
    bl_label = "Ordinary Objects"
    bl_context = "render"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        near: Any = _near(scene)
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(near, "ordinary", text="Drawn by")
        surfaces, lights = ordinary.count(context.view_layer)
        if near.ordinary == "CYCLES":
            options, how = ordinary.read_options(scene), layout.column()
            how.prop(near, "samples")
            how.prop(near, "denoise")
            if options.samples != near.samples:
                layout.label(text=say("As set for Cycles: {count} samples", count=options.samples), icon="INFO")
            if options.denoise != near.denoise:
                layout.label(text="As set for Cycles: denoised" if options.denoise else
                             "As set for Cycles: not denoised", icon="INFO")
        elif surfaces:
            layout.label(text=say("Ordinary objects that are not drawn: {count}", count=surfaces), icon="INFO")
        if lights:
            layout.label(text=say("Lights: {count}", count=lights), icon="LIGHT")


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
            layout.use_property_split = True
            layout.use_property_decorate = False
            layout.prop(companion.near, "quality")
            layout.prop(companion.near, "shading")


class NEAR_RENDER_PT_film(_Properties):
    bl_label = "Film"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        self.layout.prop(context.scene.render, "film_transparent", text="Transparent")


class NEAR_RENDER_PT_motion_blur(_Properties):
    bl_label = "Motion Blur"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header(self, context: bpy.types.Context) -> None:
        self.layout.prop(context.scene.render, "use_motion_blur", text="")

    def draw(self, context: bpy.types.Context) -> None:
        layout, render = self.layout, context.scene.render
        layout.use_property_split = True
        layout.active = render.use_motion_blur
        if hasattr(render, "motion_blur_position"):
            layout.prop(render, "motion_blur_position", text="Position")
        layout.prop(render, "motion_blur_shutter")
        layout.template_curve_mapping(render, "motion_blur_shutter_curve")


class NEAR_RENDER_PT_performance(_Properties):
    bl_label = "Performance"
    bl_context = "render"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, render = self.layout, context.scene.render
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(render, "threads_mode")
        threads = layout.column()
        threads.enabled = render.threads_mode == "FIXED"
        threads.prop(render, "threads")


class NEAR_VIEWLAYER_PT_passes(_Properties):
    bl_label = "Passes"
    bl_context = "view_layer"

    def draw(self, context: bpy.types.Context) -> None:
        layout, view_layer = self.layout, context.view_layer
        layout.use_property_split = True
        layout.use_property_decorate = False
        data = layout.column(heading="Data")
        data.prop(view_layer, "use_pass_z", text="Depth")
        data.prop(view_layer, "use_pass_normal", text="Normal")
        vector = data.row()
        vector.active = not context.scene.render.use_motion_blur
        vector.prop(view_layer, "use_pass_vector", text="Vector")
        data.prop(_near(view_layer), "use_pass_confidence")
        for name in ("object", "material"):
            data.prop(view_layer, f"use_pass_{name}_index")
        surface = layout.column(heading="Surface")
        for name in ("base_color", "roughness", "metallic"):
            surface.prop(_near(view_layer), f"use_pass_{name}")
        light = layout.column(heading="Light")
        light.prop(view_layer, "use_pass_emit", text="Emission")
        light.prop(_near(view_layer), "use_pass_shadow")
        matte = layout.column(heading="Cryptomatte")
        matte.prop(view_layer, "use_pass_cryptomatte_object", text="Object")
        levels = matte.column()
        levels.active = view_layer.use_pass_cryptomatte_object
        levels.prop(view_layer, "pass_cryptomatte_depth", text="Levels")


class NEAR_WORLD_PT_light(_Properties):
    bl_label = "NeAR"
    bl_context = "world"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and context.world is not None

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        self.layout.prop(_near(context.world), "resolution")


class NEAR_OBJECT_PT_visibility(_Properties):
    bl_label = "Ray Visibility"
    bl_context = "object"
    bl_parent_id = "OBJECT_PT_visibility"

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = self.layout, context.object
        layout.use_property_split = True
        rays = layout.column()
        for name in ("camera", "diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
            rays.prop(ob, f"visible_{name}", text=name.replace("_", " ").title(), toggle=False)
        layout.column(heading="Film").prop(ob, "is_shadow_catcher", toggle=False)


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


class _Sidebar(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "NeAR"


class NEAR_VIEW3D_PT_create(_Sidebar):
    bl_label = "Create"

    def draw(self, context: bpy.types.Context) -> None:
        layout, creation = self.layout, jobs.get_current()
        if creation is not None:
            draw_creation(layout, creation)
            return
        layout.operator_context = "INVOKE_DEFAULT"
        column = layout.column(align=True)
        column.operator("near.create_asset_from_image", text="From Image...", icon="IMAGE_DATA")
        column.operator("near.create_asset_from_clipboard", text="From Clipboard", icon="PASTEDOWN")
        column.operator("near.create_asset_from_photos", text="From Photos...", icon="IMAGE_REFERENCE")
        column.operator("near.create_assets_from_folder", text="From Folder...", icon="FILE_FOLDER")
        column.operator_menu_enum("near.create_asset_from_mesh", "detail", text="From Mesh", icon="MESH_DATA")
        column = layout.column(align=True)
        column.operator("near.import_asset", text="Import...", icon="IMPORT")
        column.operator("near.add_sample", text="Sample Asset", icon="MONKEY")


class NEAR_VIEW3D_PT_asset(_Sidebar):
    bl_label = "Neural Asset"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and payload.find_payload(context.object) is not None

    def draw(self, context: bpy.types.Context) -> None:
        draw_asset(self.layout, context)
        row = self.layout.row(align=True)
        row.operator("near.export_asset", text="Export...", icon="EXPORT")
        row.operator("near.mark_asset", text="Mark as Asset", icon="ASSET_MANAGER")
        if context.engine != ENGINE:
            companion = compositing.find_companion(context.scene)
            if companion is None:
                self.layout.prop_enum(context.scene.render, "engine", ENGINE, text="Render with NeAR",
                                      icon="RENDER_STILL")
            draw_compositing(self.layout, companion)


def draw_compositing(layout: bpy.types.UILayout, companion: bpy.types.Scene | None) -> None:
    """The button that has NeAR draw the assets in another engine's render, pressed where it does."""
    layout.operator("near.build_compositing", icon="NODE_COMPOSITING", depress=companion is not None)


def draw_creation(layout: bpy.types.UILayout, creation: jobs.Creation) -> None:
    """The creation under way: name, progress, the first pictures, Stop."""
    layout.label(text=creation.name, icon="TIME", translate=False)
    layout.progress(factor=creation.job.fraction, text=creation.status)
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
        _draw_warning(layout, translate(error.what), translate(error.fix))
        return
    if asset is None:
        _draw_warning(layout, "Its asset is not in this file", "Find the library or create it again")
        return
    if ob.preview is not None and ob.preview.is_image_custom:
        layout.template_icon(ob.preview.icon_id, scale=6)
    confidence = asset.material[:, assets.VoxelMaterial.CONFIDENCE].astype("f4").mean()
    facts = {"Voxels": f"{len(asset.coords):,}", "Model": asset.model or say("none"),
             "Source": asset.source or say("unknown"),
             "Seen": say("{share:.0%} of it", share=confidence), "Trusted": _describe_trust(asset),
             "Size": _length(context, asset.extent)}
    split = layout.split(factor=0.35)
    names, values = split.column(align=True), split.column(align=True)
    for name, value in facts.items():
        names.label(text=name)
        values.label(text=value, translate=False)
    if asset.trusted is not None and 0 < asset.trusted.width < 360:
        layout.operator("near.limit_camera", icon="CON_ROTLIMIT",
                        depress=orbit.is_around(context.scene.camera, ob))
    problem = following.find_problem(ob.evaluated_get(context.view_layer.depsgraph))
    for part in problem.values.values():
        _draw_warning(layout, "Not drawn as its mesh looks:", translate(part))
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
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    if options.photos:
        photo_options.draw_options(column, options, ("matting", *photo_options.SHAPE, "refine"))
    else:
        photos.draw_source(column, options)
        column.prop(options, "mask")
        column.operator("near.correct_matte", icon="BRUSH_DATA", text="Correct Matte (Drawn On)..." if options.hints
                        else "Correct Matte...")
        photo_options.draw_options(column, options, ("matting", *photo_options.CAMERA, *photo_options.SHAPE))
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


def _length(context: bpy.types.Context, metres: float) -> str:
    """A length as the scene's units show it."""
    units = context.scene.unit_settings
    return bpy.utils.units.to_string(units.system, "LENGTH", metres * units.scale_length, precision=3)


def _draw_warning(layout: bpy.types.UILayout, what: str, fix: str) -> None:
    box = layout.box().column(align=True)
    box.label(text=what, icon="ERROR")
    box.label(text=fix, icon="BLANK1")


CLASSES = (NEAR_RENDER_PT_quality, NEAR_RENDER_PT_ordinary, NEAR_RENDER_PT_compositing, NEAR_RENDER_PT_film,
           NEAR_RENDER_PT_motion_blur, NEAR_RENDER_PT_performance, NEAR_VIEWLAYER_PT_passes,
           NEAR_WORLD_PT_light, NEAR_OBJECT_PT_visibility, NEAR_DATA_PT_asset, NEAR_VIEW3D_PT_create,
           NEAR_VIEW3D_PT_asset)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

# stock panels that other engines claim for themselves but that suit NeAR as they are
_BORROWED = {"DATA_PT_EEVEE_light", "DATA_PT_EEVEE_light_shadow", "DATA_PT_camera_dof",
             "DATA_PT_camera_dof_aperture", "EEVEE_MATERIAL_PT_context_material",
             "EEVEE_MATERIAL_PT_surface", "EEVEE_WORLD_PT_surface", "MATERIAL_PT_preview",
             "RENDER_PT_output_pixel_density"}
_REPLACED = {"DATA_PT_light"}  # by a borrowed one that shows more
# what every engine shows but NeAR does not do
_LEFT_OUT = ("freestyle", "simplify", "gpencil", "grease_pencil", "lightprobe")


def stock_panels() -> list[Any]:
    """Blender's panels that are shown for NeAR: those of every engine, marked BLENDER_RENDER, and a few more."""
    panels: list[Any] = [panel for panel in bpy.types.Panel.__subclasses__() if hasattr(panel, "COMPAT_ENGINES")]
    return [panel for panel in panels if panel.__name__ in _BORROWED or panel.__name__ not in _REPLACED
            and "BLENDER_RENDER" in panel.COMPAT_ENGINES and not any(word in panel.__name__ for word in _LEFT_OUT)]


def register() -> None:
    _register()
    for panel in stock_panels():
        panel.COMPAT_ENGINES.add(ENGINE)


def unregister() -> None:
    for panel in stock_panels():
        panel.COMPAT_ENGINES.discard(ENGINE)
    _unregister()
