"""A small scene for tests: an asset in front of a camera, in a World, rendered by NeAR into a file and read back."""

import math
from pathlib import Path

import bpy
import numpy as np
import OpenEXR

from near_blender.asset import payload, proxy
from near_blender.cycles import jobs as cycles_jobs
from near_core import asset as assets

HDRI = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world"
# what passes were called before 5.0 -> what they are called
RENAMED = dict(called for _, called in cycles_jobs.PASSES.values() if len(called) == 2)
EXTRA = ("base_color", "roughness", "metallic", "shadow", "confidence")


def make_stage(width: int = 64, height: int = 48) -> bpy.types.Scene:
    """The open file's scene, drawn by NeAR, with a camera on -Y and a grey World."""
    scene = bpy.context.scene
    render = scene.render
    render.engine = "NEAR"
    render.resolution_x, render.resolution_y = width, height
    ob = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(ob)
    scene.camera = ob
    turn_around(ob, 0)
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    return scene


def turn_around(ob: bpy.types.Object, degrees: float, distance: float = 4.0, up: float = 0.5) -> None:
    """Puts a camera on a circle around the origin, at azimuth `degrees`."""
    a = math.radians(degrees)
    ob.location = distance * math.sin(a), -distance * math.cos(a), up
    ob.rotation_euler = math.pi / 2 - math.atan2(up, distance), 0, a


def add_asset(asset: assets.NeuralAsset, name: str = "Asset", location=(0, 0, 0)) -> bpy.types.Object:
    data = assets.to_bytes(asset)
    ob = proxy.build(asset, name)
    payload.attach(ob, data, name)
    ob.location = location
    bpy.context.scene.collection.objects.link(ob)
    return ob


def set_environment(world: bpy.types.World, rotation=(0, 0, 0), strength: float = 1.0, name: str = "forest.exr"):
    """Texture Coordinate -> Mapping -> Environment Texture -> Background; returns those nodes by type."""
    tree = world.node_tree
    tree.nodes.clear()
    kinds = ("TexCoord", "Mapping", "TexEnvironment", "Background", "OutputWorld")
    nodes = {kind: tree.nodes.new(f"ShaderNode{kind}") for kind in kinds}
    nodes["TexEnvironment"].image = bpy.data.images.load(str(HDRI / name), check_existing=True)
    nodes["Mapping"].inputs["Rotation"].default_value = rotation
    nodes["Background"].inputs["Strength"].default_value = strength
    for a, b in zip(kinds, kinds[1:]):
        tree.links.new(nodes[a].outputs[0], nodes[b].inputs[0])
    return nodes


def set_color(world: bpy.types.World, color, strength: float = 1.0) -> None:
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (*color, 1)
    background.inputs["Strength"].default_value = strength


def set_format(scene: bpy.types.Scene, kind: str, depth: str) -> None:
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE" if "MULTILAYER" in kind else "IMAGE"
    image.file_format, image.color_depth = kind, depth


def render(scene: bpy.types.Scene, folder: Path, name: str = "picture", **options) -> dict[str, np.ndarray]:
    """Renders a still; returns its passes (H, W, C) float32 by `layer.pass` or, with one layer, by pass, under
    the names that they have from Blender 5.0 on."""
    set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    path = folder / f"{name}.exr"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, **options)
    return read(path)


def read(path: Path) -> dict[str, np.ndarray]:
    passes: dict[str, dict[str, np.ndarray]] = {}
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            view = part.header.get("view")  # Blender 5 writes views as parts, before they were in the channels' names
            for name, channel in part.channels.items():
                key, _, letter = name.rpartition(".")
                layer, _, called = key.rpartition(".")
                key = f"{layer}.{RENAMED.get(called, called)}" if layer else key
                passes.setdefault(f"{key}.{view}" if view else key, {})[letter] = channel.pixels
    one_layer = len({key.split(".")[0] for key in passes}) == 1
    return {key.partition(".")[2] if one_layer else key: np.stack(
        [values[c] for c in sorted(values, key="RGBUVAXYZWrgba".index)], -1) for key, values in passes.items()}


def show_every_pass(view_layer: bpy.types.ViewLayer) -> None:
    view_layer.use_pass_z = view_layer.use_pass_normal = view_layer.use_pass_emit = True
    for name in EXTRA:
        setattr(view_layer.near, f"use_pass_{name}", True)
