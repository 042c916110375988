"""A baked asset in the scene: an ordinary mesh with materials and packed maps, and its .glb file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import colorspace, scratch
from .._core import directions, errors, files
from .._core import mesh as meshes
from . import proxy

COLOR = "Color"  # attribute of a mesh's corners
_COLORS = "base_color", "emission"  # maps that are colours


def build(context: bpy.types.Context, made: meshes.Mesh, source: Any) -> bpy.types.Object:
    """An object for a mesh in the asset's frame, where `source`, the asset's object, shows it; alone selected and
    active."""
    straight, sheared = proxy.take_shear(source.matrix_world)
    mesh = make_mesh(move(made, proxy.compute_asset_matrix(source, sheared)), source.name, f"{source.name} Baked")
    ob = bpy.data.objects.new(mesh.name, mesh)
    homes = [each for each in source.users_collection if each.is_editable]
    (homes or [context.scene.collection])[0].objects.link(ob)
    context.view_layer.update()
    if ob.name not in context.view_layer.objects:  # another scene or view layer was opened meanwhile
        context.scene.collection.objects.link(ob)
        context.view_layer.update()
    ob.matrix_world = straight
    for other in context.selected_objects:
        other.select_set(False)
    ob.select_set(True)
    context.view_layer.objects.active = ob
    return ob


def make_mesh(made: meshes.Mesh, name: str, called: str, packed: bool = True) -> bpy.types.Mesh:
    """A mesh with its materials and maps as Blender's. name: what those begin with. packed: whether the maps are to be
    saved with the file."""
    mesh: Any = bpy.data.meshes.new(called)
    proxy.set_geometry(mesh, made.vertices, made.faces)
    if made.corner_uv is not None:
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", made.corner_uv.astype(np.float32).ravel())
    if made.corner_color is not None:
        color = made.corner_color.astype(np.float32)
        color[..., :3] = colorspace.from_rec709(color[..., :3])
        mesh.color_attributes.new(COLOR, "FLOAT_COLOR", "CORNER").data.foreach_set("color", color.ravel())
    mesh.polygons.foreach_set("material_index", made.material_index)
    _set_normals(mesh, made)
    images: dict[int, Any] = {}
    for number, material in enumerate(made.materials):
        mesh.materials.append(_make_material(material, f"{name} {number + 1}", images, packed,
                                             made.corner_color is not None))
    mesh.update()
    return mesh


def _set_normals(mesh: Any, made: meshes.Mesh) -> None:
    if made.corner_normal is None:
        mesh.shade_flat()
        return
    shared = np.zeros_like(made.vertices)
    shared[made.faces] = made.corner_normal
    if np.allclose(shared[made.faces], made.corner_normal, atol=1e-6):  # takes a third of the time
        mesh.normals_split_custom_set_from_vertices(shared)
    else:
        mesh.normals_split_custom_set(made.corner_normal.reshape(-1, 3))


def move(made: meshes.Mesh, matrix: np.ndarray) -> meshes.Mesh:
    """A mesh under an affine map (4, 4)."""
    turn = matrix[:3, :3]
    moved = replace(made, vertices=(made.vertices @ turn.T + matrix[:3, 3]).astype(np.float32))
    if made.corner_normal is not None:
        normal = made.corner_normal @ np.linalg.pinv(turn)
        moved = replace(moved, corner_normal=directions.unit(normal).astype(np.float32))
    if np.linalg.det(turn) > 0:
        return moved
    corners: dict[str, Any] = {name: getattr(moved, name) for name in ("corner_uv", "corner_normal", "corner_color")}
    return replace(moved, faces=moved.faces[:, ::-1], **{name: values[:, ::-1] for name, values in corners.items()
                                                         if values is not None})


def _make_material(look: meshes.Material, name: str, images: dict[int, Any], packed: bool, colored: bool
                   ) -> bpy.types.Material:
    """colored: whether the mesh has colours at its corners, which multiply the base colour."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    tree: Any = material.node_tree
    shader: Any = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    factors = _set_values(shader, look)
    for row, (kind, socket) in enumerate((("base_color", "Base Color"), ("roughness", "Roughness"),
                                          ("metallic", "Metallic"), ("normal", "Normal"),
                                          ("emission", "Emission Color"))):
        picture = getattr(look, f"{kind}_map")
        if picture is None or kind not in factors:
            continue
        node: Any = tree.nodes.new("ShaderNodeTexImage")
        node.location, node.extension = (-600, 300 - 280 * row), "EXTEND" if look.wrap[0] == "clamp" else "REPEAT"
        node.image = images.get(id(picture)) or _make_image(picture, f"{name} {kind}", kind in _COLORS, packed)
        images[id(picture)] = node.image
        output = node.outputs["Color"]
        if kind == "normal":
            bend: Any = tree.nodes.new("ShaderNodeNormalMap")
            bend.inputs["Strength"].default_value, bend.location = look.normal_scale, (-300, 300 - 280 * row)
            tree.links.new(output, bend.inputs["Color"])
            output = bend.outputs["Normal"]
        elif any(abs(each - 1) > 1e-4 for each in factors[kind]):
            output = _multiply(tree, output, factors[kind], row)
        tree.links.new(output, shader.inputs[socket])
        if kind == "base_color" and picture.shape[2] == 4 and (picture[..., 3] < 255).any():
            tree.links.new(node.outputs["Alpha"], shader.inputs["Alpha"])
    if colored:
        _color(tree, shader.inputs["Base Color"])
    return material


def _set_values(shader: Any, look: meshes.Material) -> dict[str, tuple[float, ...]]:
    """Gives a Principled BSDF what a material is without maps; what each map is multiplied with, by kinds of maps."""
    color = tuple(colorspace.from_rec709(np.array(look.base_color[:3], np.float32)).tolist())
    shader.inputs["Base Color"].default_value = (*color, 1)
    shader.inputs["Alpha"].default_value = look.base_color[3]
    shader.inputs["Roughness"].default_value, shader.inputs["Metallic"].default_value = look.roughness, look.metallic
    factors: dict[str, tuple[float, ...]] = {
        "base_color": color, "roughness": (look.roughness,) * 3, "metallic": (look.metallic,) * 3,
        "normal": (1.0, 1.0, 1.0)}
    if look.glows:
        strength = max(look.emission)
        factors["emission"] = tuple(colorspace.from_rec709(np.array(look.emission, np.float32) / strength).tolist())
        shader.inputs["Emission Color"].default_value = (*factors["emission"], 1)
        shader.inputs["Emission Strength"].default_value = strength
    return factors


def _color(tree: Any, socket: Any) -> None:
    """Multiplies what a socket receives with the mesh's colours."""
    attribute: Any = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_name, attribute.location = COLOR, (-600, 580)
    link = socket.links[0].from_socket if socket.is_linked else None
    color = _multiply(tree, attribute.outputs["Color"], socket.default_value[:3] if link is None else (1, 1, 1), -1)
    if link is not None:
        tree.links.new(link, next(each for each in color.node.inputs if each.type == "RGBA" and not each.is_linked))
    tree.links.new(color, socket)


def _multiply(tree: Any, output: Any, factor: tuple, row: int) -> Any:
    node = tree.nodes.new("ShaderNodeMix")
    node.data_type, node.blend_type, node.location = "RGBA", "MULTIPLY", (-300, 300 - 280 * row)
    node.inputs[0].default_value = 1.0
    colors = [socket for socket in node.inputs if socket.type == "RGBA"]
    colors[1].default_value = (*factor, 1)
    tree.links.new(output, colors[0])
    return next(socket for socket in node.outputs if socket.type == "RGBA")


def _make_image(picture: np.ndarray, name: str, color: bool, packed: bool) -> bpy.types.Image:
    """A map, (h, w) or (h, w, C) uint8 with row 0 on top, as an image."""
    values = np.atleast_3d(picture)
    values = np.repeat(values, 3, 2) if values.shape[2] == 1 else values
    if values.shape[2] == 3:
        values = np.concatenate([values, np.full_like(values[..., :1], 255)], 2)
    image: Any = bpy.data.images.new(name, values.shape[1], values.shape[0], alpha=True)
    if not color:
        image.colorspace_settings.is_data = True
    image.pixels.foreach_set((values[::-1].astype(np.float32) / 255).ravel())
    image.update()
    if packed:
        image.pack()
    return image


def export_glb(path: Path) -> None:
    """Writes what is selected by Blender's own exporter. Raises NearError where that is not enabled, or fails."""
    if not hasattr(bpy.ops.export_scene, "gltf") or "io_scene_gltf2" not in bpy.context.preferences.addons:
        raise errors.NearError("Blender's glTF exporter is not enabled.",
                               "Enable glTF 2.0 format in Preferences > Add-ons.")
    try:
        with scratch.make_folder("glb") as folder:
            made = Path(folder) / "baked.glb"  # what breaks off is not left half written
            bpy.ops.export_scene.gltf(filepath=str(made), export_format="GLB", use_selection=True)
            data = made.read_bytes()
    except (OSError, RuntimeError) as error:
        said = re.findall(r"^\w*Error: (.+)$", str(error), re.MULTILINE)  # behind a traceback of the exporter's
        raise errors.NearError("{file} could not be written ({reason}).",
                               "Free space for temporary files, or choose another folder in Preferences > File Paths.",
                               file=path.name, reason=said[-1] if said else error) from error
    files.write(path, data)
