"""Ordinary surfaces as triangles, read in the second Blender from what Cycles would draw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import bpy
import numpy as np

from .._core import scene as scenes
from ..scene import geometry
from .cutouts import Opacities, Opacity, cut

_SURFACES = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES")
_HAIR_RADIUS = 0.005  # metres, of hair that says none, as Cycles has it
_MOST_HAIRS, _MOST_STEPS = 20_000, 8  # of a particle system, and pieces of each
# vertices (V, 3) float64 in its own frame, triangles (F, 3) int32 that stop light, which of them are glass (F,) bool
_Surface = tuple[np.ndarray, np.ndarray, np.ndarray]


def collect(depsgraph: bpy.types.Depsgraph, proxies: Iterable[str], budget: int) -> tuple[scenes.Occluders, int]:
    """The triangles in the world that cast shadows, those nearest to a proxy first, and how many were left out.

    proxies: name_full of what casts none here. budget: triangles at the most.
    """
    proxies, opacities = set(proxies), Opacities()
    meshes: dict[Any, _Surface] = {}
    most, standing = _share(depsgraph, proxies, opacities, budget), []
    for ob, name, key, matrix in _list_standing(depsgraph, proxies):
        if key not in meshes:
            meshes[key] = _read_all(ob, opacities, most)
        standing.append((name, key, _bound(ob), matrix))
    near = np.array([np.array(instance.matrix_world, np.float64)[:3, 3] for instance in depsgraph.object_instances
                     if instance.object.name_full in proxies] or [np.zeros(3)])
    standing.sort(key=lambda each: _measure_away(each[2], each[3], near))
    points, faces, count, free, left = [np.empty((0, 3), np.float32)], [np.empty((0, 3), np.int32)], 0, budget, 0
    owners, owner = list(dict.fromkeys(name for name, *_ in standing)), [np.empty(0, np.int32)]
    clear = [np.empty(0, bool)]
    number_of = {name: number for number, name in enumerate(owners)}
    for name, key, _, matrix in standing:
        vertices, triangles, glass = meshes[key]
        left += max(0, len(triangles) - free)
        if not free:
            continue
        world = (vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
        if len(triangles) > free:
            world, triangles, kept = _keep_nearest(world, triangles, near, free)
            glass = glass[kept]
        points.append(world)
        clear.append(glass)
        faces.append(triangles + np.int32(count))
        owner.append(np.full(len(triangles), number_of[name], np.int32))
        count, free = count + len(world), free - len(triangles)
    return scenes.Occluders(np.concatenate(points), np.concatenate(faces), tuple(owners), np.concatenate(owner),
                            np.concatenate(clear)), left


def _list_standing(depsgraph: bpy.types.Depsgraph, proxies: set[str]) -> Iterator[tuple[Any, str, Any, np.ndarray]]:
    """What casts shadows: evaluated objects, their names, what their surfaces go by, and object to world (4, 4)."""
    for instance in depsgraph.object_instances:
        ob: Any = instance.object
        if ob.type not in _SURFACES or not (instance.show_self and ob.visible_shadow) or ob.name_full in proxies:
            continue
        matrix = np.array(instance.matrix_world, np.float64)
        if np.isfinite(matrix).all():
            name = ob.original.name_full  # of what nodes instance that of the object they belong to
            shared = "" if ob.type == "MESH" and not len(ob.particle_systems) else name
            slots = (slot.material and slot.material.name_full for slot in ob.material_slots)
            yield ob, name, (shared, ob.data.as_pointer(), *slots), matrix


def _share(depsgraph: bpy.types.Depsgraph, proxies: set[str], opacities: Opacities, budget: int) -> int:
    """Into how many triangles each surface with cut-out parts may be cut, so that all its instances find room."""
    cuts: dict[Any, bool] = {}
    count = 0
    for ob, _, key, _ in _list_standing(depsgraph, proxies):
        if key not in cuts:
            cuts[key] = any(opacities.find(each).layout is not None for each in geometry.list_materials(ob, ob.data))
        count += cuts[key]
    return budget // 2 // max(count, 1)


def _keep_nearest(points: np.ndarray, triangles: np.ndarray, near: np.ndarray, count: int
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The vertices that they need, and which are the `count` triangles nearest to some places by their first corner:
    these, and their rows."""
    away = np.full(len(points), np.inf, np.float32)
    for place in near[:64].astype(np.float32):
        np.minimum(away, ((points - place) ** 2).sum(1), out=away)
    rows = np.argpartition(away[triangles[:, 0]], count)[:count]
    triangles = triangles[rows]
    used = np.zeros(len(points), bool)
    used[triangles] = True
    return points[used], (np.cumsum(used, dtype=np.int32) - 1)[triangles], rows


def _bound(ob: Any) -> np.ndarray:
    return np.array(ob.bound_box, np.float64)


def _measure_away(bound: np.ndarray, matrix: np.ndarray, near: np.ndarray) -> float:
    """Metres between the nearest of some points and a box around a box."""
    corners = bound @ matrix[:3, :3].T + matrix[:3, 3]
    outside = np.maximum(np.maximum(corners.min(0) - near, near - corners.max(0)), 0)
    return float(np.nan_to_num(np.linalg.norm(outside, axis=1), nan=np.inf).min())


def _read_all(ob: Any, opacities: Opacities, most: int) -> _Surface:
    """Of an evaluated object. most: as cut takes it."""
    if ob.type == "CURVES":
        return _read_hair(ob)
    is_mesh = isinstance(ob.data, bpy.types.Mesh)
    try:
        mesh = ob.data if is_mesh else ob.to_mesh()
    except RuntimeError:  # nothing to make a mesh of
        mesh = None
    if mesh is None:
        return _join([])
    found = _read(mesh, [opacities.find(material) for material in geometry.list_materials(ob, mesh)], most)
    if not is_mesh:
        ob.to_mesh_clear()
    return _join([found, *_read_particle_hair(ob)])


def _read(mesh: Any, opacities: list[Opacity], most: int) -> _Surface:
    """The same of a mesh. opacities: by slot."""
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    vertices = _get(mesh.vertices, "co", (len(mesh.vertices), 3), np.float32).astype(np.float64)
    triangles = _get(mesh.loop_triangles, "vertices", (count, 3), np.int32)
    slots = np.clip(_get(mesh.loop_triangles, "material_index", (count,), np.int32), 0, len(opacities) - 1)
    whole = np.array([each.layout is None and bool(each.solid) for each in opacities])
    pieces = [cut(vertices[triangles[slots == slot]], _read_uv(mesh, each.layout.layer)[slots == slot], each, most)
              for slot, each in enumerate(opacities) if each.layout is not None and (slots == slot).any()]
    corners = np.concatenate([np.empty((0, 3, 3)), *pieces]).reshape(-1, 3)
    added = np.arange(len(vertices), len(vertices) + len(corners), dtype=np.int32).reshape(-1, 3)
    glass = np.array([each.clear for each in opacities])[slots[whole[slots]]]
    return (np.concatenate([vertices, corners]), np.concatenate([triangles[whole[slots]], added]),
            np.concatenate([glass, np.zeros(len(added), bool)]))


def _join(parts: list[_Surface]) -> _Surface:
    """Several as one."""
    first = np.cumsum([0, *(len(vertices) for vertices, *_ in parts)])
    return (np.concatenate([np.empty((0, 3)), *(vertices for vertices, *_ in parts)]),
            np.concatenate([np.empty((0, 3), np.int32),
                            *(faces + np.int32(start) for start, (_, faces, _) in zip(first, parts))]),
            np.concatenate([np.empty(0, bool), *(clear for *_, clear in parts)]))


def _read_uv(mesh: Any, name: str) -> np.ndarray:
    """(F, 3, 2) of the corners of a mesh's triangles; 0 where it has no such UV map, as Cycles."""
    layer = mesh.uv_layers.get(name) if name else next((each for each in mesh.uv_layers if each.active_render), None)
    if layer is None:
        return np.zeros((len(mesh.loop_triangles), 3, 2))
    corners = _get(mesh.loop_triangles, "loops", (len(mesh.loop_triangles), 3), np.int32)
    return _get(layer.uv, "vector", (len(mesh.loops), 2), np.float32).astype(np.float64)[corners]


def _get(items: Any, name: str, shape: tuple[int, ...], kind: type) -> np.ndarray:
    values: np.ndarray = np.empty(int(np.prod(shape)), kind)
    items.foreach_get(name, values)
    return values.reshape(shape)


def _read_hair(ob: Any) -> _Surface:
    """The same of hair curves."""
    hair = ob.data
    count, radius = len(hair.points), hair.attributes.get("radius")
    points, thick = np.empty(3 * count, np.float32), np.full(count, _HAIR_RADIUS, np.float32)
    ends = np.empty(len(hair.curve_offset_data), np.int32)
    hair.position_data.foreach_get("vector", points)
    hair.curve_offset_data.foreach_get("value", ends)
    if radius is not None and len(radius.data) == count:
        radius.data.foreach_get("value", thick)
    return _make_ribbons(points.reshape(-1, 3).astype(np.float64), thick, ends)


def _read_particle_hair(ob: Any) -> list[_Surface]:
    """The same of an object's particle systems; of very many hairs some, thicker."""
    made = []
    for system in ob.particle_systems:
        how = system.settings
        if how.type != "HAIR" or how.render_type != "PATH":
            continue
        parents, children = len(system.particles), len(system.child_particles)
        first = 0 if not children or how.use_parent_particles else parents
        chosen = range(first, parents + children, max(1, -(-(parents + children - first) // _MOST_HAIRS)))
        steps = min(2 ** how.render_step, _MOST_STEPS) + 1
        points = np.array([system.co_hair(ob, particle_no=hair, step=step) for hair in chosen
                           for step in np.linspace(0, 2 ** how.render_step, steps).astype(int)]).reshape(-1, 3)
        thick = how.radius_scale / 2 * chosen.step * np.linspace(how.root_radius, how.tip_radius, steps)
        to_own = np.linalg.pinv(np.array(ob.matrix_world, np.float64))
        size = np.cbrt(abs(np.linalg.det(to_own[:3, :3])))
        made.append(_make_ribbons(points @ to_own[:3, :3].T + to_own[:3, 3], np.tile(thick * size, len(chosen)),
                                  steps * np.arange(len(chosen) + 1)))
    return made


def _make_ribbons(points: np.ndarray, thick: np.ndarray, ends: np.ndarray) -> _Surface:
    """Hairs as vertices and triangles: along each piece two ribbons that cross. points: (P, 3), hair by hair. thick:
    (P,), radii. ends: the point after the last one of each hair."""
    start = np.setdiff1d(np.arange(len(points)), np.asarray(ends) - 1)  # a hair's last point begins nothing
    along = points[start + 1] - points[start]
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    sides = np.stack([across, np.cross(along, across)], 1)  # (P, 2, 3)
    sides /= np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-30)
    made = np.stack([points[at][:, None] + sign * thick[at][:, None, None] * sides
                     for at in (start, start + 1) for sign in (-1, 1)], 2)  # (P, 2, 4, 3)
    quads = 4 * np.arange(2 * len(start))[:, None]
    faces = np.concatenate([quads + [0, 1, 3], quads + [0, 3, 2]]).astype(np.int32)
    return made.reshape(-1, 3), faces, np.zeros(len(faces), bool)
