"""Proxies in the second Blender as their assets look, so that their shadows and what they bounce follow."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from . import colorspace
from ._core import scene
from .proxy import COLOR, MATERIAL_VALUES


class DressedProxies:
    """What wears a look in one scene, and what it wore before."""

    def __init__(self) -> None:
        self._worn: dict[str, scene.AssetLook] = {}
        self._own: dict[str, Any] = {}  # meshes as the artist has them
        self._faded: dict[str, list[Any]] = {}  # shaders of the copies of materials

    def wear(self, wanted: dict[str, scene.AssetLook]) -> None:
        """Gives objects, by name_full, their looks, and all others what they had."""
        known = {ob.name_full: ob for ob in bpy.data.objects} if wanted or self._worn else {}
        for name in sorted({*wanted, *self._worn} & known.keys()):
            look = wanted.get(name, scene.PLAIN)
            if look == self._worn.get(name, scene.PLAIN):
                continue
            self._dress(known[name], look)
            self._worn[name] = look

    def _dress(self, ob: Any, look: scene.AssetLook) -> None:
        name = ob.name_full
        if name not in self._own:
            self._own[name] = ob.data
            ob.data = ob.data.copy()
            self._faded[name] = _copy_materials(ob)
        own, mesh = self._own[name].attributes, ob.data
        if COLOR in own and COLOR in mesh.attributes:
            colors = _read(own[COLOR], "color", 4)
            colors[:, :3] = colorspace.from_rec709(look.recolor(colorspace.to_rec709(colors[:, :3])))
            mesh.attributes[COLOR].data.foreach_set("color", colors.ravel())
        for attribute, by in zip(MATERIAL_VALUES, (look.roughness, look.metallic)):
            if attribute in own and attribute in mesh.attributes:
                mesh.attributes[attribute].data.foreach_set(
                    "value", scene.look.shift(_read(own[attribute], "value", 1)[:, 0], by))
        mesh.update()
        ob.update_tag()
        for shader in self._faded[name]:
            shader.inputs["Alpha"].default_value = look.opacity


def _copy_materials(ob: Any) -> list[Any]:
    """Gives ob materials of its own; returns their shaders whose opacity is one number."""
    shaders = []
    for slot in ob.material_slots:
        if slot.material is None or slot.material.node_tree is None:
            continue
        material = slot.material.copy()
        slot.link, slot.material = "OBJECT", material
        shaders += [node for node in material.node_tree.nodes
                    if node.type == "BSDF_PRINCIPLED" and not node.inputs["Alpha"].is_linked]
    return shaders


def _read(attribute: Any, field: str, width: int) -> np.ndarray:
    values = np.empty(len(attribute.data) * width, np.float32)
    attribute.data.foreach_get(field, values)
    return values.reshape(-1, width)
