"""What Properties editors show while NeAR is the engine: its own settings, and Blender's that it takes over."""

from __future__ import annotations

from typing import Any

import bpy

from ..engine import ordinary
from ..engine.engine import NearRenderEngine
from ..operators import presets
from ..translations import OWN, say

ENGINE = NearRenderEngine.bl_idname


def _near(owner: Any) -> Any:
    """The property group of a datablock; the stubs do not know it."""
    return owner.near


def split(layout: Any, keyed: bool = True) -> Any:
    """A panel's layout, names on the left and values on the right. keyed: with dots for keyframes."""
    layout.use_property_split = True
    layout.use_property_decorate = keyed
    return layout


class EngineProperties(bpy.types.Panel):
    """A panel of a Properties editor, by default of its Render tab, shown while NeAR is the engine; never registered
    itself."""

    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "render"
    COMPAT_ENGINES = {ENGINE}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.engine in cls.COMPAT_ENGINES


class ClosedProperties(EngineProperties):
    """One that is closed at first."""

    bl_options = {"DEFAULT_CLOSED"}


class NEAR_RENDER_PT_quality(EngineProperties):
    bl_label = "NeAR"

    def draw(self, context: bpy.types.Context) -> None:
        layout, near = split(self.layout, keyed=False), _near(context.scene)
        row, chosen = layout.row(align=True), presets.find_preset(context.scene)
        for key in presets.PRESETS:
            row.operator("near.apply_preset", text=key.title(), depress=key == chosen).preset = key
        layout.prop(near, "quality")
        layout.prop(near, "shading")
        viewport = layout.column(align=True)  # a narrow editor would cut both names to the same
        viewport.prop(near, "viewport_scale", text="Viewport", text_ctxt=OWN)
        viewport.prop(near, "viewport_rate", text="Rate", text_ctxt=OWN)


class NEAR_RENDER_PT_ordinary(EngineProperties):
    bl_label = "Ordinary Objects"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = split(self.layout, keyed=False), context.scene
        near: Any = _near(scene)
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


class NEAR_RENDER_PT_motion_blur(ClosedProperties):
    bl_label = "Motion Blur"

    def draw_header(self, context: bpy.types.Context) -> None:
        self.layout.prop(context.scene.render, "use_motion_blur", text="")

    def draw(self, context: bpy.types.Context) -> None:
        layout, render = split(self.layout), context.scene.render
        layout.active = render.use_motion_blur
        if hasattr(render, "motion_blur_position"):
            layout.prop(render, "motion_blur_position", text="Position")
        layout.prop(render, "motion_blur_shutter")
        layout.template_curve_mapping(render, "motion_blur_shutter_curve")


class NEAR_RENDER_PT_film(ClosedProperties):
    bl_label = "Film"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout, keyed=False)
        layout.prop(context.scene.render, "film_transparent", text="Transparent")
        cycles = getattr(context.scene, "cycles", None)
        if cycles is not None:
            layout.prop(cycles, "film_exposure")
            layout.prop(cycles, "filter_width")


class NEAR_RENDER_PT_performance(ClosedProperties):
    bl_label = "Performance"

    def draw(self, context: bpy.types.Context) -> None:
        layout, render = split(self.layout, keyed=False), context.scene.render
        layout.prop(render, "threads_mode")
        threads = layout.column()
        threads.enabled = render.threads_mode == "FIXED"
        threads.prop(render, "threads")


class NEAR_RENDER_PT_simplify(ClosedProperties):
    bl_label = "Simplify"

    def draw_header(self, context: bpy.types.Context) -> None:
        self.layout.prop(context.scene.render, "use_simplify", text="")

    def draw(self, context: bpy.types.Context) -> None:
        layout, render = split(self.layout), context.scene.render
        layout.active = render.use_simplify
        column = layout.column(heading="Max Subdivision", align=True)
        column.prop(render, "simplify_subdivision", text="Viewport")
        column.prop(render, "simplify_subdivision_render", text="Render")


class NEAR_VIEWLAYER_PT_passes(EngineProperties):
    bl_label = "Passes"
    bl_context = "view_layer"

    def draw(self, context: bpy.types.Context) -> None:
        layout, view_layer = split(self.layout, keyed=False), context.view_layer
        data = layout.column(heading="Data")
        data.prop(view_layer, "use_pass_z", text="Depth")
        data.prop(view_layer, "use_pass_mist", text="Mist")
        data.prop(view_layer, "use_pass_position", text="Position")
        data.prop(view_layer, "use_pass_normal", text="Normal")
        data.prop(view_layer, "use_pass_uv", text="UV")
        vector = data.row()
        vector.active = not (context.scene.render.use_motion_blur and view_layer.use_motion_blur)
        vector.prop(view_layer, "use_pass_vector", text="Vector")
        data.prop(_near(view_layer), "use_pass_confidence")
        for name in ("object", "material"):
            data.prop(view_layer, f"use_pass_{name}_index")
        surface = layout.column(heading="Surface")
        for name in ("base_color", "roughness", "metallic"):
            surface.prop(_near(view_layer), f"use_pass_{name}")
        matte = layout.column(heading="Cryptomatte")
        kinds = {"Object": "use_pass_cryptomatte_object", "Material": "use_pass_cryptomatte_material",
                 "Asset": "use_pass_cryptomatte_asset"}
        for text, switch in kinds.items():
            matte.prop(view_layer, switch, text=text)
        levels = matte.column()
        levels.active = any(getattr(view_layer, switch) for switch in kinds.values())
        levels.prop(view_layer, "pass_cryptomatte_depth", text="Levels")


class NEAR_VIEWLAYER_PT_light(EngineProperties):
    bl_label = "Light"
    bl_context = "view_layer"
    bl_parent_id = "NEAR_VIEWLAYER_PT_passes"

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout, keyed=False)
        view_layer: Any = context.view_layer
        for kind in ("Diffuse", "Glossy", "Transmission"):
            column = layout.column(heading=kind, align=True)
            for part in ("Direct", "Indirect", "Color"):
                column.prop(view_layer, f"use_pass_{kind.lower()}_{part.lower()}", text=part)
        if hasattr(view_layer, "cycles"):
            volume = layout.column(heading="Volume", align=True)
            for part in ("Direct", "Indirect"):
                volume.prop(view_layer.cycles, f"use_pass_volume_{part.lower()}", text=part)
        other = layout.column(heading="Other", align=True)
        other.prop(view_layer, "use_pass_emit", text="Emission")
        other.prop(view_layer, "use_pass_environment", text="Environment")
        other.prop(_near(view_layer), "use_pass_shadow")


class NEAR_VIEWLAYER_PT_aov(ClosedProperties):
    bl_label = "Shader AOV"
    bl_context = "view_layer"
    bl_parent_id = "NEAR_VIEWLAYER_PT_passes"

    def draw(self, context: bpy.types.Context) -> None:
        view_layer: Any = context.view_layer
        row = self.layout.row()
        row.template_list("VIEWLAYER_UL_aov", "aovs", view_layer, "aovs", view_layer, "active_aov_index", rows=3)
        buttons = row.column(align=True)
        buttons.operator("scene.view_layer_add_aov", icon="ADD", text="")
        buttons.operator("scene.view_layer_remove_aov", icon="REMOVE", text="")
        if view_layer.active_aov and not view_layer.active_aov.is_valid:
            self.layout.label(text="Conflicts with another render pass with the same name", icon="ERROR")


class NEAR_VIEWLAYER_PT_light_groups(ClosedProperties):
    bl_label = "Light Groups"
    bl_context = "view_layer"
    bl_parent_id = "NEAR_VIEWLAYER_PT_passes"

    def draw(self, context: bpy.types.Context) -> None:
        view_layer: Any = context.view_layer
        row = self.layout.row()
        row.template_list("UI_UL_list", "lightgroups", view_layer, "lightgroups", view_layer, "active_lightgroup_index",
                          rows=3)
        buttons = row.column(align=True)
        buttons.operator("scene.view_layer_add_lightgroup", icon="ADD", text="")
        buttons.operator("scene.view_layer_remove_lightgroup", icon="REMOVE", text="")
        buttons.menu("VIEWLAYER_MT_lightgroup_sync", icon="DOWNARROW_HLT", text="")


def _draw_light_group(layout: Any, owner: Any, view_layer: Any) -> None:
    """Chooses the light group of an object or a World, or makes it."""
    row = layout.row(align=True)
    row.prop_search(owner, "lightgroup", view_layer, "lightgroups", text="Light Group", results_are_suggestions=True)
    add = row.column(align=True)
    add.enabled = bool(owner.lightgroup) and owner.lightgroup not in view_layer.lightgroups
    add.operator("scene.view_layer_add_lightgroup", icon="ADD", text="").name = owner.lightgroup


class NEAR_VIEWLAYER_PT_override(ClosedProperties):
    bl_label = "Override"
    bl_context = "view_layer"

    def draw(self, context: bpy.types.Context) -> None:
        layout, view_layer = split(self.layout, keyed=False), context.view_layer
        layout.prop(view_layer, "material_override")
        if hasattr(view_layer, "world_override"):  # not before 4.3
            layout.prop(view_layer, "world_override")


class NEAR_WORLD_PT_light(ClosedProperties):
    bl_label = "NeAR"
    bl_context = "world"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and context.world is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = split(self.layout, keyed=False)
        layout.prop(_near(context.world), "resolution")
        _draw_light_group(layout, context.world, context.view_layer)


class NEAR_OBJECT_PT_visibility(EngineProperties):
    bl_label = "Ray Visibility"
    bl_context = "object"
    bl_parent_id = "OBJECT_PT_visibility"

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob = split(self.layout), context.object
        rays = layout.column()
        for name in ("camera", "diffuse", "glossy", "transmission", "volume_scatter", "shadow"):
            rays.prop(ob, f"visible_{name}", text=name.replace("_", " ").title(), toggle=False)
        layout.column(heading="Film").prop(ob, "is_shadow_catcher", toggle=False)


class NEAR_OBJECT_PT_light_group(ClosedProperties):
    bl_label = "Light Group"
    bl_context = "object"

    def draw(self, context: bpy.types.Context) -> None:
        _draw_light_group(split(self.layout, keyed=False), context.object, context.view_layer)


CLASSES = (NEAR_RENDER_PT_quality, NEAR_RENDER_PT_ordinary, NEAR_RENDER_PT_motion_blur, NEAR_RENDER_PT_film,
           NEAR_RENDER_PT_performance, NEAR_RENDER_PT_simplify, NEAR_VIEWLAYER_PT_passes, NEAR_VIEWLAYER_PT_light,
           NEAR_VIEWLAYER_PT_aov, NEAR_VIEWLAYER_PT_light_groups, NEAR_VIEWLAYER_PT_override, NEAR_WORLD_PT_light,
           NEAR_OBJECT_PT_visibility, NEAR_OBJECT_PT_light_group)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]

# stock panels that other engines claim for themselves but that suit NeAR as they are
_BORROWED = {"DATA_PT_EEVEE_light", "DATA_PT_camera_dof", "DATA_PT_camera_dof_aperture",
             "EEVEE_MATERIAL_PT_context_material", "EEVEE_MATERIAL_PT_displacement", "EEVEE_MATERIAL_PT_surface",
             "EEVEE_MATERIAL_PT_volume", "EEVEE_WORLD_PT_surface", "EEVEE_WORLD_PT_volume",
             "MATERIAL_PT_preview", "RENDER_PT_output_pixel_density", "VIEWLAYER_PT_filter"}
_REPLACED = {"DATA_PT_light", "NODE_DATA_PT_light"}  # by borrowed ones that show more; a node editor's has the same set
# what every engine shows but NeAR does not do, and what would come before its own panels
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
