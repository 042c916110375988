"""Volumes between lamps and assets: what they leave of the light. Those that are the same everywhere, of no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..shaders import node_trees

MOST_TRIANGLES = 20_000  # of a body; of larger ones the bounds are taken
_KINDS = ("VOLUME_SCATTER", "VOLUME_ABSORPTION", "PRINCIPLED_VOLUME")
_SIDES = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1], [3, 2, 6], [3, 6, 7],
                   [0, 3, 7], [0, 7, 4], [1, 5, 6], [1, 6, 2]])  # of Object.bound_box
_AT_ONCE = 100_000  # rays times triangles
_TILT = np.array([1.3e-5, -2.9e-5, 2.1e-5])  # a ray through the edge between two triangles would meet both


@dataclass(frozen=True, eq=False)
class FogBody:
    """A closed surface full of a volume. triangles: (F, 3, 3) float64, metres, world, counterclockwise from outside.
    extinction: (3,), the share of light that goes in a metre, as exp(-extinction)."""

    triangles: np.ndarray
    extinction: np.ndarray

    def measure_ways(self, places: np.ndarray, directions: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Metres that rays from places (R, 3) along directions (R, 3), unit, are in it before their ends (R,): (R,)."""
        step = max(1, _AT_ONCE // len(self.triangles))
        parts = [self._measure_some(*(each[k:k + step] for each in (places, directions + _TILT, ends)))
                 for k in range(0, len(places), step)]
        return np.concatenate([np.zeros(0), *parts])

    def _measure_some(self, places: np.ndarray, along: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The same. Source: Moeller and Trumbore 1997."""
        a = self.triangles[:, 0]
        first, second = self.triangles[:, 1] - a, self.triangles[:, 2] - a
        cross, away = np.cross(along[:, None], second), places[:, None] - a  # (R, F, 3)
        facing = np.einsum("fc,rfc->rf", first, cross)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.einsum("rfc,rfc->rf", away, cross) / facing
            turned = np.cross(away, first)
            v = np.einsum("rfc,rc->rf", turned, along) / facing
            at = np.einsum("fc,rfc->rf", second, turned) / facing
            met = (u >= 0) & (v >= 0) & (u + v <= 1) & (at > 0) & (facing != 0)
        leaving = np.where(facing < 0, 1, -1)
        return np.abs(np.where(met, leaving * np.minimum(at, ends[:, None]), 0).sum(1))


def collect(depsgraph: bpy.types.Depsgraph) -> list[FogBody]:
    """The bodies that a depsgraph shows."""
    found, known = [], dict[Any, np.ndarray | None]()
    if not any(find_volume(material) is not None for material in bpy.data.materials):
        return []  # without a look at every instance
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if not instance.show_self or ob.type != "MESH" or not ob.visible_shadow:
            continue
        for material in (slot.material for slot in ob.material_slots if slot.material is not None):
            if material not in known:
                known[material] = read(material)
            extinction = known[material]
            if extinction is None or not extinction.any():
                continue
            matrix = np.array(instance.matrix_world, np.float64)
            triangles = _read_triangles(ob) @ matrix[:3, :3].T + matrix[:3, 3]
            if len(triangles) and np.isfinite(triangles).all():
                found.append(FogBody(triangles, extinction))
                break
    return found


def find_volume(owner: Any) -> Any:
    """The node that the volume of a material or World comes from; None where it has none."""
    output = owner.node_tree.get_output_node("CYCLES") if node_trees.has_tree(owner) else None
    try:
        return node_trees.find_source(output.inputs["Volume"]) if output is not None and not output.mute else None
    except node_trees.Unexpected:
        return output


def read(owner: Any) -> np.ndarray | None:
    """FogBody.extinction of a material's or World's volume that is the same everywhere; None of others."""
    try:
        node = find_volume(owner)
        if node is None or node.type not in _KINDS:
            return None
        density, color = (node_trees.read_constant(node.inputs[name]) for name in ("Density", "Color"))
        color = np.clip(np.array(color[:3], np.float64), 0, 1)
        if node.type == "PRINCIPLED_VOLUME":  # as Cycles: the absorption's own colour is what it leaves
            left = np.sqrt(np.array(node_trees.read_constant(node.inputs["Absorption Color"])[:3], np.float64))
            color = color + (1 - color) * np.clip(1 - left, 0, 1)
        return max(density, 0.0) * (1 - color if node.type == "VOLUME_ABSORPTION" else color)
    except node_trees.Unexpected:
        return None


def _read_triangles(ob: Any) -> np.ndarray:
    """(F, 3, 3), in the frame of ob, evaluated."""
    mesh = ob.data
    mesh.calc_loop_triangles()
    if len(mesh.loop_triangles) > MOST_TRIANGLES:
        return np.array(ob.bound_box, np.float64)[_SIDES]
    points, corners = np.empty(3 * len(mesh.vertices), np.float32), np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", points)
    mesh.loop_triangles.foreach_get("vertices", corners)
    return points.reshape(-1, 3).astype(np.float64)[corners.reshape(-1, 3)]
