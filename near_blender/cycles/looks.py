"""Proxies in the second Blender as their assets look, so that shadows, bounced light and reflections follow."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import scene
from ..asset.proxy import COLOR, EMISSION, MATERIAL_VALUES
from .skins import Skins


class DressedProxies:
    """The proxies of one scene: which mesh each shows. Those that look as their asset was made show its skin."""

    def __init__(self, skins: Skins) -> None:
        self._skins = skins
        self._worn: dict[str, scene.AssetLook] = {}
        self._own: dict[str, Any] = {}  # meshes as the artist has them
        self._dyed: dict[str, Any] = {}  # copies of these
        self._faded: dict[str, list[Any]] = {}  # shaders of the copies of materials

    def wear(self, wanted: dict[str, scene.AssetLook]) -> None:
        """Gives objects, by name_full, their looks, and all others what they had."""
        names = self._skins.payloads.keys() | wanted.keys() | self._worn.keys()
        changed = [name for name in sorted(names) if wanted.get(name, scene.PLAIN) != self._worn.get(name)]
        known = {ob.name_full: ob for ob in bpy.data.objects} if changed else {}
        for name in changed:
            self._worn[name] = wanted.get(name, scene.PLAIN)
            if name in known:
                self._dress(known[name], self._worn[name])

    def find_mesh(self, ob: Any) -> Any:
        """The mesh of a proxy as the artist has it."""
        return self._own.get(ob.name_full, ob.data)

    def _dress(self, ob: Any, look: scene.AssetLook) -> None:
        name, own = ob.name_full, self._own.setdefault(ob.name_full, ob.data)
        skin = self._skins.find(name, own) if look == scene.PLAIN else None
        if skin is not None:
            for slot in ob.material_slots:
                slot.link = "DATA"
            ob.data = skin
        elif look != scene.PLAIN or name in self._dyed:
            self._dye(ob, own, look)

    def _dye(self, ob: Any, own: Any, look: scene.AssetLook) -> None:
        mesh = self._dyed.get(ob.name_full) or own.copy()
        if ob.data != mesh:
            ob.data = self._dyed[ob.name_full] = mesh
            self._faded[ob.name_full] = _copy_materials(ob)
        for name, dye in ((COLOR, look.recolor), (EMISSION, look.tint_light)):
            if name in own.attributes and name in mesh.attributes:
                colors = _read(own.attributes[name], "color", 4)
                colors[:, :3] = colorspace.from_rec709(dye(colorspace.to_rec709(colors[:, :3])))
                mesh.attributes[name].data.foreach_set("color", colors.ravel())
        for attribute, by in zip(MATERIAL_VALUES, (look.roughness, look.metallic)):
            if attribute in own.attributes and attribute in mesh.attributes:
                mesh.attributes[attribute].data.foreach_set(
                    "value", scene.look.shift(_read(own.attributes[attribute], "value", 1)[:, 0], by))
        mesh.update()
        ob.update_tag()
        for shader in self._faded[ob.name_full]:
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
