"""The properties that an artist has given a scene and its view layers, as far as anything in the file may ask for them.

Add-ons and scripts write such properties, too, some of them every frame. Materials ask by Attribute nodes, everything
else by drivers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

from .motion import list_curves


def collect_questions() -> str:
    """All that may name such a property: what Attribute nodes ask view layers for, and what drivers read."""
    found: list[str] = []
    for owner in _list_owners():
        if isinstance(owner, bpy.types.NodeTree):
            nodes: Any = owner.nodes
            found += [node.attribute_name for node in nodes
                      if node.type == "ATTRIBUTE" and node.attribute_type == "VIEW_LAYER"]
        for curve in owner.animation_data.drivers if owner.animation_data is not None else ():
            found += [curve.driver.expression, *(target.data_path for variable in curve.driver.variables
                                                 for target in variable.targets)]
    return "\n".join(found)


def list_asked(scene: Any, questions: str) -> list[Any]:
    """Paths and values of the properties that questions name, of scene and view layers each. What has curves is left
    out: whoever goes to a frame has its value there."""
    moving = {curve.data_path for curve in list_curves(scene.animation_data) if not curve.mute}
    owners = [("", scene), *((f'view_layers["{bpy.utils.escape_identifier(layer.name)}"]', layer)
                             for layer in scene.view_layers)]
    return [[(place, value) for place, value in _find_named(owner, path, questions) if place not in moving]
            for path, owner in owners]


def _find_named(owner: Any, path: str, questions: str) -> Iterator[tuple[str, Any]]:
    """The path and value of each property of an owner that questions name, and of those in groups that they name. path:
    of the owner."""
    for name, value in owner.items():
        escaped = bpy.utils.escape_identifier(name)  # as paths have it
        if name not in questions and escaped not in questions:
            continue
        place, kind = f'{path}["{escaped}"]', type(value).__name__
        if kind == "IDPropertyGroup":
            yield from _find_named(value, place, questions)
        elif kind == "IDPropertyArray" or isinstance(value, (int, float, str)):
            yield place, list(value) if kind == "IDPropertyArray" else value


def _list_owners() -> Iterator[Any]:
    """Whatever can have drivers, node trees within others, too."""
    data: Any = bpy.data
    for kind in data.bl_rna.properties:
        for owner in getattr(data, kind.identifier) if kind.type == "COLLECTION" else ():
            if hasattr(owner, "animation_data"):
                yield owner
            if getattr(owner, "node_tree", None) is not None:
                yield owner.node_tree
