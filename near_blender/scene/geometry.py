"""An object's evaluated surface as a near_core mesh with materials."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import directions, errors
from .._core import mesh as meshes
from .._core import scene as scenes
from ..shaders import materials, node_trees

TYPES = ("MESH", "CURVE", "SURFACE", "FONT", "META")

MOST_TRIANGLES = 100_000  # 0.07 s of the main thread
MOST_TEXELS = 1_500_000  # the same, of all textures together
_LOST = {"CURVES": errors.Message("its hair is left out"), "POINTCLOUD": errors.Message("its points are left out"),
         "VOLUME": errors.Message("its Volume is left out")}
_TEXELS_A_BYTE = 4  # about, of files that were not opened yet


@dataclass(frozen=True)
class ObjectSurface:
    """A surface as it was read. mesh: turned and scaled as it stands in the world. notes: what is missing of it and its
    materials. matrix: object to world, (4, 4) float64. is_computed: whether some of that could be baked."""

    mesh: meshes.Mesh
    notes: list[str]
    matrix: np.ndarray
    is_computed: bool

    @cached_property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest corner of the mesh, (3,) each."""
        return meshes.compute_bounds(self.mesh)

    @cached_property
    def shape(self) -> scenes.Occluders:
        """Its triangles alone."""
        return scenes.Occluders(self.mesh.vertices, self.mesh.faces)


def read_mesh(ob: bpy.types.Object, frame: bpy.types.Scene) -> ObjectSurface:
    """The surface of ob as renders of the scene `frame` show it, wherever it is hidden: with its modifiers at render
    level and its instances.

    Raises NearError where there is no surface, or one with vertices at infinity.
    """
    if not has_surface(ob):
        raise errors.NearError("{name} has no surface.", "Choose a mesh, curve, text or metaball object; for several, "
                               "an instance of their collection.", name=ob.name)
    with evaluate_alone(ob, frame) as (alone, depsgraph):
        matrix = np.array(alone.evaluated_get(depsgraph).matrix_world, np.float64)
        parts, count, known = [], 0, dict[str, materials.MaterialReading]()
        for each, place in list_parts(depsgraph):
            place[:3, 3] -= matrix[:3, 3]
            part = _read_part(each, place, ob.name, meshes.MAX_TRIANGLES - count, known)
            count += len(part.faces)
            if len(part.faces):
                parts.append(part)
        lost = name_lost(depsgraph, ob.name)
    notes = [*lost, *(note for reading in known.values() for note in (*reading.notes, *reading.computed.values()))]
    return ObjectSurface(meshes.check(join(parts), ob.name), list(dict.fromkeys(notes)), matrix,
                   any(reading.computed for reading in known.values()))


def has_surface(ob: bpy.types.Object) -> bool:
    """Whether ob is of a kind that read_mesh reads."""
    return ob.type in TYPES or ob.instance_type != "NONE"


def is_large(ob: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether reading ob as read_mesh does would keep Blender waiting."""
    collection = ob.instance_collection if ob.instance_type == "COLLECTION" else None
    owners: list[Any] = [ob] if collection is None else list(collection.all_objects)
    used = {slot.material for each in owners for slot in each.material_slots} - {None}
    trees = [material.node_tree for material in used if material.node_tree]
    textures = {image for tree in trees for image in node_trees.list_images(tree)}
    return (sum(_count_triangles(each, depsgraph) for each in owners) > MOST_TRIANGLES
            or sum(map(_count_texels, textures)) > MOST_TEXELS)


def _count_triangles(ob: Any, depsgraph: Any) -> int:
    """About how many triangles a render shows of ob."""
    divided = any(each.type == "SUBSURF" for each in ob.modifiers)  # a look at what that makes would make it
    data: Any = ob.data if divided else ob.evaluated_get(depsgraph).data
    if not isinstance(data, bpy.types.Mesh):
        return 0
    more = sum(each.render_levels - (0 if divided else each.levels * each.show_viewport) for each in ob.modifiers
               if each.show_render and hasattr(each, "render_levels"))
    return (len(data.loops) - 2 * len(data.polygons)) * 4 ** max(more, 0)


def _count_texels(image: Any) -> int:
    """About how many an image has, without opening it."""
    if image.has_data:
        return image.size[0] * image.size[1]
    path = bpy.path.abspath(image.filepath, library=image.library)
    size = image.packed_file.size if image.packed_file else os.path.getsize(path) if os.path.isfile(path) else 0
    return _TEXELS_A_BYTE * size


def name_lost(depsgraph: bpy.types.Depsgraph, name: str) -> list[str]:
    """What the depsgraph of evaluate_alone shows that is no surface, in words. name: of the object."""
    kinds = {instance.object.type for instance in depsgraph.object_instances if instance.show_self}
    systems: list[Any] = [system.settings for ob in depsgraph.objects for system in ob.particle_systems]
    if any(system.type == "HAIR" and system.render_type == "PATH" for system in systems):
        kinds.add("CURVES")
    return [materials.name_loss(name, what) for kind, what in _LOST.items() if kind in kinds]


def list_parts(depsgraph: bpy.types.Depsgraph) -> Iterator[tuple[Any, np.ndarray]]:
    """The objects, evaluated, that have surfaces, instances too, and object to world of each, (4, 4) float64."""
    for instance in depsgraph.object_instances:
        if instance.show_self and instance.object.type in TYPES:
            yield instance.object, np.array(instance.matrix_world, np.float64)


@contextlib.contextmanager
def evaluate_alone(ob: bpy.types.Object, frame: Any) -> Iterator[tuple[Any, Any]]:
    """A copy of ob that nothing hides, its modifiers as in renders, alone in a scene; and that scene's depsgraph."""
    data: Any = bpy.data
    scene, alone = data.scenes.new("NeAR"), ob.copy()
    try:
        scene.frame_float = frame.frame_float  # frame_set would call the handlers of others
        scene.collection.objects.link(alone)
        alone.hide_viewport = alone.hide_render = False
        for modifier in alone.modifiers:
            modifier.show_viewport = modifier.show_render
            for viewport, render in (("levels", "render_levels"), ("resolution", "render_resolution")):
                if hasattr(modifier, render):
                    setattr(modifier, viewport, getattr(modifier, render))
        layer = scene.view_layers[0]
        layer.update()
        yield alone, layer.depsgraph
    finally:
        data.scenes.remove(scene)
        data.objects.remove(alone)


def _read_part(ob: Any, place: np.ndarray, name: str, most: int, known: dict[str, materials.MaterialReading]
               ) -> meshes.Mesh:
    """The surface of one evaluated object. place: (4, 4), of it. most: triangles. known: materials that were read."""
    data = ob.to_mesh()
    if data is None:
        return join([])
    try:
        data.calc_loop_triangles()
        if len(data.loop_triangles) > most:
            raise meshes.too_many(name, meshes.MAX_TRIANGLES - most + len(data.loop_triangles))
        slots = list_materials(ob, data)
        names = [material.name_full if material else "" for material in slots]
        known.update({name: materials.read_material(material) for name, material in zip(names, slots)
                      if name not in known})
        readings = [known[name] for name in names]
        return read_triangles(data, place, readings)
    finally:
        ob.to_mesh_clear()


def list_materials(ob: Any, data: Any) -> list[Any]:
    """The materials of an evaluated object, at least one, which may be None; what nodes instance brings its own. data:
    the object's, or its mesh."""
    slots = [slot.material for slot in ob.material_slots]
    return (slots if len(slots) >= len(data.materials) else list(data.materials)) or [None]


def join(parts: list[meshes.Mesh]) -> meshes.Mesh:
    """One mesh of several, which keep their materials."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return meshes.Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    listed = list(dict.fromkeys(material for part in parts for material in part.materials))
    moved = [replace(part, material_index=np.array([listed.index(each) for each in part.materials], np.int32)[
        part.material_index]) for part in parts]
    return meshes.merge(moved, tuple(listed))


def read_triangles(data: bpy.types.Mesh, place: np.ndarray, readings: list[materials.MaterialReading]) -> meshes.Mesh:
    """The triangles of a mesh whose loop triangles are known. place: (4, 4) float64, where they go. readings: of its
    materials."""
    turn, count = place[:3, :3], len(data.loop_triangles)
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
        vertices=(vertices @ turn.T + place[:3, 3]).astype(np.float32), faces=np.ascontiguousarray(vertex[corners]),
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
