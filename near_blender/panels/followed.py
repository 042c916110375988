"""What is set for Cycles, which draws what is ordinary, or for every engine, and holds for NeAR, too: where Cycles has
it, with Blender's own names, while NeAR is the engine. What a version of Blender does not have is left out."""

from __future__ import annotations

from typing import Any

import bpy

from .engine import ClosedProperties, EngineProperties, split

_MOVES = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME", "CAMERA"}
_DEFORMS = _MOVES - {"CAMERA"}


class _Followed(ClosedProperties):
    """Only there where Cycles is."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and hasattr(context.scene, "cycles")


class _OfLight(ClosedProperties):
    bl_context = "data"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and context.light is not None


class _OfWorld(_Followed):
    bl_context = "world"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and context.world is not None


class NEAR_RENDER_PT_sampling(_Followed):
    bl_label = "Sampling"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = split(self.layout), context.scene
        cycles: Any = scene.cycles
        seed = layout.row(align=True)
        seed.prop(cycles, "seed")
        seed.prop(cycles, "use_animated_seed", text="", icon="TIME")
        _show(layout, cycles, "use_light_tree")
        _show(layout, cycles, "light_sampling_threshold", counts=not cycles.use_light_tree)


class NEAR_RENDER_PT_light_paths(_Followed):
    bl_label = "Light Paths"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = split(self.layout), context.scene
        cycles: Any = scene.cycles
        _show(layout, cycles, "max_bounces", "diffuse_bounces", "glossy_bounces", "transmission_bounces",
              "volume_bounces", "transparent_max_bounces")
        _show(layout, cycles, "sample_clamp_direct", "sample_clamp_indirect")
        _show(layout, cycles, "blur_glossy", "caustics_reflective", "caustics_refractive")


class NEAR_RENDER_PT_volumes(_Followed):
    bl_label = "Volumes"

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = split(self.layout), context.scene
        cycles: Any = scene.cycles
        _show(layout, cycles, "volume_biased")
        _show(layout, cycles, "volume_step_rate", "volume_max_steps", counts=_takes_steps(context))


class NEAR_RENDER_PT_subdivision(_Followed):
    bl_label = "Subdivision"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        scene: Any = context.scene
        return super().poll(context) and (bpy.app.version >= (5, 0, 0) or scene.cycles.feature_set == "EXPERIMENTAL")

    def draw(self, context: bpy.types.Context) -> None:
        scene: Any = context.scene
        _show(split(self.layout), scene.cycles, "dicing_rate", "max_subdivisions")


class NEAR_RENDER_PT_curves(_Followed):
    bl_label = "Curves"

    def draw(self, context: bpy.types.Context) -> None:
        scene: Any = context.scene
        _show(split(self.layout), scene.cycles_curves, "shape", "subdivisions")


class NEAR_DATA_PT_beam_shape(EngineProperties):
    """Of an area; that of a spot is Blender's own."""

    bl_label = "Beam Shape"
    bl_context = "data"
    if hasattr(bpy.types, "DATA_PT_EEVEE_light"):  # else it stands by itself
        bl_parent_id = "DATA_PT_EEVEE_light"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and getattr(context.light, "type", "") == "AREA"

    def draw(self, context: bpy.types.Context) -> None:
        _show(split(self.layout), context.light, "spread")


class NEAR_DATA_PT_light_settings(_OfLight):
    bl_label = "Settings"

    def draw(self, context: bpy.types.Context) -> None:
        layout, light = split(self.layout), context.light
        own = getattr(light, "cycles", None)
        is_portal = own is not None and light.type == "AREA" and own.is_portal
        _show(layout, light, "use_shadow", counts=not is_portal)
        if own is not None:
            _show(layout, own, "max_bounces", "use_multiple_importance_sampling", counts=not is_portal)
            if light.type == "AREA":
                layout.prop(own, "is_portal", text="Portal")


class NEAR_DATA_PT_light_nodes(_OfLight):
    bl_label = "Nodes"

    def draw(self, context: bpy.types.Context) -> None:
        layout, light = split(self.layout), context.light
        switch: Any = light.bl_rna.properties["use_nodes"]
        is_always = getattr(switch, "is_deprecated", False)  # from 5.2
        if not is_always:
            layout.prop(light, "use_nodes", icon="NODETREE", toggle=True)
        tree = light.node_tree if is_always or light.use_nodes else None
        output = None if tree is None else tree.get_output_node("CYCLES")
        if output is not None:
            layout.template_node_view(tree, output, output.inputs["Surface"])


class NEAR_OBJECT_PT_motion_blur(_Followed):
    bl_label = "Motion Blur"
    bl_context = "object"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and getattr(context.object, "type", "") in _MOVES

    def draw_header(self, context: bpy.types.Context) -> None:
        ob: Any = context.object
        self.layout.prop(ob.cycles, "use_motion_blur", text="")

    def draw(self, context: bpy.types.Context) -> None:
        layout, ob, scene = split(self.layout), context.object, context.scene
        own: Any = ob.cycles
        layout.active = scene.render.use_motion_blur and own.use_motion_blur
        layout.prop(own, "motion_steps", text="Steps")
        if ob.type in _DEFORMS:
            layout.prop(own, "use_deform_motion", text="Deformation")


class NEAR_MATERIAL_PT_settings(ClosedProperties):
    bl_label = "Settings"
    bl_context = "material"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and context.material is not None and not context.material.grease_pencil

    def draw(self, context: bpy.types.Context) -> None:
        layout, material = split(self.layout), context.material
        _show(layout, material, "pass_index", "use_transparent_shadow")
        own = getattr(material, "cycles", None)
        if own is not None:
            _show(layout, own, "emission_sampling", "use_bump_map_correction")
            _show(layout, own, "volume_sampling", "volume_interpolation", "homogeneous_volume")
            _show(layout, own, "volume_step_rate", counts=_takes_steps(context, own))


class NEAR_WORLD_PT_settings(_OfWorld):
    bl_label = "Settings"

    def draw(self, context: bpy.types.Context) -> None:
        layout, world = split(self.layout), context.world
        own: Any = world.cycles
        _show(layout, own, "sampling_method")
        _show(layout, own, "sample_map_resolution", counts=own.sampling_method == "MANUAL")
        _show(layout, own, "max_bounces", counts=own.sampling_method != "NONE")
        _show(layout, own, "volume_sampling", "volume_interpolation", "homogeneous_volume")
        _show(layout, own, "volume_step_size", counts=_takes_steps(context, own))


class NEAR_WORLD_PT_mist(_OfWorld):
    bl_label = "Mist Pass"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and any(layer.use_pass_mist for layer in context.scene.view_layers)

    def draw(self, context: bpy.types.Context) -> None:
        _show(split(self.layout), context.world.mist_settings, "start", "depth", "falloff")


class NEAR_WORLD_PT_visibility(_OfWorld):
    bl_label = "Ray Visibility"

    def draw(self, context: bpy.types.Context) -> None:
        world: Any = context.world
        _show(split(self.layout), world.cycles_visibility, "camera", "diffuse", "glossy", "transmission", "scatter")


def _takes_steps(context: bpy.types.Context, own: Any = None) -> bool:
    """Whether Cycles goes through volumes in steps; through those of a material or World with Cycles' settings own."""
    return getattr(context.scene.cycles, "volume_biased", True) and not getattr(own, "homogeneous_volume", False)


def _show(layout: bpy.types.UILayout, owner: Any, *names: str, counts: bool = True) -> None:
    """A group of properties, those of them that this Blender has; grey where they do not count."""
    column = layout.column(align=True)
    column.active = counts
    for name in names:
        if hasattr(owner, name):
            column.prop(owner, name)


CLASSES = (NEAR_RENDER_PT_sampling, NEAR_RENDER_PT_light_paths, NEAR_RENDER_PT_volumes, NEAR_RENDER_PT_subdivision,
           NEAR_RENDER_PT_curves, NEAR_DATA_PT_beam_shape, NEAR_DATA_PT_light_settings, NEAR_DATA_PT_light_nodes,
           NEAR_OBJECT_PT_motion_blur, NEAR_MATERIAL_PT_settings, NEAR_WORLD_PT_settings, NEAR_WORLD_PT_mist,
           NEAR_WORLD_PT_visibility)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
