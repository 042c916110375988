"""An object's evaluated surface as a near_core mesh with materials."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from . import colorspace, materials
from ._core import directions, errors
from ._core import mesh as meshes

TYPES = ("MESH", "CURVE", "SURFACE", "FONT", "META")


def read_mesh(ob: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> tuple[meshes.Mesh, list[str]]:
    """The surface of ob with its modifiers, turned and scaled as it stands in the world, and notes on what is missing.

    Raises NearError where there is no surface, or one with vertices at infinity.
    """
    if ob.type not in TYPES:
        raise errors.NearError(f"{ob.name} has no surface.", "Choose a mesh, curve, text or metaball object.")
    evaluated = ob.evaluated_get(depsgraph)
    data = evaluated.to_mesh()
    try:
        data.calc_loop_triangles()
        if len(data.loop_triangles) > meshes.MAX_TRIANGLES:
            raise meshes.too_many(ob.name, len(data.loop_triangles))
        slots = evaluated.material_slots
        readings = [materials.read_material(slot.material) for slot in slots] or [materials.MaterialReading()]
        mesh = _triangles(data, np.array(ob.matrix_world, np.float64)[:3, :3], readings)
    finally:
        evaluated.to_mesh_clear()
    return meshes.check(mesh, ob.name), [note for reading in readings for note in reading.notes]


def _triangles(data: bpy.types.Mesh, turn: np.ndarray, readings: list[materials.MaterialReading]) -> meshes.Mesh:
    """turn: (3, 3) float64, object to world without the position."""
    count = len(data.loop_triangles)
    vertices = _get(data.vertices, "co", (len(data.vertices), 3))
    corners = _get(data.loop_triangles, "loops", (count, 3), np.int32)  # (F, 3) into the mesh's corners
    polygon = _get(data.loop_triangles, "polygon_index", (count,), np.int32)
    slot = _get(data.polygons, "material_index", (len(data.polygons),), np.int32)[polygon]
    slot = np.clip(slot, 0, len(readings) - 1)
    vertex = _get(data.loops, "vertex_index", (len(data.loops),), np.int32)
    normal = _get(data.corner_normals, "vector", (len(data.corner_normals), 3))
    if np.linalg.det(turn) < 0:
        corners = corners[:, ::-1]
    normal = directions.unit(normal @ np.linalg.pinv(turn).astype(np.float32))
    return meshes.Mesh(
        vertices=(vertices @ turn.T).astype(np.float32), faces=np.ascontiguousarray(vertex[corners]),
        corner_uv=_uv(data, corners, slot, readings), corner_normal=normal[corners],
        corner_color=_color(data, corners, vertex, slot, readings), material_index=slot,
        materials=tuple(reading.material for reading in readings))


def _uv(data: bpy.types.Mesh, corners: np.ndarray, slot: np.ndarray, readings: list[materials.MaterialReading]
        ) -> np.ndarray | None:
    """(F, 3, 2) float32: for each face the UVs its material's maps lie on; None where the mesh has none."""
    if not data.uv_layers:
        return None
    uv = np.zeros((*corners.shape, 2), np.float32)
    active = next((layer for layer in data.uv_layers if layer.active_render), data.uv_layers[0])
    for index, reading in enumerate(readings):
        layer = data.uv_layers.get(reading.layout.layer) or active
        chosen = slot == index
        flat = _get(layer.uv, "vector", (len(data.loops), 2))[corners[chosen]]
        matrix = np.reshape(reading.layout.matrix, (3, 3)).astype(np.float32)
        uv[chosen] = flat @ matrix[:2, :2].T + matrix[:2, 2]
    return uv


def _color(data: bpy.types.Mesh, corners: np.ndarray, vertex: np.ndarray, slot: np.ndarray,
           readings: list[materials.MaterialReading]) -> np.ndarray | None:
    """(F, 3, 4) float32 linear: for each face the colours its material is tinted with; None where no material is."""
    color = None
    for index, reading in enumerate(readings):
        layers = data.color_attributes
        layer: Any = layers.active_color if reading.attribute == "*" else layers.get(reading.attribute)
        if not reading.attribute or layer is None or layer.domain not in ("POINT", "CORNER"):
            continue
        color = np.ones((*corners.shape, 4), np.float32) if color is None else color
        values = _get(layer.data, "color", (len(layer.data), 4))
        values[:, :3] = colorspace.to_rec709(values[:, :3])
        values[:, 3] = 1  # a colour attribute's alpha is not the surface's
        chosen = slot == index
        at = corners[chosen] if layer.domain == "CORNER" else vertex[corners[chosen]]
        color[chosen] = values[at]
    return color


def _get(collection: Any, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    values: np.ndarray = np.empty(int(np.prod(shape)), dtype)
    collection.foreach_get(name, values)
    return values.reshape(shape)
