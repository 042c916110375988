"""What of a scene is ordinary, that is no neural asset, and how Cycles is to draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from . import node_trees, sync

SURFACES = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME"}  # what Cycles draws

CLEAR = ("BSDF_TRANSPARENT", "BSDF_RAY_PORTAL", "BSDF_HAIR", "BSDF_HAIR_PRINCIPLED", "VOLUME_PRINCIPLED",
         "VOLUME_SCATTER", "VOLUME_ABSORPTION", "PRINCIPLED_VOLUME", "HOLDOUT")  # nodes that Depth may look past


@dataclass(frozen=True)
class CyclesOptions:
    """How Cycles draws. samples: per pixel. denoise: by OpenImageDenoise, Fast."""

    samples: int
    denoise: bool


def read_options(frame: Any) -> CyclesOptions:
    """What the scene `frame` asks for. Samples are NeAR's own once they are set, else what the artist set for Cycles.
    Whether to denoise is not taken from Cycles: files made for another denoiser say no, and few samples need it."""
    near, cycles = frame.near, getattr(frame, "cycles", None)
    own = near.is_property_set("samples") or cycles is None or not cycles.is_property_set("samples")
    return CyclesOptions(near.samples if own else cycles.samples, near.denoise)


def counts(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether Cycles has something to do for this picture: something ordinary, and the choice in the Render panel."""
    frame: Any = depsgraph.scene_eval
    if frame.near.ordinary == "NONE":
        return False
    return any(instance.show_self and is_ordinary(instance.object) for instance in depsgraph.object_instances)


def is_ordinary(ob: Any) -> bool:
    """Whether ob, evaluated, is a surface or volume that Cycles draws; a mesh without faces is none."""
    if ob.type not in SURFACES or sync.is_asset(ob):
        return False
    return ob.type != "MESH" or len(ob.data.polygons) > 0


def has_holdouts(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether something ordinary is a hole in the picture."""
    return any(ob.is_holdout and ob.type in SURFACES and not sync.is_asset(ob) for ob in depsgraph.objects)


def has_unclear_depth(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether something can lie in front of what Cycles' Depth shows: transparent surfaces, volumes, hair, blur."""
    frame: Any = depsgraph.scene_eval
    camera = frame.camera
    if frame.render.use_motion_blur or camera is not None and getattr(camera.data, "dof", None) is not None \
            and camera.data.dof.use_dof:
        return True
    shown = [ob for ob in depsgraph.objects if ob.type in SURFACES and not sync.is_asset(ob)]
    if any(ob.type in ("VOLUME", "CURVES") or ob.particle_systems for ob in shown):
        return True
    slots = {slot.material for ob in shown for slot in ob.material_slots if slot.material is not None}
    return any(_is_clear(material) for material in slots)


def _is_clear(material: Any) -> bool:
    tree = material.node_tree
    if tree is None:
        return False
    return any(node_trees.uses_type(tree, kind) for kind in CLEAR) or any(
        node.inputs["Alpha"].is_linked or node.inputs["Alpha"].default_value < 1
        for each in node_trees.list_trees(tree) for node in each.nodes if node.type == "BSDF_PRINCIPLED")


def count(view_layer: bpy.types.ViewLayer) -> tuple[int, int]:
    """How many ordinary objects and lamps a final render of view_layer shows."""
    shown = [ob for ob in view_layer.objects if not ob.hide_render]
    surfaces = sum(ob.type in SURFACES and not sync.is_asset(ob) for ob in shown)
    return surfaces, sum(ob.type == "LIGHT" for ob in shown)
