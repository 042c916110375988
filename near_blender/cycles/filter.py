"""What diffuse rays see: mirrors and glass less smooth, as by Cycles' Filter Glossy, or nothing without its caustics.

A panorama's rays come from a camera, for which nothing is filtered. So the smooth materials of the second Blender get
the roughness that a ray from a matt surface would find.
"""

from __future__ import annotations

import math
from typing import Any

import bpy

from ..shaders import node_trees

GLOSSY = ("Glossy Direct", "Glossy Indirect", "Glossy Color")
TRANSMITTED = ("Transmission Direct", "Transmission Indirect", "Transmission Color")
SHADERS = {"BSDF_PRINCIPLED", "BSDF_GLOSSY", "BSDF_METALLIC", "BSDF_GLASS", "BSDF_REFRACTION"}
_DENSITY = 2 / (3 * math.pi)  # of a direction that a matt surface sends a ray into, in the mean
_WIDEST = 0.5  # of what Cycles widens a lobe to, alpha


class GlossyFilter:
    """The filter of one scene. Its materials get nodes for it when it is first used."""

    def __init__(self, scene: Any):
        self._scene, self._sockets = scene, list[Any]()
        self._ready = False

    def measure(self) -> float:
        """The roughness that a diffuse ray finds at least, 0..1."""
        strength = self._scene.cycles.blur_glossy
        alpha = _WIDEST * math.sqrt(max(1 - _DENSITY / strength, 0)) if strength > 0 else 0.0
        return math.sqrt(alpha)

    def list_unseen(self) -> list[tuple[str, ...]]:
        """Of GLOSSY and TRANSMITTED those whose light diffuse rays do not bring."""
        cycles = self._scene.cycles
        return [kind for kind, seen in ((GLOSSY, cycles.caustics_reflective), (TRANSMITTED, cycles.caustics_refractive))
                if not seen]

    def use(self, roughness: float) -> None:
        """Has all materials be as rough as that at least; 0 leaves them as they are."""
        if not self._ready and roughness > 0:
            self._ready = True
            self._sockets = [socket for tree in _list_trees() for node in list(tree.nodes) if node.type in SHADERS
                             for socket in _raise(tree, node)]
        for socket in self._sockets:
            if socket.default_value != roughness:
                socket.default_value = roughness


def _list_trees() -> list[Any]:
    found = dict[Any, None]()
    for material in bpy.data.materials:
        if material.node_tree is not None:
            found.update(dict.fromkeys(node_trees.list_trees(material.node_tree)))
    return list(found)


def _raise(tree: Any, node: Any) -> list[Any]:
    """Puts the greater of it and a new socket's value in the place of a shader's roughness; the new sockets."""
    socket = node.inputs.get("Roughness")
    if socket is None or not (socket.is_linked or socket.default_value < math.sqrt(_WIDEST)):
        return []
    if not socket.is_linked and tree.animation_data is not None:
        return []  # a value that is keyed or driven would stand still
    greater = tree.nodes.new("ShaderNodeMath")
    greater.operation = "MAXIMUM"
    if socket.is_linked:
        tree.links.new(socket.links[0].from_socket, greater.inputs[0])
    else:
        greater.inputs[0].default_value = socket.default_value
    greater.inputs[1].default_value = 0.0
    tree.links.new(greater.outputs[0], socket)
    return [greater.inputs[1]]
