"""What of a scene is ordinary, that is no neural asset, and how Cycles is to draw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..scene import sync, world
from ..shaders import materials, node_trees
from . import exposure

SURFACES = {"MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME"}  # what Cycles draws

CLEAR = ("BSDF_TRANSPARENT", "BSDF_RAY_PORTAL", "BSDF_HAIR", "BSDF_HAIR_PRINCIPLED", "VOLUME_PRINCIPLED",
         "VOLUME_SCATTER", "VOLUME_ABSORPTION", "PRINCIPLED_VOLUME", "HOLDOUT")  # nodes that Depth may look past
_WITHOUT_ALPHA = (8, 16, 24, 48, 96)  # bits of a pixel that has none


@dataclass(frozen=True)
class CyclesOptions:
    """How Cycles draws. samples: per pixel. denoise: by OpenImageDenoise, Fast."""

    samples: int
    denoise: bool


def read_options(frame: Any, layer: Any = None) -> CyclesOptions:
    """What the scene `frame` asks for: NeAR's own choices once they are set, else what the artist set for Cycles; in
    `layer` its own samples. Whether to denoise is taken from Cycles with the samples alone: NeAR's few need it. How
    (passes, prefilter, quality) is the artist's choice for Cycles, too, else Fast."""
    near, cycles = frame.near, getattr(frame, "cycles", None)
    if cycles is None or near.is_property_set("samples") or not cycles.is_property_set("samples"):
        return CyclesOptions(near.samples, near.denoise)
    own = near.is_property_set("denoise") or not cycles.is_property_set("use_denoising")
    return CyclesOptions(_count_samples(cycles, layer), near.denoise if own else cycles.use_denoising)


def _count_samples(cycles: Any, layer: Any) -> int:
    """What Cycles makes of a view layer's own samples."""
    own, how = getattr(layer, "samples", 0), cycles.use_layer_samples
    if not own or how == "IGNORE":
        return cycles.samples
    return own if how == "USE" else min(own, cycles.samples)


def counts(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether Cycles has something to do for this picture: something ordinary, be it the World's volume or what of it
    no map holds, and the choice in the Render panel."""
    frame: Any = depsgraph.scene_eval
    if frame.near.ordinary == "NONE":
        return False
    whole = takes_assets(depsgraph)
    return world.has_volume(depsgraph) or world.depends_on_view(depsgraph) or any(
        each.show_self and is_ordinary(each.object, whole) for each in depsgraph.object_instances)


def glows() -> bool:
    """Whether any material sends light of its own."""
    return any(_shines(material) for material in bpy.data.materials if material.users)


def shines(ob: Any) -> bool:
    """Whether ob, evaluated, is ordinary and a material of it sends light."""
    return is_ordinary(ob) and any(map(_shines, _list_materials(ob)))


def _list_materials(ob: Any) -> set[Any]:
    return {*(slot.material for slot in ob.material_slots), *getattr(ob.data, "materials", ())} - {None}


def _shines(material: Any) -> bool:
    trees = node_trees.list_trees(material.node_tree) if material.node_tree else ()
    return any(_glows(node) for tree in trees for node in tree.nodes)


def _glows(node: Any) -> bool:
    if node.type not in ("EMISSION", "BSDF_PRINCIPLED"):
        return False
    color, strength = (node.inputs[name] for name in materials.list_emission(node))
    return ((strength.is_linked or strength.default_value > 0)
            and (color.is_linked or any(color.default_value[:3])))


def takes_assets(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether Cycles draws assets, too: the view layer gives everything one material."""
    frame: Any = depsgraph.scene_eval
    return depsgraph.view_layer_eval.material_override is not None and frame.near.ordinary == "CYCLES"


def is_ordinary(ob: Any, whole: bool = False) -> bool:
    """Whether ob, evaluated, is a surface or volume that Cycles draws; a mesh without faces is none. whole: as
    takes_assets."""
    if ob.type not in SURFACES or sync.is_asset(ob) and not whole:
        return False
    return ob.type != "MESH" or len(ob.data.polygons) > 0


def has_holdouts(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether something ordinary is a hole in the picture: by itself, its collection, or its material."""
    layer, holes = depsgraph.view_layer_eval, set[Any]()
    for ob in (each.object for each in depsgraph.object_instances if each.object.type in SURFACES):
        if sync.is_asset(ob):
            continue
        if ob.holdout_get(view_layer=layer):
            return True
        holes.update(slot.material for slot in ob.material_slots if slot.material)
    return any(node_trees.uses_type(material.node_tree, "HOLDOUT") for material in holes if material.node_tree)


def find_unclear(depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
    """Corners (N, 8, 3) in the world of what can lie in front of what Cycles' Depth shows: transparent surfaces,
    volumes, hair. None where that can be anywhere: with blur, hair of particles, and in the World's volume."""
    if world.has_volume(depsgraph):
        return None
    frame: Any = depsgraph.scene_eval
    camera = frame.camera
    if exposure.find_middle(frame, depsgraph.view_layer_eval) is not None or camera is not None \
            and getattr(camera.data, "dof", None) is not None and camera.data.dof.use_dof:
        return None
    clear: dict[Any, bool] = {}
    corners = []
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if ob.type not in SURFACES or sync.is_asset(ob):
            continue
        if ob.particle_systems:
            return None
        key = ob.original, ob.data  # instances of geometry nodes have meshes of their own
        if key not in clear:
            clear[key] = ob.type in ("VOLUME", "CURVES") or any(map(_is_clear, _list_materials(ob)))
        if clear[key]:
            matrix = np.array(instance.matrix_world, np.float64)
            corners.append(np.array(ob.bound_box) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.array(corners).reshape(-1, 8, 3)


def _is_clear(material: Any) -> bool:
    tree = material.node_tree
    if tree is None:
        return False
    return any(node_trees.uses_type(tree, kind) for kind in CLEAR) or any(
        _lets_through(node.inputs["Alpha"])
        for each in node_trees.list_trees(tree) for node in each.nodes if node.type == "BSDF_PRINCIPLED")


def _lets_through(alpha: Any) -> bool:
    """Whether an Alpha input can be below 1. Files of other programs link images that have no alpha at all."""
    if not alpha.is_linked:
        return alpha.default_value < 1
    link = alpha.links[0]
    image = link.from_node.image if link.from_node.type == "TEX_IMAGE" else None
    opaque = image is not None and link.from_socket.name == "Alpha" and (
        image.alpha_mode == "NONE" or image.source == "FILE" and image.depth in _WITHOUT_ALPHA)
    return not opaque


def count(view_layer: bpy.types.ViewLayer) -> tuple[int, int]:
    """How many ordinary objects and lamps a final render of view_layer shows."""
    shown = [ob for ob in view_layer.objects if not ob.hide_render]
    surfaces = sum(ob.type in SURFACES and not sync.is_asset(ob) for ob in shown)
    return surfaces, sum(ob.type == "LIGHT" for ob in shown)
