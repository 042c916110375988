"""Blender's lamps as near_core's, with what their nodes, visibility and light linking say."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from . import colorspace, node_trees
from ._core import scene

BLOCKERS = {"MESH", "CURVE", "SURFACE", "META", "FONT"}  # what casts shadows on assets


@dataclass
class VisibleLamps:
    """The lamps that a depsgraph shows, and beside each what it is linked to light. Nothing of it is Blender's own, so
    that it outlives undo."""

    lamps: list[scene.Lamp] = field(default_factory=list)
    links: list[Linking | None] = field(default_factory=list)

    def list_unlit(self, receiver: str) -> list[int]:
        """Numbers of the lamps that light linking keeps from an object, named by its name_full."""
        return [number for number, link in enumerate(self.links) if link is not None and receiver not in link]

    def dim(self, fog: np.ndarray | None, place: np.ndarray) -> VisibleLamps:
        """The same as they shine on a place (3,) through a World's volume. fog: as world.WorldLight has it."""
        if fog is None or not fog.any():
            return self
        away = [1e12 if lamp.kind == "sun" else np.linalg.norm(lamp.matrix[:3, 3] - place) for lamp in self.lamps]
        return replace(self, lamps=[replace(lamp, color=lamp.color * np.exp(-fog * distance))
                                    for lamp, distance in zip(self.lamps, away)])


@dataclass(frozen=True)
class Linking:
    """What Blender makes of a linking collection: what it includes, or all that it does not exclude; names."""

    included: frozenset[str]
    excluded: frozenset[str]

    def __contains__(self, name: str) -> bool:
        return name in self.included or not self.included and name not in self.excluded


def collect_lamps(depsgraph: bpy.types.Depsgraph) -> VisibleLamps:
    """Every lamp that shines, instances included."""
    found, casters = VisibleLamps(), sorted({ob.original.name_full for ob in depsgraph.objects if ob.type in BLOCKERS})
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if not (instance.show_self and ob.type == "LIGHT"):
            continue
        lamp = read_lamp(ob, np.array(instance.matrix_world, np.float64))
        if lamp is not None:
            found.lamps.append(replace(lamp, unblocked_by=_list_unblocking(ob.original, casters)))
            found.links.append(_read_linking(ob.original.light_linking.receiver_collection))
    return found


def read_lamp(ob: Any, matrix: np.ndarray) -> scene.Lamp | None:
    """The lamp ob, evaluated, as it stands at matrix (4, 4); None where it sends nothing, has no area, or is a
    portal."""
    data = ob.data
    color = colorspace.to_rec709(_read_color(data) * _read_strength(data))
    if not getattr(data, "normalize", True):
        color = color * _measure(data, matrix)
    dark = data.type == "AREA" and (getattr(data.cycles, "is_portal", False) or not _measure(data, matrix) > 0)
    if dark or not (np.isfinite(matrix).all() and np.isfinite(color).all() and color.max() > 0):
        return None
    return scene.Lamp(
        data.type.lower(), matrix, np.maximum(color, 0), radius=float(getattr(data, "shadow_soft_size", 0.0)),
        angle=float(getattr(data, "angle", 0.0)), spot_angle=float(getattr(data, "spot_size", math.pi)),
        blend=float(getattr(data, "spot_blend", 0.0)), size=_read_size(data),
        shape="ELLIPSE" if getattr(data, "shape", "") in ("DISK", "ELLIPSE") else "RECTANGLE",
        spread=float(getattr(data, "spread", math.pi)), shadow=bool(data.use_shadow),
        diffuse=float(ob.visible_diffuse), specular=float(ob.visible_glossy))


def _measure(data: Any, matrix: np.ndarray) -> float:
    """What a lamp's strength is multiplied with where it grows with its size: square metres, a sun's steradians."""
    if data.type == "SUN":
        return math.pi * math.sin(data.angle / 2) ** 2
    if data.type != "AREA":
        return 4 * math.pi * data.shadow_soft_size ** 2
    wide, high = _read_size(data)
    area = wide * high * float(np.linalg.norm(np.cross(matrix[:3, 0], matrix[:3, 1])))
    return area * (math.pi / 4 if data.shape in ("DISK", "ELLIPSE") else 1)


def _read_size(data: Any) -> tuple[float, float]:
    wide = float(getattr(data, "size", 0.0))
    return wide, float(data.size_y) if getattr(data, "shape", "") in ("RECTANGLE", "ELLIPSE") else wide


def _read_color(data: Any) -> np.ndarray:
    """(3,) float64, working space, without the strength."""
    color = np.array(data.color, np.float64)
    if getattr(data, "use_temperature", False):
        color = color * np.array(data.temperature_color, np.float64)
    try:
        emission = _find_emission(data)
        return color if emission is None else color * np.array(
            node_trees.read_constant(emission.inputs["Color"]), np.float64)[:3]
    except node_trees.Unexpected:
        return color


def _read_strength(data: Any) -> float:
    """Watts, or W/m2 of a sun; what nodes compute counts as 1."""
    strength = data.energy * 2.0 ** getattr(data, "exposure", 0.0)
    try:
        emission = _find_emission(data)
        return strength if emission is None else strength * node_trees.read_constant(emission.inputs["Strength"])
    except node_trees.Unexpected:
        return strength


def _find_emission(data: Any) -> Any:
    """The Emission node of a lamp that has nodes; None where it has none. Raises node_trees.Unexpected."""
    if not (data.use_nodes and data.node_tree):
        return None
    output = data.node_tree.get_output_node("CYCLES")
    emission = node_trees.find_source(output.inputs["Surface"]) if output else None
    if emission is not None:
        node_trees.expect(emission, "EMISSION")
    return emission


def _list_unblocking(lamp: Any, casters: list[str]) -> tuple[str, ...]:
    """Names of the objects that cast no shadow in the light of a lamp, original."""
    link = _read_linking(lamp.light_linking.blocker_collection)
    return () if link is None else tuple(name for name in casters if name not in link)


def _read_linking(collection: Any) -> Linking | None:
    """Of a collection, None where there is none."""
    if collection is None:
        return None
    states: dict[str, str] = {}
    for link, child in zip(collection.collection_children, collection.children):
        states |= dict.fromkeys((ob.name_full for ob in child.all_objects), link.light_linking.link_state)
    for link, each in zip(collection.collection_objects, collection.objects):
        states[each.name_full] = link.light_linking.link_state
    return Linking(*(frozenset(name for name, state in states.items() if state == kind)
                     for kind in ("INCLUDE", "EXCLUDE")))
