"""Base colour, roughness and metalness of ordinary surfaces: outputs added to materials in the second Blender.

Each value counts by its surface's opacity. Cycles adds up what several surfaces of a pixel say, the clear part of a
leaf and the wall behind it, and a shadow catcher says it twice; COVER, 1 on every surface, is added up likewise.
"""

from __future__ import annotations

from typing import Any

import bpy

from .._core import composite
from ..shaders import node_trees

COVER = composite.COVER
VALUES = ("Base Color", "Roughness", "Metallic")
# pass -> (the view layer's AOV, its type)
AOVS = {"Base Color": ("NeAR Base Color", "COLOR"), "Roughness": ("NeAR Roughness", "VALUE"),
        "Metallic": ("NeAR Metallic", "VALUE"), COVER: ("NeAR Cover", "VALUE")}
_CLEAR = ("BSDF_TRANSPARENT", "BSDF_RAY_PORTAL", "HOLDOUT")
# shader -> what stands for base colour, roughness and metalness: an input's name, or a number
_SHADERS: dict[str, tuple[str, str | float, str | float]] = {
    "BSDF_PRINCIPLED": ("Base Color", "Roughness", "Metallic"), "BSDF_DIFFUSE": ("Color", 1.0, 0.0),
    "BSDF_GLOSSY": ("Color", "Roughness", 1.0), "BSDF_METALLIC": ("Base Color", "Roughness", 1.0),
    "BSDF_GLASS": ("Color", "Roughness", 0.0), "BSDF_REFRACTION": ("Color", "Roughness", 0.0),
    "BSDF_TRANSLUCENT": ("Color", 1.0, 0.0), "BSDF_SHEEN": ("Color", "Roughness", 0.0),
    "BSDF_TOON": ("Color", 1.0, 0.0), "SUBSURFACE_SCATTERING": ("Color", 1.0, 0.0),
    "BSDF_HAIR": ("Color", 0.5, 0.0), "BSDF_HAIR_PRINCIPLED": ("Color", "Roughness", 0.0)}


class Values:
    """The AOVs of the open file. Its materials get the outputs when a picture first wants one."""

    def __init__(self) -> None:
        self._ready = False

    def want(self, layer: Any, wanted: list[str]) -> None:
        """Has layer draw the AOVs of the wanted passes, and no others."""
        names = {AOVS[name][0]: AOVS[name][1] for name in wanted if name in AOVS}
        if names and not self._ready:
            self._ready = True
            _fill_empty_slots()
            for material in bpy.data.materials:
                add_outputs(material)
        for aov in [aov for aov in layer.aovs if aov.name in {name for name, _ in AOVS.values()} - names.keys()]:
            layer.aovs.remove(aov)
        for name in names.keys() - {aov.name for aov in layer.aovs}:
            aov = layer.aovs.add()
            aov.name, aov.type = name, names[name]


def _fill_empty_slots() -> None:
    """Gives a material to what has none, in instanced collections, too."""
    plain = None
    objects: Any = bpy.data.objects
    for ob in objects:
        data: Any = ob.data
        if ob.type not in ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD"):
            continue
        if plain is None:
            plain = bpy.data.materials.new("default_surface")  # what Cycles calls it for Cryptomatte
            plain.use_nodes = True
        if not ob.material_slots:
            data.materials.append(plain)
        for slot in ob.material_slots:
            if slot.material is None and slot.link == "DATA":  # of a linked object, which cannot be changed itself
                data.materials[slot.slot_index] = plain
            elif slot.material is None and ob.is_editable:
                slot.material = plain


def add_outputs(material: Any) -> None:
    """Adds an AOV output for each pass to a material, or to the node group that its surface comes from."""
    tree = material.node_tree
    output = tree.get_output_node("CYCLES") if tree is not None else None
    if output is None:
        return
    socket = output.inputs["Surface"]
    node = _source(socket)
    while node is not None and node.type == "GROUP" and node.node_tree is not None:
        inner = next((each for each in node.node_tree.nodes if each.type == "GROUP_OUTPUT"), None)
        tree, name = node.node_tree, node_trees.find_output(socket)
        if inner is None or name not in inner.inputs:
            return
        socket = inner.inputs[name]
        node = _source(socket)
    if any(each.type == "OUTPUT_AOV" and each.aov_name == AOVS["Roughness"][0] for each in tree.nodes):
        return  # a group that another material has, too
    if node is None:
        return
    opacity = _find_opacity(tree, node)
    values = {name: _find_value(tree, node, number) for number, name in enumerate(VALUES)} | {COVER: 1.0}
    for called, value in values.items():
        if value is None:
            continue
        name, kind = AOVS[called]
        value = value if opacity == 1.0 else _mix(tree, opacity, 0.0, value)
        aov = tree.nodes.new("ShaderNodeOutputAOV")
        aov.aov_name = name
        _feed(tree, value, aov.inputs["Color" if kind == "COLOR" else "Value"])


def _source(socket: Any) -> Any:
    try:
        return node_trees.find_source(socket)
    except node_trees.Unexpected:
        return None


def _find_value(tree: Any, node: Any, number: int) -> Any:
    """A socket or number that holds the value of a shader; of a mixture, new nodes that mix. None where it has none."""
    if node is None:
        return None
    if node.type in ("MIX_SHADER", "ADD_SHADER"):
        first, second = (_find_value(tree, _source(socket), number) for socket in node.inputs[-2:])
        if first is None or second is None or node.type == "ADD_SHADER":
            return second if first is None else first
        return _mix(tree, node.inputs[0], first, second)
    if node.type not in _SHADERS:
        return None
    name = _SHADERS[node.type][number]
    return node.inputs.get(name) if isinstance(name, str) else name


def _find_opacity(tree: Any, node: Any) -> Any:
    """A socket or number that holds how much of what is behind a shader it hides; of a mixture, new nodes."""
    kind = "" if node is None else node.type
    if kind in _CLEAR:
        return 0.0
    if kind == "BSDF_PRINCIPLED":
        alpha = node.inputs["Alpha"]
        return alpha if alpha.is_linked else float(alpha.default_value)
    if kind not in ("MIX_SHADER", "ADD_SHADER"):
        return 1.0
    first, second = (_find_opacity(tree, _source(socket)) for socket in node.inputs[-2:])
    if first == second:
        return first
    if kind == "MIX_SHADER":
        return _mix(tree, node.inputs[0], first, second)
    least = tree.nodes.new("ShaderNodeMath")
    least.operation = "MINIMUM"
    _feed(tree, first, least.inputs[0])
    _feed(tree, second, least.inputs[1])
    return least.outputs[0]


def _mix(tree: Any, share: Any, first: Any, second: Any) -> Any:
    """An output that holds first + share (second - first); each a socket or a number."""
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    inputs = [socket for socket in mix.inputs if socket.type == "RGBA"]
    for value, socket in zip((share, first, second), (mix.inputs[0], *inputs)):
        _feed(tree, value, socket)
    return next(socket for socket in mix.outputs if socket.type == "RGBA")


def _feed(tree: Any, value: Any, socket: Any) -> None:
    """Has a socket receive an output, what an input receives, or a number."""
    if isinstance(value, float):
        socket.default_value = value if socket.type == "VALUE" else (value, value, value, 1)
    elif value.is_output:
        tree.links.new(value, socket)
    elif value.is_linked:
        tree.links.new(value.links[0].from_socket, socket)
    elif socket.type == value.type:
        socket.default_value = value.default_value
    else:
        plain = float(value.default_value)
        socket.default_value = (plain, plain, plain, 1)
