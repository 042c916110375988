"""Walks node trees: where a socket's value comes from, and a fingerprint of everything a tree depends on.

Trees, nodes and sockets are Any to type checkers: what a node has depends on its type.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import bpy

from . import image_files

# what a node looks like in the editor, and what the rest of this module follows by itself
_IGNORED = {"rna_type", "location", "location_absolute", "width", "height", "dimensions", "select", "parent", "color",
            "use_custom_color", "label", "hide", "internal_links", "outputs", "show_expanded", "show_options",
            "show_preview", "show_texture", "is_active_output", "warning_propagation", "color_tag", "preview", "users",
            "is_evaluated", "original", "session_uid", "id_data", "animation_data", "asset_data",
            "library_weak_reference"}
_IMAGE_NODES = ("TEX_ENVIRONMENT", "TEX_IMAGE")


class Unexpected(Exception):
    """The tree has something else in this place."""


def has_tree(owner: Any) -> bool:
    """Whether the nodes of a World or material are what counts (always from Blender 5 on)."""
    return owner.node_tree is not None and (bpy.app.version >= (5, 0, 0) or owner.use_nodes)


def _link(socket: Any) -> Any:
    """The link that feeds socket, through reroutes; None where nothing is connected. Raises Unexpected."""
    link = None
    while socket.is_linked:
        link = socket.links[0]
        if link.is_muted or not link.is_valid:
            raise Unexpected
        if link.from_node.type != "REROUTE":
            return link
        socket = link.from_node.inputs[0]
    if link is not None:
        raise Unexpected  # a reroute that leads nowhere
    return None


def find_source(socket: Any) -> Any:
    """The node that feeds socket; None where nothing is connected. Raises Unexpected for muted nodes and links."""
    link = _link(socket)
    if link is not None and link.from_node.mute:
        raise Unexpected
    return link.from_node if link is not None else None


def find_output(socket: Any) -> str:
    """The name of the output that feeds socket."""
    link = _link(socket)
    return link.from_socket.name if link is not None else ""


def expect(node: Any, kind: str, from_output: str = "", wanted_output: str = "") -> None:
    """Raises Unexpected unless node is of this type and, where one is wanted, the output is that."""
    if node.type != kind or from_output != wanted_output:
        raise Unexpected


def read_constant(socket: Any) -> Any:
    """The value of a socket that nothing is connected to. Raises Unexpected."""
    if _link(socket) is not None:
        raise Unexpected
    return socket.default_value


def is_plain(texture: Any) -> bool:
    """Whether a texture node's own hidden mapping and colour adjustment do nothing."""
    mapping, color = texture.texture_mapping, texture.color_mapping
    return (tuple(mapping.translation) == (0, 0, 0) and tuple(mapping.rotation) == (0, 0, 0)
            and tuple(mapping.scale) == (1, 1, 1) and not color.use_color_ramp and color.blend_factor == 0
            and (color.brightness, color.contrast, color.saturation) == (1, 1, 1))


def uses_type(tree: Any, kind: str) -> bool:
    """Whether a node of this type is connected to something in tree or in one of its groups."""
    nodes = (node for each in _trees(tree, []) for node in each.nodes)
    return any(node.type == kind and any(output.is_linked for output in node.outputs) for node in nodes)


def list_images(tree: Any) -> list[bpy.types.Image]:
    """The images of texture nodes that reach the output of tree, a World's or material's, its groups' too."""
    found = dict.fromkeys(node for node, _ in list_reaching(tree) if node.type in _IMAGE_NODES)
    return [node.image for node in found if node.image is not None]


def list_image_users() -> list[tuple[Any, Any]]:
    """The images that nodes for Cycles and textures show, each with bpy's ImageUser."""
    data: Any = bpy.data
    trees = [*data.node_groups, *(owner.node_tree for each in (data.materials, data.lights, data.worlds)
                                  for owner in each if owner.node_tree)]
    shown = [node for tree in trees for node in tree.nodes if node.type in _IMAGE_NODES]
    shown += [texture for texture in data.textures if texture.type == "IMAGE"]
    return [(each.image, each.image_user) for each in shown if each.image is not None]


def list_reaching(tree: Any) -> list[tuple[Any, Any]]:
    """The nodes, those of groups too, that the output that Cycles takes depends on, with each output of theirs that it
    does. What is muted hands on."""
    output = tree.get_output_node("CYCLES")
    waiting: list[tuple[tuple, Any]] = [] if output is None or output.mute else [((), each) for each in output.inputs]
    met, reached = set(), []
    while waiting:
        around, socket = waiting.pop()
        for node, fed in ((link.from_node, link.from_socket) for link in socket.links if not link.is_muted):
            if (around, fed) in met:
                continue
            met.add((around, fed))
            waiting += _list_inputs(around, node, fed)
            if not node.mute:
                reached.append((node, fed))
    return reached


def _list_inputs(around: tuple, node: Any, output: Any) -> list[tuple[tuple, Any]]:
    """What an output of a node depends on: inputs, each with the group nodes around it. around: those around node."""
    if node.mute:
        return [(around, link.from_socket) for link in node.internal_links if link.to_socket == output]
    if node.type == "GROUP" and node.node_tree:
        around, inputs = (*around, node), [each for inner in node.node_tree.nodes if inner.type == "GROUP_OUTPUT"
                                           and inner.is_active_output for each in inner.inputs]
    elif node.type == "GROUP_INPUT" and around:
        around, inputs = around[:-1], around[-1].inputs
    else:
        return [(around, each) for each in node.inputs]
    return [(around, each) for each in inputs if each.identifier == output.identifier]


def list_trees(tree: Any) -> list[Any]:
    """The tree and those of its groups, each once."""
    return _trees(tree, [])


def _trees(tree: Any, found: list) -> list:
    if tree not in found:
        found.append(tree)
        for node in tree.nodes:
            if node.type == "GROUP" and node.node_tree:
                _trees(node.node_tree, found)
    return found


def compute_fingerprint(tree: Any, frame: int) -> str:
    """Equal where the tree computes the same: nodes, values, links, groups, images and, of moving images, the frame."""
    described = [_describe_tree(t, frame) for t in _trees(tree, [])]
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _describe_tree(tree: Any, frame: int) -> dict[str, Any]:
    links = sorted((k.from_node.name, k.from_socket.identifier, k.to_node.name, k.to_socket.identifier, k.is_muted)
                   for k in tree.links)
    return {"name": tree.name, "links": links, "nodes": {n.name: _describe(n, frame, 0) for n in tree.nodes}}


def _describe(struct: Any, frame: int, depth: int) -> Any:
    """Everything that can be set on struct, as JSON."""
    values: dict[str, Any] = {}
    for prop in struct.bl_rna.properties:
        name = prop.identifier
        if name in _IGNORED or name.startswith(("bl_", "show_", "is_", "debug_")):
            continue
        value = getattr(struct, name, None)
        if prop.type == "POINTER":
            values[name] = _describe_pointer(value, frame, depth, getattr(struct, "image_user", None))
        elif prop.type == "COLLECTION":
            values[name] = [_describe(item, frame, depth + 1) for item in value] if depth < 4 else None
        elif getattr(prop, "is_array", False):
            values[name] = [part for row in value for part in (row if hasattr(row, "__len__") else (row,))]
        else:
            values[name] = sorted(value) if isinstance(value, set) else value
    return values


def _describe_pointer(value: Any, frame: int, depth: int, user: Any) -> Any:
    if isinstance(value, bpy.types.Image):
        return [describe_image(value, user, frame), frame if value.source in ("SEQUENCE", "MOVIE") else 0]
    if isinstance(value, bpy.types.Text):
        return [value.name_full, value.as_string()]
    if isinstance(value, bpy.types.Object):
        return [value.name_full, repr(value.matrix_world)]
    if isinstance(value, bpy.types.ID) or value is None:
        return value and value.name_full
    return _describe(value, frame, depth + 1) if depth < 4 else None


def describe_image(image: Any, user: Any = None, frame: int = 0) -> str:
    """Equal where the pixels are: where they come from and, where they were painted, they themselves. user: bpy's
    ImageUser, by which a frame of a sequence is shown."""
    files = [(path, *image_files.stamp_file(path)) for path in image_files.list_files(image, user, frame)]
    painted: tuple[Any, ...] = ()
    if image.is_dirty or image.source == "GENERATED":
        pixels = memoryview(bytearray(4 * len(image.pixels))).cast("f")
        image.pixels.foreach_get(pixels)
        painted = hashlib.sha256(pixels).hexdigest(), tuple(image.size)  # a look at the size opens a file
    return repr((image.original.session_uid, files, painted, image.colorspace_settings.name, image.alpha_mode,
                 image.source))
