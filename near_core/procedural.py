"""Procedural objects for training: numpy shapes in random finishes, each told by a seed.

A shape is a `Part`: a closed or open surface with texture coordinates per corner. Objects are parts put together, in the
asset's frame. Needs scikit-image for blends and trimesh with manifold3d for cut shapes; none of it ships to artists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import finish
from .mesh import Material, Mesh, merged, normalized

CREASE = np.cos(np.radians(38))  # faces that meet at a wider angle keep an edge between them


@dataclass(frozen=True)
class Part:
    """A surface. vertices: (V, 3) float64. faces: (F, 3) int. uv: (F, 3, 2) per corner."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray

    def moved(self, offset=(0, 0, 0), scale=1.0, rotation: np.ndarray | None = None) -> Part:
        """Scaled (one number or one per axis), then rotated (3, 3), then shifted."""
        points = self.vertices * np.asarray(scale, float)
        points = points if rotation is None else points @ rotation.T
        return replace(self, vertices=points + np.asarray(offset, float))

    @property
    def size(self) -> np.ndarray:
        return np.ptp(self.vertices, axis=0)


def make(seed: int) -> Mesh:
    """The object of a seed: a mesh in the asset's frame, centred, its longest side 1, with its materials."""
    chance = np.random.default_rng(seed)
    kinds = list(OBJECTS)
    weights = np.array([OBJECTS[kind][0] for kind in kinds], float)
    groups = OBJECTS[kinds[chance.choice(len(kinds), p=weights / weights.sum())]][1](chance)
    if chance.random() < 0.25:  # leaning or lying
        turn = rotation(chance.standard_normal(3), chance.uniform(0.2, np.pi))
        groups = [[part.moved(rotation=turn) for part in group] for group in groups]
    materials = tuple(finish.draw_material(chance) for _ in groups)
    meshes = [_with_normals(part, number, materials) for number, group in enumerate(groups) for part in group]
    return normalized(merged(meshes, materials))[0]


def to_glb(mesh: Mesh) -> bytes:
    """The mesh as a binary glTF file, one primitive per material, Y up."""
    import trimesh

    scene = trimesh.Scene()
    for number, material in enumerate(mesh.materials):
        chosen = np.flatnonzero(mesh.material_index == number)
        if not len(chosen):
            continue
        corners = np.concatenate([mesh.vertices[mesh.faces[chosen]], mesh.corner_normal[chosen], mesh.corner_uv[chosen]],
                                 -1).reshape(-1, 8)
        keys = np.ascontiguousarray(np.round(corners * 1e5).astype(np.int64)).view([("", np.int64)] * 8).ravel()
        _, first, index = np.unique(keys, return_index=True, return_inverse=True)
        position, normal = (corners[first][:, i:i + 3][:, [0, 2, 1]] * (1, 1, -1) for i in (0, 3))
        part = trimesh.Trimesh(position, index.reshape(-1, 3), vertex_normals=normal, process=False)
        part.visual = trimesh.visual.TextureVisuals(corners[first][:, 6:], material=_gltf_material(material))
        scene.add_geometry(part, geom_name=f"{number} {material.name}")
    return scene.export(file_type="glb", include_normals=True)


def _gltf_material(material: Material):
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
    return PBRMaterial(name=material.name, baseColorFactor=np.array(material.base_color),
                       roughnessFactor=material.roughness, metallicFactor=material.metallic, doubleSided=True, **maps)


def _with_normals(part: Part, material: int, materials: tuple[Material, ...]) -> Mesh:
    """Corner normals: the mean, by area, of the faces around a corner that bend less than CREASE from its own."""
    part = _without_slivers(part)
    points = np.round(part.vertices * 1e5).astype(np.int64)
    _, same = np.unique(points, axis=0, return_inverse=True)
    corners = same.reshape(-1)[part.faces].reshape(-1)
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    area = np.cross(b - a, c - a)
    unit = area / np.maximum(np.linalg.norm(area, axis=1, keepdims=True), 1e-20)
    order = np.argsort(corners, kind="stable")
    count = np.bincount(corners)
    start = np.cumsum(count) - count
    repeats = count[corners]  # every corner meets every corner at its point
    mine = np.repeat(np.arange(len(corners)), repeats)
    step = np.arange(len(mine)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    other = order[start[corners[mine]] + step] // 3
    near = (unit[mine // 3] * unit[other]).sum(1) > CREASE
    normal = np.zeros((len(corners), 3))
    for axis in range(3):
        normal[:, axis] = np.bincount(mine, np.where(near, area[other, axis], 0), len(corners))
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > 1e-20, normal / np.maximum(length, 1e-20), np.repeat(unit, 3, 0))
    return Mesh(part.vertices.astype(np.float32), part.faces.astype(np.int32), part.uv.astype(np.float32),
                normal.reshape(-1, 3, 3).astype(np.float32), material_index=np.full(len(part.faces), material, np.int32),
                materials=materials)


# --- shapes

def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) by Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def tube(rings: np.ndarray, tiles=(2.0, 2.0), capped: bool = False) -> Part:
    """A surface through rings (R, S, 3) of points, each ring closed; capped: ends are closed by fans."""
    count, sides = rings.shape[:2]
    i, j = np.meshgrid(np.arange(count - 1), np.arange(sides), indexing="ij")
    quads = np.stack([i * sides + j, i * sides + (j + 1) % sides, (i + 1) * sides + (j + 1) % sides, (i + 1) * sides + j],
                     -1).reshape(-1, 4)
    u, v = np.stack([j, j + 1, j + 1, j], -1) / sides, np.stack([i, i, i + 1, i + 1], -1) / (count - 1)
    uv = np.stack([u * tiles[0], v * tiles[1]], -1).reshape(-1, 4, 2)
    part = Part(rings.reshape(-1, 3), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
                np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]))
    part = _without_slivers(part)
    return together([part, _cap(rings[0], True), _cap(rings[-1], False)]) if capped else part


def _cap(ring: np.ndarray, turned: bool) -> Part:
    sides = len(ring)
    j = np.arange(sides)
    faces = np.stack([np.full(sides, sides), (j + 1) % sides, j] if turned else [np.full(sides, sides), j, (j + 1) % sides], 1)
    vertices = np.concatenate([ring, ring.mean(0, keepdims=True)])
    return _without_slivers(project(Part(vertices, faces, np.zeros((sides, 3, 2)))))


def _without_slivers(part: Part) -> Part:
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10
    return Part(part.vertices, part.faces[keep], part.uv[keep])


def together(parts: list[Part]) -> Part:
    """Several surfaces as one part."""
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    return Part(np.concatenate([p.vertices for p in parts]),
                np.concatenate([p.faces + offset for p, offset in zip(parts, start)]),
                np.concatenate([p.uv for p in parts]))


def project(part: Part, tiles: float = 2.0) -> Part:
    """Texture coordinates from the side each face looks to (box projection)."""
    corners = part.vertices[part.faces]
    normal = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    axes = np.array([[1, 2], [0, 2], [0, 1]])[normal.argmax(1)]
    return replace(part, uv=np.take_along_axis(corners, axes[:, None, :].repeat(3, 1), 2) * tiles)


def _smooth_curve(points: np.ndarray, count: int) -> np.ndarray:
    """Catmull-Rom spline through points (P, D), `count` samples."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, len(points) - 1 - 1e-9, count)
    i, f = t.astype(int), (t % 1)[:, None]
    p0, p1, p2, p3 = (padded[i + k] for k in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2 + (3 * p1 - p0 - 3 * p2 + p3) * f**3)


def lathe(chance: np.random.Generator) -> Part:
    """A turned shape: vases, bowls, knobs, columns; some fluted, faceted or oval; hollow ones have a wall."""
    knots = chance.integers(3, 7)
    height = chance.uniform(0.4, 2.2)
    z = np.sort(np.concatenate([[0, 1], chance.uniform(0.08, 0.92, knots - 2)])) * height
    radius = chance.uniform(0.15, 0.6, knots)
    profile = np.stack([radius, z], 1)
    profile = _smooth_curve(profile, 28) if chance.random() < 0.7 else np.repeat(profile, 1, 0)
    profile[:, 0] = np.maximum(profile[:, 0], 0.04)
    if chance.random() < 0.4:  # a wall: back down on the inside to a floor
        wall = chance.uniform(0.03, 0.08)
        inner = profile[profile[:, 1] > wall][::-1] - (wall, 0)
        profile = np.concatenate([profile, np.maximum(inner, (0.01, wall)), [[0, wall]]])
    else:
        profile = np.concatenate([profile, [[0, profile[-1, 1]]]])
    profile = np.concatenate([[[0, profile[0, 1]]], profile])
    sides = int(chance.choice([5, 6, 8, 12, 40, 40, 40]))
    angle = np.arange(sides) / sides * 2 * np.pi
    ripple = 1 + (chance.uniform(0.03, 0.12) * np.cos(chance.integers(4, 11) * angle) if sides == 40 and
                  chance.random() < 0.25 else 0 * angle)
    rings = np.stack([profile[:, :1] * np.cos(angle) * ripple, profile[:, :1] * np.sin(angle) * ripple,
                      np.repeat(profile[:, 1:], sides, 1)], -1)
    squeeze = (1, chance.uniform(0.4, 0.9), 1) if chance.random() < 0.15 else 1.0
    return tube(rings, (float(chance.integers(1, 5)), float(chance.integers(1, 4)))).moved(scale=squeeze)


def _outline(chance: np.random.Generator) -> np.ndarray:
    """A closed outline (S, 2) around the origin, star-shaped: circle, polygon, star, gear, flower, rounded box."""
    kind = chance.choice(["circle", "polygon", "star", "gear", "flower", "box"])
    if kind == "polygon":
        return _ring(np.ones(int(chance.integers(3, 8))))
    if kind == "star":
        return _ring(np.tile([1.0, chance.uniform(0.4, 0.75)], int(chance.integers(4, 9))))
    if kind == "gear":
        return _ring(np.tile([1.0, 1.0, 0.8, 0.8], int(chance.integers(6, 14))))
    angle = np.arange(32) / 32 * 2 * np.pi
    if kind == "flower":
        return _ring(1 + chance.uniform(0.08, 0.25) * np.cos(chance.integers(3, 8) * angle))
    if kind == "box":
        power = chance.uniform(3, 8)
        return _ring((np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)) * (
            1, chance.uniform(0.3, 1))
    return _ring(np.ones(32))


def _ring(radius: np.ndarray) -> np.ndarray:
    angle = np.arange(len(radius)) / len(radius) * 2 * np.pi
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def sweep(chance: np.random.Generator) -> Part:
    """An outline along a path: springs, hooks, rings, twisted bars, bent tubes."""
    kind = chance.choice(["spline", "helix", "ring", "knot", "arc"])
    t = np.linspace(0, 1, 90 if kind in ("helix", "knot") else 48)
    if kind == "spline":
        path = _smooth_curve(chance.uniform(-0.6, 0.6, (int(chance.integers(3, 6)), 3)), len(t))
    elif kind == "helix":
        turns, swell = chance.uniform(2, 5), chance.uniform(-0.6, 0.6)
        r = 0.4 * (1 + swell * t)
        path = np.stack([r * np.cos(t * turns * 2 * np.pi), r * np.sin(t * turns * 2 * np.pi),
                         t * chance.uniform(0.6, 1.6)], 1)
    elif kind == "knot":
        p, q = ((2, 3), (3, 2), (2, 5))[chance.integers(3)]
        a = t * 2 * np.pi
        r = 0.45 + 0.18 * np.cos(q * a)
        path = np.stack([r * np.cos(p * a), r * np.sin(p * a), 0.2 * np.sin(q * a)], 1)
    else:
        a = t * 2 * np.pi * (1 if kind == "ring" else chance.uniform(0.3, 0.8))
        path = np.stack([0.5 * np.cos(a), 0 * a, 0.5 * chance.uniform(0.5, 1.4) * np.sin(a)], 1)
    thick = chance.uniform(0.04, 0.09) if kind in ("helix", "knot") else chance.uniform(0.06, 0.2)
    closed = kind in ("ring", "knot")
    width = thick * (np.ones_like(t) if closed else _smooth_curve(chance.uniform(0.5, 1.3, (4, 1)), len(t))[:, 0])
    twist = t * (0 if closed else chance.choice([0, 0, 1, 3]) * np.pi)
    return tube(_rings_along(path, _outline(chance), width, twist), (2.0, 6.0), capped=not closed)


def _rings_along(path: np.ndarray, outline: np.ndarray, width: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """The outline (S, 2) at each point of a path (R, 3), square to it, without roll: (R, S, 3)."""
    tangent = np.gradient(path, axis=0)
    if np.linalg.norm(path[0] - path[-1]) < 1e-6:
        tangent[0] = tangent[-1] = path[1] - path[-2]
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    side = np.cross(tangent[0], (0.31, 0.59, 0.74))
    rings = []
    for point, along, w, angle in zip(path, tangent, width, twist):
        side = side - (side @ along) * along
        side /= np.linalg.norm(side)
        up = np.cross(along, side)
        c, s = np.cos(angle), np.sin(angle)
        x, y = outline[:, 0] * c - outline[:, 1] * s, outline[:, 0] * s + outline[:, 1] * c
        rings.append(point + w * (x[:, None] * side + y[:, None] * up))
    if np.linalg.norm(path[0] - path[-1]) < 1e-6:
        rings[-1] = rings[0]
    return np.stack(rings)


def extrusion(chance: np.random.Generator) -> Part:
    """An outline pulled up, with bevelled edges; some taper or twist."""
    outline, height, bevel = _outline(chance), chance.uniform(0.15, 1.6), chance.uniform(0.01, 0.08)
    levels = np.array([0, bevel, *np.linspace(bevel, height - bevel, 10)[1:-1], height - bevel, height])
    inset = np.ones(len(levels))
    inset[[0, -1]] = 1 - bevel * chance.uniform(0.5, 2)
    inset *= 1 + (levels / height) * chance.choice([0, 0, -0.6, -0.3, 0.4])
    twist = levels / height * chance.choice([0, 0, 0, 0.8, 2.0])
    path = np.stack([0 * levels, 0 * levels, levels], 1)
    return tube(_rings_along(path, outline, 0.5 * inset, twist), (4.0, 2.0), capped=True)


def superquadric(chance: np.random.Generator) -> Part:
    """Barr's superellipsoids and supertoroids: everything from pillow to box, spindle and star."""
    power = lambda x, e: np.sign(x) * np.abs(x) ** e  # noqa: E731
    e1, e2 = chance.choice([0.15, 0.3, 0.6, 1, 1.5, 2.2], 2)
    w = np.arange(48) / 48 * 2 * np.pi
    if chance.random() < 0.3:
        v = np.linspace(-np.pi, np.pi, 33)
        r = chance.uniform(1.5, 3) + power(np.cos(v), e1)
    else:
        v = np.linspace(-np.pi / 2, np.pi / 2, 33)
        r = power(np.cos(v), e1)
    rings = np.stack([r[:, None] * power(np.cos(w), e2), r[:, None] * power(np.sin(w), e2),
                      np.repeat(power(np.sin(v), e1)[:, None], 48, 1)], -1)
    return tube(rings, (4.0, 2.0)).moved(scale=chance.uniform(0.25, 0.7, 3))


def box(size, bevel: float = 0.02) -> Part:
    """A box of the given size with bevelled edges, centred."""
    half = np.asarray(size, float) / 2
    bevel = min(bevel, 0.4 * half.min())
    square = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], float)
    ring = lambda inset, z: np.column_stack([square * (half[:2] - inset), np.full(4, z)])  # noqa: E731
    rings = np.stack([ring(bevel, -half[2]), ring(0, bevel - half[2]), ring(0, half[2] - bevel), ring(bevel, half[2])])
    return project(tube(rings, capped=True))


def blend(chance: np.random.Generator) -> Part:
    """Balls, capsules and boxes melted into each other: an isosurface of their smooth minimum."""
    from skimage.measure import marching_cubes

    axis = np.linspace(-1, 1, 44)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    total = np.zeros(grid.shape[:3])
    sharp = chance.uniform(7, 22)
    mirrored = chance.random() < 0.5
    for _ in range(chance.integers(2, 7)):
        a, b = chance.uniform(-0.5, 0.5, (2, 3))
        kind = chance.choice(["ball", "capsule", "box"])
        for flip in ((1, -1) if mirrored else (1,)):
            p = grid * (flip, 1, 1)
            if kind == "ball":
                distance = np.linalg.norm(p - a, axis=-1) - np.linalg.norm(b) * 0.6 - 0.1
            elif kind == "capsule":
                h = np.clip(((p - a) @ (b - a)) / max((b - a) @ (b - a), 1e-6), 0, 1)
                distance = np.linalg.norm(p - a - h[..., None] * (b - a), axis=-1) - 0.12
            else:
                distance = np.linalg.norm(np.maximum(np.abs(p - a) - np.abs(b) * 0.6 - 0.05, 0), axis=-1) - 0.04
            total += np.exp(-sharp * np.clip(distance, -1, 2))
    field = -np.log(total) / sharp
    field[[0, -1]] = field[:, [0, -1]] = field[:, :, [0, -1]] = 0.2  # closed within the grid
    vertices, faces, *_ = marching_cubes(field, 0.0)
    return project(Part(vertices / 21.5 - 1, faces, np.zeros((len(faces), 3, 2))), chance.uniform(0.6, 1.6))


def cut(chance: np.random.Generator) -> Part:
    """A solid with others taken away or joined on: brackets, frames, dice, machine parts."""
    import trimesh

    def solid() -> trimesh.Trimesh:
        kind = chance.choice(["box", "cylinder", "ball", "cone"])
        if kind == "box":
            return trimesh.creation.box(chance.uniform(0.4, 1.2, 3))
        if kind == "cylinder":
            return trimesh.creation.cylinder(chance.uniform(0.15, 0.5), chance.uniform(0.3, 1.4), sections=40)
        if kind == "cone":
            return trimesh.creation.cone(chance.uniform(0.3, 0.6), chance.uniform(0.5, 1.2), sections=40)
        return trimesh.creation.icosphere(3, chance.uniform(0.3, 0.6))

    shape = solid()
    for _ in range(chance.integers(1, 5)):
        tool = solid()
        turn = np.eye(4)
        turn[:3, :3] = rotation(np.eye(3)[chance.integers(3)], chance.choice([0, 0.5, 1]) * np.pi / 2)
        turn[:3, 3] = chance.uniform(-0.4, 0.4, 3) * chance.choice([0, 1], 3)
        tool.apply_transform(turn)
        tool.apply_scale(chance.uniform(0.5, 0.9))
        result = (shape.difference if chance.random() < 0.75 else shape.union)(tool, engine="manifold")
        if len(result.faces) > 20:
            shape = result
    return project(Part(np.array(shape.vertices, float), np.array(shape.faces), np.zeros((len(shape.faces), 3, 2))))


# --- objects: lists of groups of parts; a group shares a material

SHAPES = (lathe, sweep, extrusion, superquadric, blend, cut)


def _shape(chance: np.random.Generator, kinds=SHAPES) -> Part:
    return kinds[chance.integers(len(kinds))](chance)


def _fitted(part: Part, size) -> Part:
    """Standing on z = 0, centred, its bounds made `size` (3,); nan keeps the proportions."""
    low, extent = part.vertices.min(0), np.maximum(part.size, 1e-6)
    scale = np.asarray(size, float) / extent
    scale = np.where(np.isnan(scale), np.nanmin(scale), scale)
    return part.moved(-(low + extent * (0.5, 0.5, 0)) * scale, scale)


def _single(kind):
    return lambda chance: [[kind(chance)]]


def _stack(chance: np.random.Generator) -> list[list[Part]]:
    """Shapes on top of each other."""
    groups, z = [], 0.0
    for _ in range(chance.integers(2, 6)):
        width = chance.uniform(0.3, 1)
        part = _fitted(_shape(chance), (width, np.nan if chance.random() < 0.5 else width, chance.uniform(0.15, 0.8)))
        groups.append([part.moved((0, 0, z - 0.01))])
        z += part.size[2]
    return groups


def _table(chance: np.random.Generator) -> list[list[Part]]:
    """A top on three to six legs, perhaps a back, a shelf, and something on it."""
    width, depth, height = chance.uniform(0.6, 1.4), chance.uniform(0.5, 0.9), chance.uniform(0.4, 1)
    thick = chance.uniform(0.04, 0.12)
    round_top = chance.random() < 0.35
    top = (_fitted(extrusion(chance), (width, depth, thick)) if round_top else
           box((width, depth, thick)).moved((0, 0, thick / 2))).moved((0, 0, height))
    leg = _fitted(_shape(chance, (lathe, extrusion)), (0.08, 0.08, height))
    spots = _ring(np.ones(int(chance.integers(3, 7)))) * 0.35 if round_top else np.array(
        [[1, 1], [-1, 1], [-1, -1], [1, -1]]) * 0.42
    legs = [leg.moved((x * width, y * depth, 0)) for x, y in spots]
    groups = [[top], legs]
    if chance.random() < 0.4:
        groups.append([box((width, 0.05, chance.uniform(0.4, 0.8))).moved((0, depth / 2, height + 0.3))])
    if chance.random() < 0.4:
        groups.append([box((0.85 * width, 0.85 * depth, 0.04)).moved((0, 0, 0.3 * height))])
    if chance.random() < 0.5:
        groups.append([_fitted(_shape(chance), (0.3, np.nan, np.nan)).moved((0, 0, height + thick))])
    return groups


def _shelf(chance: np.random.Generator) -> list[list[Part]]:
    """Boards between two sides, with things on them."""
    width, depth, height, boards = chance.uniform(0.6, 1.2), chance.uniform(0.25, 0.5), chance.uniform(0.8, 1.6), \
        int(chance.integers(2, 5))
    levels = np.linspace(0.02, height - 0.02, boards + 1)
    frame = [box((width, depth, 0.04)).moved((0, 0, z)) for z in levels]
    frame += [box((0.04, depth, height)).moved((s * width / 2, 0, height / 2)) for s in (-1, 1)]
    things = []
    for z in levels[:-1]:
        for x in np.linspace(-0.32, 0.32, 3) * width:
            if chance.random() < 0.6:
                room = (height / boards - 0.08) * chance.uniform(0.5, 0.9)
                things.append([_fitted(_shape(chance, (lathe, superquadric, extrusion)),
                                       (0.22 * width, min(0.22 * width, depth), room)).moved((x, 0, z + 0.02))])
    back = [[box((width, 0.02, height)).moved((0, depth / 2, height / 2))]] if chance.random() < 0.5 else []
    return [frame, *back, *things[:5]]


def _vessel(chance: np.random.Generator) -> list[list[Part]]:
    """A turned body with handles, perhaps a lid or a spout."""
    body = _fitted(lathe(chance), (0.7, 0.7, chance.uniform(0.5, 1.1)))
    height = body.size[2]
    a = np.linspace(-0.5, 0.5, 28) * np.pi
    reach = chance.uniform(0.15, 0.32)
    path = np.stack([0.3 + reach * np.cos(a), 0 * a, height * (0.5 + chance.uniform(0.2, 0.38) * np.sin(a))], 1)
    handle = tube(_rings_along(path, _ring(np.ones(16)), np.full(28, chance.uniform(0.02, 0.05)), 0 * a), capped=True)
    handles = [handle] + ([handle.moved(scale=(-1, -1, 1))] if chance.random() < 0.35 else [])
    groups = [[body], handles] if chance.random() < 0.5 else [[body, *handles]]
    if chance.random() < 0.5:
        groups.append([_fitted(_shape(chance, (lathe, superquadric)), (0.4, 0.4, 0.22)).moved((0, 0, height - 0.02))])
    return groups


def _around(chance: np.random.Generator) -> list[list[Part]]:
    """A core with copies of a part around it: wheels, flowers, chandeliers, machines."""
    core = _fitted(_shape(chance), (0.5, 0.5, chance.uniform(0.2, 1)))
    count, height = int(chance.integers(3, 9)), chance.uniform(0, 0.8) * core.size[2]
    arm = _fitted(_shape(chance), (chance.uniform(0.2, 0.5), chance.uniform(0.1, 0.3), chance.uniform(0.1, 0.5)))
    ring = chance.uniform(0.25, 0.5)
    copies = [arm.moved((ring, 0, height)).moved(rotation=rotation(np.array([0, 0, 1.0]), 2 * np.pi * k / count))
              for k in range(count)]
    groups = [[core], copies]
    if chance.random() < 0.4:
        a = np.linspace(0, 2 * np.pi, 49)
        path = np.stack([(ring + 0.1) * np.cos(a), (ring + 0.1) * np.sin(a), 0 * a + height + 0.05], 1)
        groups.append([tube(_rings_along(path, _ring(np.ones(12)), np.full(49, chance.uniform(0.03, 0.07)), 0 * a))])
    return groups


def _scatter(chance: np.random.Generator) -> list[list[Part]]:
    """A few shapes stuck into each other anyhow."""
    return [[_fitted(_shape(chance), (chance.uniform(0.3, 0.8), np.nan, np.nan)).moved(
        chance.uniform(-0.3, 0.3, 3), rotation=rotation(chance.standard_normal(3), chance.uniform(0, 3)))]
        for _ in range(chance.integers(2, 6))]


def _blocks(chance: np.random.Generator) -> list[list[Part]]:
    """Boxes on a raster, like houses, towers, consoles and crates."""
    groups: list[list[Part]] = [[], [], []]
    for x in range(chance.integers(1, 4)):
        for y in range(chance.integers(1, 4)):
            z = 0.0
            for _ in range(chance.integers(1, 4)):
                size = chance.uniform(0.2, 0.34, 2)
                height = chance.uniform(0.08, 0.5)
                part = box((*size, height), 0.01) if chance.random() < 0.7 else _fitted(_shape(chance), (*size, height)
                                                                                        ).moved((0, 0, -height / 2))
                groups[chance.integers(3)].append(part.moved((0.33 * x, 0.33 * y, z + height / 2)))
                z += height
    return [group for group in groups if group]


# kind -> (weight, maker)
OBJECTS = {"lathe": (12, _single(lathe)), "sweep": (8, _single(sweep)), "extrusion": (7, _single(extrusion)),
           "superquadric": (6, _single(superquadric)), "blend": (9, _single(blend)), "cut": (9, _single(cut)),
           "stack": (13, _stack), "table": (9, _table), "shelf": (6, _shelf), "vessel": (9, _vessel),
           "around": (8, _around), "scatter": (6, _scatter), "blocks": (7, _blocks)}
