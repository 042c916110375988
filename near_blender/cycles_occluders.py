"""Ordinary surfaces as triangles, read in the second Blender from what Cycles would draw."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from ._core import scene as scenes

_SURFACES = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES")
_HAIR_RADIUS = 0.005  # metres, of hair that says none, as Cycles has it


def collect(depsgraph: bpy.types.Depsgraph, proxies: Iterable[str], budget: int) -> tuple[scenes.Occluders, int]:
    """The triangles in the world that cast shadows, those nearest to a proxy first, and how many were left out.

    proxies: name_full of what casts none here. budget: triangles at the most.
    """
    proxies, middles, standing = set(proxies), [], []
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        matrix = np.array(instance.matrix_world, np.float64)
        if ob.name_full in proxies:
            middles.append(matrix[:3, 3])
        elif instance.show_self and ob.type in _SURFACES and ob.visible_shadow and np.isfinite(matrix).all():
            standing.append((ob.original, _bound(ob), matrix))
    near = np.array(middles or [np.zeros(3)])
    standing.sort(key=lambda each: _measure_away(each[1], each[2], near))
    meshes: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
    points, faces, count, left = [np.empty((0, 3), np.float32)], [np.empty((0, 3), np.int32)], 0, 0
    owners, owner = list(dict.fromkeys(original.name_full for original, _, _ in standing)), [np.empty(0, np.int32)]
    number_of = {name: number for number, name in enumerate(owners)}
    for original, _, matrix in standing:
        if original not in meshes:
            read = _read_hair if original.type == "CURVES" else _read
            meshes[original] = read(original.evaluated_get(depsgraph))
        vertices, triangles = meshes[original]
        world = (vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
        free = budget - sum(len(f) for f in faces)
        left += max(0, len(triangles) - free)
        if len(triangles) > free:
            world, triangles = _keep_nearest(world, triangles, near, free)
        points.append(world)
        faces.append(triangles + np.int32(count))
        owner.append(np.full(len(triangles), number_of[original.name_full], np.int32))
        count += len(world)
    return scenes.Occluders(np.concatenate(points), np.concatenate(faces), tuple(owners), np.concatenate(owner)), left


def _keep_nearest(points: np.ndarray, triangles: np.ndarray, near: np.ndarray, count: int
                  ) -> tuple[np.ndarray, np.ndarray]:
    """The `count` triangles that are nearest to some places, by their first corner, and the vertices they need."""
    away = np.full(len(points), np.inf, np.float32)
    for place in near[:64].astype(np.float32):
        np.minimum(away, ((points - place) ** 2).sum(1), out=away)
    triangles = triangles[np.argpartition(away[triangles[:, 0]], count)[:count]]
    used = np.zeros(len(points), bool)
    used[triangles] = True
    return points[used], (np.cumsum(used, dtype=np.int32) - 1)[triangles]


def _bound(ob: Any) -> np.ndarray:
    return np.array(ob.bound_box, np.float64)


def _measure_away(bound: np.ndarray, matrix: np.ndarray, near: np.ndarray) -> float:
    """Metres between the nearest of some points and a box around a box."""
    corners = bound @ matrix[:3, :3].T + matrix[:3, 3]
    outside = np.maximum(np.maximum(corners.min(0) - near, near - corners.max(0)), 0)
    return float(np.nan_to_num(np.linalg.norm(outside, axis=1), nan=np.inf).min())


def _read(ob: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and opaque triangles (F, 3) int32 of an evaluated object, in its own frame."""
    try:
        mesh = ob.to_mesh()
    except RuntimeError:  # nothing to make a mesh of
        mesh = None
    if mesh is None:
        return np.empty((0, 3)), np.empty((0, 3), np.int32)
    mesh.calc_loop_triangles()
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", vertices)
    triangles, slots = np.empty(3 * len(mesh.loop_triangles), np.int32), np.empty(len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    mesh.loop_triangles.foreach_get("material_index", slots)
    opaque = np.array([not lets_light_through(slot.material) for slot in ob.material_slots] or [True])
    triangles = triangles.reshape(-1, 3)[opaque[np.clip(slots, 0, len(opaque) - 1)]]
    ob.to_mesh_clear()
    return vertices.reshape(-1, 3).astype(np.float64), triangles


def _read_hair(ob: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same of hair curves: along each piece of a hair two ribbons that cross, as wide as it is thick."""
    hair = ob.data
    count, radius = len(hair.points), hair.attributes.get("radius")
    points, thick = np.empty(3 * count, np.float32), np.full(count, _HAIR_RADIUS, np.float32)
    ends = np.empty(len(hair.curve_offset_data), np.int32)
    hair.position_data.foreach_get("vector", points)
    hair.curve_offset_data.foreach_get("value", ends)
    if radius is not None and len(radius.data) == count:
        radius.data.foreach_get("value", thick)
    points = points.reshape(-1, 3).astype(np.float64)
    start = np.setdiff1d(np.arange(count), ends - 1)  # a hair's last point begins nothing
    along = points[start + 1] - points[start]
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    sides = np.stack([across, np.cross(along, across)], 1)  # (P, 2, 3)
    sides /= np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-30)
    made = np.stack([points[at][:, None] + sign * thick[at][:, None, None] * sides
                     for at in (start, start + 1) for sign in (-1, 1)], 2)  # (P, 2, 4, 3)
    quads = 4 * np.arange(2 * len(start))[:, None]
    return made.reshape(-1, 3), np.concatenate([quads + [0, 1, 3], quads + [0, 3, 2]]).astype(np.int32)


def lets_light_through(material: Any) -> bool:
    """Whether a material's surface is nothing but transparent, or volume only: it casts no shadow of its own."""
    if material is None or material.node_tree is None:
        return False
    output = material.node_tree.get_output_node("CYCLES")
    if output is None or not output.inputs["Surface"].is_linked:
        return output is not None and output.inputs["Volume"].is_linked
    shader = output.inputs["Surface"].links[0].from_node
    alpha = shader.inputs.get("Alpha") if shader.type == "BSDF_PRINCIPLED" else None
    return shader.type == "BSDF_TRANSPARENT" or (alpha is not None and not alpha.is_linked
                                                  and alpha.default_value < 0.5)
