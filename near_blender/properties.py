"""What NeAR stores in a .blend: one group per kind of datablock, always named `near`."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from .asset import looks, payload, photo_options

_OVERRIDE: Any = {"LIBRARY_OVERRIDABLE"}
_KEY = "What photos know it by that are taken by it, or show it"


class NEAR_PG_scene(bpy.types.PropertyGroup):
    quality: EnumProperty(
        name="Quality", override=_OVERRIDE, default="FINAL",
        description="How much work a final render does per frame",
        items=[("DRAFT", "Draft",
                "Without fine detail, with fewer highlights and coarser shadows, for a quick look", 0),
               ("FINAL", "Full", "Everything the model can do", 1)])
    shading: EnumProperty(
        name="Shading", override=_OVERRIDE, default="AUTO",
        description="What computes the light an asset reflects",
        items=[("AUTO", "Automatic", "The trained model where there is one, otherwise light transport", 0),
               ("TRANSPORT", "Light Transport", "Traced on the asset's own grid, without a network", 1),
               ("SPLIT_SUM", "Split-Sum", "The common approximation without shadows, for comparison", 2)])
    ordinary: EnumProperty(
        name="Ordinary Objects", override=_OVERRIDE, default="CYCLES",
        description="What draws everything that is no neural asset, in the same picture",
        items=[("CYCLES", "Cycles", "Cycles draws it in a second Blender; light goes both ways", 0),
               ("NONE", "Not Drawn", "Neural assets alone", 1),
               ("LIGHT", "Light Only", "Not drawn, but the neural assets are lit and shaded by it", 2)])
    samples: IntProperty(
        name="Samples", override=_OVERRIDE, default=16, min=1, max=16384,
        description="Samples per pixel for ordinary objects; until it is changed, what was set for Cycles counts")
    denoise: BoolProperty(
        name="Denoise", override=_OVERRIDE, default=True,
        description="Take the noise of ordinary objects away with OpenImageDenoise; until it is changed, what was set "
                    "for Cycles counts")
    viewport_scale: IntProperty(
        name="Viewport Draft", override=_OVERRIDE, default=50, min=10, max=100, subtype="PERCENTAGE",
        description="Largest size, of the viewport's, that Rendered mode draws at while something changes; "
                    "the full size follows")
    viewport_rate: IntProperty(
        name="Viewport Rate", override=_OVERRIDE, default=12, min=1, soft_max=30, max=60,
        description="Pictures a second that Rendered mode keeps to while something changes: they become coarser "
                    "first, then smaller")
    companion_of: PointerProperty(
        type=bpy.types.Scene, name="Companion of", override=_OVERRIDE,
        description="The scene for whose render this one draws the neural assets")
    is_companion: BoolProperty(
        name="Companion", override=_OVERRIDE, options={"HIDDEN"},
        description="It draws, or drew, the neural assets for the render of another scene")
    made_nodes: BoolProperty(
        name="Made Nodes", override=_OVERRIDE, description="The nodes of the other scene came with this one")
    turned_on: BoolProperty(
        name="Turned Compositing on", override=_OVERRIDE,
        description="The compositing of the other scene was turned on with this one")


class NEAR_PG_object(bpy.types.PropertyGroup):
    asset: PointerProperty(
        type=bpy.types.Mesh, name="Asset", override=_OVERRIDE,
        description="The neural asset this object stands for; duplicates share it",
        poll=lambda self, mesh: payload.is_payload(mesh))
    look: PointerProperty(type=looks.NEAR_PG_look, name="Look", override=_OVERRIDE,
                          description="What is changed of the asset's material and how it is shown")
    origin: PointerProperty(type=photo_options.NEAR_PG_origin, name="Origin", override=_OVERRIDE,
                            description="The photo that the asset was made from, and how")
    is_composited: BoolProperty(
        name="Composited", override=_OVERRIDE,
        description="Hidden from the camera of other engines, since NeAR draws it for their compositing")
    key: StringProperty(name="Key", override=_OVERRIDE, description=_KEY, options={"HIDDEN"})


class NEAR_PG_image(bpy.types.PropertyGroup):
    key: StringProperty(name="Key", override=_OVERRIDE, description=_KEY, options={"HIDDEN"})


class NEAR_PG_world(bpy.types.PropertyGroup):
    resolution: EnumProperty(
        name="Light Resolution", override=_OVERRIDE, default="1024",
        description="Width of the light map made from a World that is more than one environment texture",
        items=[("512", "512 px", "Soft light only", 0), ("1024", "1024 px", "Sharp enough for most Worlds", 1),
               ("2048", "2048 px", "Small bright lights and mirrors", 2)])


class NEAR_PG_view_layer(bpy.types.PropertyGroup):
    use_pass_base_color: BoolProperty(
        name="Base Color", override=_OVERRIDE, description="Colour of the surface without any light")
    use_pass_roughness: BoolProperty(
        name="Roughness", override=_OVERRIDE, description="Roughness of the surface, 0 is a mirror")
    use_pass_metallic: BoolProperty(
        name="Metallic", override=_OVERRIDE, description="Metalness of the surface")
    use_pass_shadow: BoolProperty(
        name="Shadow", override=_OVERRIDE, description="How much of the light gets past other surfaces, 1 is lit")
    use_pass_confidence: BoolProperty(
        name="Confidence", override=_OVERRIDE, description="1 where a photo or mesh showed the surface, 0 is a guess")
    turned_on_depth: BoolProperty(
        name="Turned Depth on", override=_OVERRIDE,
        description="The pass of the layer that this one copies was turned on with it")


GROUPS: dict[Any, Any] = {bpy.types.Scene: NEAR_PG_scene, bpy.types.Object: NEAR_PG_object,
                          bpy.types.Image: NEAR_PG_image, bpy.types.World: NEAR_PG_world,
                          bpy.types.ViewLayer: NEAR_PG_view_layer}


def register() -> None:
    for owner, group in GROUPS.items():
        bpy.utils.register_class(group)
        owner.near = PointerProperty(type=group, name="NeAR", override=_OVERRIDE)  # type: ignore[func-returns-value]


def unregister() -> None:
    for owner, group in reversed(GROUPS.items()):
        del owner.near
        bpy.utils.unregister_class(group)
