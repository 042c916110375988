"""Procedural objects for training, each told by a seed: shapes put together, of procedural materials."""

from __future__ import annotations

import numpy as np

from ...directions import unit
from ...mesh import Material, Mesh, compute_face_normals, merge, normalize
from .materials import draw_material
from .shapes import (
    SHAPES,
    ShapePart,
    blend,
    box,
    cut,
    drop_slivers,
    extrusion,
    lathe,
    ring,
    rings_along,
    rotation,
    superquadric,
    sweep,
    tube,
)

CREASE = np.cos(np.radians(38))  # faces that meet at a wider angle keep an edge between them


def make(seed: int) -> Mesh:
    """The object of a seed: a mesh in the asset's frame, centred, its longest side 1, with its materials."""
    chance = np.random.default_rng(seed)
    kinds = list(OBJECTS)
    weights = np.array([OBJECTS[kind][0] for kind in kinds], float)
    groups = OBJECTS[kinds[chance.choice(len(kinds), p=weights / weights.sum())]][1](chance)
    if chance.random() < 0.25:  # leaning or lying
        turn = rotation(chance.standard_normal(3), chance.uniform(0.2, np.pi))
        groups = [[part.move(rotation=turn) for part in group] for group in groups]
    materials = tuple(draw_material(chance) for _ in groups)
    meshes = [_add_normals(part, number, materials) for number, group in enumerate(groups) for part in group]
    return normalize(merge(meshes, materials))[0]


def to_glb(mesh: Mesh) -> bytes:
    """The mesh as a binary glTF file, one opaque primitive per material, Y up; flat faces where it has no normals."""
    import trimesh

    scene = trimesh.Scene()
    normals = compute_face_normals(mesh)[0][:, None].repeat(3, 1) if mesh.corner_normal is None else mesh.corner_normal
    uvs = np.zeros((len(mesh.faces), 3, 2), np.float32) if mesh.corner_uv is None else mesh.corner_uv
    for number, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(mesh.material_index == number)
        if not len(chosen):
            continue
        position = mesh.vertices[mesh.faces[chosen]]
        corners = np.concatenate([position, normals[chosen], uvs[chosen]], -1).reshape(-1, 8)
        keys = np.ascontiguousarray(np.round(corners * 1e5).astype(np.int64)).view([("", np.int64)] * 8).ravel()
        _, first, index = np.unique(keys, return_index=True, return_inverse=True)
        position, normal = (corners[first][:, i:i + 3][:, [0, 2, 1]] * (1, 1, -1) for i in (0, 3))
        part = trimesh.Trimesh(position, index.reshape(-1, 3), vertex_normals=normal, process=False)
        part.visual = trimesh.visual.TextureVisuals(corners[first][:, 6:], material=_to_gltf_material(material))
        scene.add_geometry(part, geom_name=f"{number} {material.name}")
    return scene.export(file_type="glb", include_normals=True)


def _to_gltf_material(material: Material):
    from PIL import Image
    from trimesh.visual.material import PBRMaterial

    maps = {}
    if material.base_color_map is not None:
        maps["baseColorTexture"] = Image.fromarray(material.base_color_map[..., :3])
    if material.roughness_map is not None:
        packed = np.stack([np.zeros_like(material.roughness_map), material.roughness_map, material.metallic_map], -1)
        maps["metallicRoughnessTexture"] = Image.fromarray(packed)
    if material.normal_map is not None:
        maps["normalTexture"] = Image.fromarray(material.normal_map)
    return PBRMaterial(name=material.name, baseColorFactor=np.array([*material.base_color[:3], 1.0]),
                       roughnessFactor=material.roughness, metallicFactor=material.metallic, doubleSided=True, **maps)


def _add_normals(part: ShapePart, material: int, materials: tuple[Material, ...]) -> Mesh:
    """Corner normals: the mean, by area, of the faces around a corner that bend less than CREASE from its own."""
    part = drop_slivers(part)
    points = np.round(part.vertices * 1e5).astype(np.int64)
    _, same = np.unique(points, axis=0, return_inverse=True)
    corners = same.reshape(-1)[part.faces].reshape(-1)
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)
    flat = unit(area)
    order = np.argsort(corners, kind="stable")
    count = np.bincount(corners)
    start = np.cumsum(count) - count
    repeats = count[corners]  # every corner meets every corner at its point
    mine = np.repeat(np.arange(len(corners)), repeats)
    step = np.arange(len(mine)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    other = order[start[corners[mine]] + step] // 3
    near = (flat[mine // 3] * flat[other]).sum(1) > CREASE
    normal = np.zeros((len(corners), 3))
    for axis in range(3):
        normal[:, axis] = np.bincount(mine, np.where(near, area[other, axis], 0), len(corners))
    normal = unit(np.where(normal.any(1, keepdims=True), normal, np.repeat(flat, 3, 0)))
    return Mesh(part.vertices.astype(np.float32), part.faces.astype(np.int32), part.uv.astype(np.float32),
                normal.reshape(-1, 3, 3).astype(np.float32), materials=materials,
                material_index=np.full(len(part.faces), material, np.int32))


# --- objects: lists of groups of parts; a group shares a material

def _draw_shape(chance: np.random.Generator, kinds=SHAPES) -> ShapePart:
    return kinds[chance.integers(len(kinds))](chance)


def _fit(part: ShapePart, size) -> ShapePart:
    """Standing on z = 0, centred, its bounds made `size` (3,); nan keeps the proportions."""
    low, extent = part.vertices.min(0), np.maximum(part.size, 1e-6)
    scale = np.asarray(size, float) / extent
    scale = np.where(np.isnan(scale), np.nanmin(scale), scale)
    return part.move(-(low + extent * (0.5, 0.5, 0)) * scale, scale)


def _single(kind):
    return lambda chance: [[kind(chance)]]


def _stack(chance: np.random.Generator) -> list[list[ShapePart]]:
    """Shapes on top of each other."""
    groups, z = [], 0.0
    for _ in range(chance.integers(2, 6)):
        width = chance.uniform(0.3, 1)
        part = _fit(_draw_shape(chance), (width, np.nan if chance.random() < 0.5 else width, chance.uniform(0.15, 0.8)))
        groups.append([part.move((0, 0, z - 0.01))])
        z += part.size[2]
    return groups


def _table(chance: np.random.Generator) -> list[list[ShapePart]]:
    """A top on three to six legs, perhaps a back, a shelf, and something on it."""
    width, depth, height = chance.uniform(0.6, 1.4), chance.uniform(0.5, 0.9), chance.uniform(0.4, 1)
    thick = chance.uniform(0.04, 0.12)
    round_top = chance.random() < 0.35
    top = (_fit(extrusion(chance), (width, depth, thick)) if round_top else
           box((width, depth, thick)).move((0, 0, thick / 2))).move((0, 0, height))
    leg = _fit(_draw_shape(chance, (lathe, extrusion)), (0.08, 0.08, height))
    spots = ring(np.ones(int(chance.integers(3, 7)))) * 0.35 if round_top else np.array(
        [[1, 1], [-1, 1], [-1, -1], [1, -1]]) * 0.42
    legs = [leg.move((x * width, y * depth, 0)) for x, y in spots]
    groups = [[top], legs]
    if chance.random() < 0.4:
        groups.append([box((width, 0.05, chance.uniform(0.4, 0.8))).move((0, depth / 2, height + 0.3))])
    if chance.random() < 0.4:
        groups.append([box((0.85 * width, 0.85 * depth, 0.04)).move((0, 0, 0.3 * height))])
    if chance.random() < 0.5:
        groups.append([_fit(_draw_shape(chance), (0.3, np.nan, np.nan)).move((0, 0, height + thick))])
    return groups


def _shelf(chance: np.random.Generator) -> list[list[ShapePart]]:
    """Boards between two sides, with things on them."""
    width, depth, height, boards = chance.uniform(0.6, 1.2), chance.uniform(0.25, 0.5), chance.uniform(0.8, 1.6), \
        int(chance.integers(2, 5))
    levels = np.linspace(0.02, height - 0.02, boards + 1)
    frame = [box((width, depth, 0.04)).move((0, 0, z)) for z in levels]
    frame += [box((0.04, depth, height)).move((s * width / 2, 0, height / 2)) for s in (-1, 1)]
    things = []
    for z in levels[:-1]:
        for x in np.linspace(-0.32, 0.32, 3) * width:
            if chance.random() < 0.6:
                room = (height / boards - 0.08) * chance.uniform(0.5, 0.9)
                things.append([_fit(_draw_shape(chance, (lathe, superquadric, extrusion)),
                                    (0.22 * width, min(0.22 * width, depth), room)).move((x, 0, z + 0.02))])
    back = [[box((width, 0.02, height)).move((0, depth / 2, height / 2))]] if chance.random() < 0.5 else []
    return [frame, *back, *things[:5]]


def _vessel(chance: np.random.Generator) -> list[list[ShapePart]]:
    """A turned body with handles, perhaps a lid or a spout."""
    body = _fit(lathe(chance), (0.7, 0.7, chance.uniform(0.5, 1.1)))
    height = body.size[2]
    a = np.linspace(-0.5, 0.5, 28) * np.pi
    reach = chance.uniform(0.15, 0.32)
    path = np.stack([0.3 + reach * np.cos(a), 0 * a, height * (0.5 + chance.uniform(0.2, 0.38) * np.sin(a))], 1)
    handle = tube(rings_along(path, ring(np.ones(16)), np.full(28, chance.uniform(0.02, 0.05)), 0 * a), capped=True)
    handles = [handle] + ([handle.move(scale=(-1, -1, 1))] if chance.random() < 0.35 else [])
    groups = [[body], handles] if chance.random() < 0.5 else [[body, *handles]]
    if chance.random() < 0.5:
        groups.append([_fit(_draw_shape(chance, (lathe, superquadric)), (0.4, 0.4, 0.22)).move((0, 0, height - 0.02))])
    return groups


def _around(chance: np.random.Generator) -> list[list[ShapePart]]:
    """A core with copies of a part around it: wheels, flowers, chandeliers, machines."""
    core = _fit(_draw_shape(chance), (0.5, 0.5, chance.uniform(0.2, 1)))
    count, height = int(chance.integers(3, 9)), chance.uniform(0, 0.8) * core.size[2]
    arm = _fit(_draw_shape(chance), (chance.uniform(0.2, 0.5), chance.uniform(0.1, 0.3), chance.uniform(0.1, 0.5)))
    reach = chance.uniform(0.25, 0.5)
    copies = [arm.move((reach, 0, height)).move(rotation=rotation(np.array([0, 0, 1.0]), 2 * np.pi * k / count))
              for k in range(count)]
    groups = [[core], copies]
    if chance.random() < 0.4:
        a = np.linspace(0, 2 * np.pi, 49)
        path = np.stack([(reach + 0.1) * np.cos(a), (reach + 0.1) * np.sin(a), 0 * a + height + 0.05], 1)
        groups.append([tube(rings_along(path, ring(np.ones(12)), np.full(49, chance.uniform(0.03, 0.07)), 0 * a))])
    return groups


def _scatter(chance: np.random.Generator) -> list[list[ShapePart]]:
    """A few shapes stuck into each other anyhow."""
    return [[_fit(_draw_shape(chance), (chance.uniform(0.3, 0.8), np.nan, np.nan)).move(
        chance.uniform(-0.3, 0.3, 3), rotation=rotation(chance.standard_normal(3), chance.uniform(0, 3)))]
        for _ in range(chance.integers(2, 6))]


def _blocks(chance: np.random.Generator) -> list[list[ShapePart]]:
    """Boxes on a raster, like houses, towers, consoles and crates."""
    groups: list[list[ShapePart]] = [[], [], []]
    for x in range(chance.integers(1, 4)):
        for y in range(chance.integers(1, 4)):
            z = 0.0
            for _ in range(chance.integers(1, 4)):
                size = chance.uniform(0.2, 0.34, 2)
                height = chance.uniform(0.08, 0.5)
                part = (box((*size, height), 0.01) if chance.random() < 0.7 else
                        _fit(_draw_shape(chance), (*size, height)).move((0, 0, -height / 2)))
                groups[chance.integers(3)].append(part.move((0.33 * x, 0.33 * y, z + height / 2)))
                z += height
    return [group for group in groups if group]


# kind -> (weight, maker)
OBJECTS = {"lathe": (12, _single(lathe)), "sweep": (8, _single(sweep)), "extrusion": (7, _single(extrusion)),
           "superquadric": (6, _single(superquadric)), "blend": (9, _single(blend)), "cut": (9, _single(cut)),
           "stack": (13, _stack), "table": (9, _table), "shelf": (6, _shelf), "vessel": (9, _vessel),
           "around": (8, _around), "scatter": (6, _scatter), "blocks": (7, _blocks)}
