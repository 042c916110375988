"""Shapes for procedural objects: turned, swept, extruded, superquadric, melted and cut surfaces.

Blends need scikit-image, cut shapes trimesh with manifold3d; none of it ships to artists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...directions import unit


@dataclass(frozen=True)
class ShapePart:
    """A surface. vertices: (V, 3) float64. faces: (F, 3) int. uv: (F, 3, 2) per corner."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray

    def move(self, offset=(0, 0, 0), scale=1.0, rotation: np.ndarray | None = None) -> ShapePart:
        """Scaled (one number or one per axis), then rotated (3, 3), then shifted."""
        points = self.vertices * np.asarray(scale, float)
        points = points if rotation is None else points @ rotation.T
        return replace(self, vertices=points + np.asarray(offset, float))

    @property
    def size(self) -> np.ndarray:
        """(3,) of its bounds."""
        return np.ptp(self.vertices, axis=0)


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """(3, 3) by Rodrigues' formula."""
    x, y, z = unit(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def tube(rings: np.ndarray, tiles=(2.0, 2.0), capped: bool = False) -> ShapePart:
    """A surface through rings (R, S, 3) of points, each ring closed; capped: ends are closed by fans."""
    count, sides = rings.shape[:2]
    i, j = np.meshgrid(np.arange(count - 1), np.arange(sides), indexing="ij")
    below, above = i * sides, (i + 1) * sides
    quads = np.stack([below + j, below + (j + 1) % sides, above + (j + 1) % sides, above + j], -1).reshape(-1, 4)
    u, v = np.stack([j, j + 1, j + 1, j], -1) / sides, np.stack([i, i, i + 1, i + 1], -1) / (count - 1)
    uv = np.stack([u * tiles[0], v * tiles[1]], -1).reshape(-1, 4, 2)
    part = ShapePart(rings.reshape(-1, 3), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
                     np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]))
    part = drop_slivers(part)
    return join([part, _cap(rings[0], True), _cap(rings[-1], False)]) if capped else part


def _cap(ring: np.ndarray, turned: bool) -> ShapePart:
    sides = len(ring)
    j = np.arange(sides)
    rim = [(j + 1) % sides, j] if turned else [j, (j + 1) % sides]
    faces = np.stack([np.full(sides, sides), *rim], 1)
    vertices = np.concatenate([ring, ring.mean(0, keepdims=True)])
    return drop_slivers(project_uvs(ShapePart(vertices, faces, np.zeros((sides, 3, 2)))))


def drop_slivers(part: ShapePart) -> ShapePart:
    """Without faces of no area, which have no normal."""
    a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
    keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-10
    return ShapePart(part.vertices, part.faces[keep], part.uv[keep])


def join(parts: list[ShapePart]) -> ShapePart:
    """Several surfaces as one part."""
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    return ShapePart(np.concatenate([p.vertices for p in parts]),
                     np.concatenate([p.faces + offset for p, offset in zip(parts, start)]),
                     np.concatenate([p.uv for p in parts]))


def project_uvs(part: ShapePart, tiles: float = 2.0) -> ShapePart:
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


def lathe(chance: np.random.Generator) -> ShapePart:
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
    return tube(rings, (float(chance.integers(1, 5)), float(chance.integers(1, 4)))).move(scale=squeeze)


def _draw_outline(chance: np.random.Generator) -> np.ndarray:
    """A closed outline (S, 2) around the origin, star-shaped: circle, polygon, star, gear, flower, rounded box."""
    kind = chance.choice(["circle", "polygon", "star", "gear", "flower", "box"])
    if kind == "polygon":
        return ring(np.ones(int(chance.integers(3, 8))))
    if kind == "star":
        return ring(np.tile([1.0, chance.uniform(0.4, 0.75)], int(chance.integers(4, 9))))
    if kind == "gear":
        return ring(np.tile([1.0, 1.0, 0.8, 0.8], int(chance.integers(6, 14))))
    angle = np.arange(32) / 32 * 2 * np.pi
    if kind == "flower":
        return ring(1 + chance.uniform(0.08, 0.25) * np.cos(chance.integers(3, 8) * angle))
    if kind == "box":
        power = chance.uniform(3, 8)
        return ring((np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)) * (
            1, chance.uniform(0.3, 1))
    return ring(np.ones(32))


def ring(radius: np.ndarray) -> np.ndarray:
    """A closed outline (S, 2) of points at these radii (S,), evenly turned."""
    angle = np.arange(len(radius)) / len(radius) * 2 * np.pi
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def sweep(chance: np.random.Generator) -> ShapePart:
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
    return tube(rings_along(path, _draw_outline(chance), width, twist), (2.0, 6.0), capped=not closed)


def rings_along(path: np.ndarray, outline: np.ndarray, width: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """The outline (S, 2) at each point of a path (R, 3), square to it, without roll: (R, S, 3)."""
    tangent = np.gradient(path, axis=0)
    if np.linalg.norm(path[0] - path[-1]) < 1e-6:
        tangent[0] = tangent[-1] = path[1] - path[-2]
    tangent = unit(tangent)
    side = np.cross(tangent[0], (0.31, 0.59, 0.74))
    rings = []
    for point, along, w, angle in zip(path, tangent, width, twist):
        side = unit(side - (side @ along) * along)
        up = np.cross(along, side)
        c, s = np.cos(angle), np.sin(angle)
        x, y = outline[:, 0] * c - outline[:, 1] * s, outline[:, 0] * s + outline[:, 1] * c
        rings.append(point + w * (x[:, None] * side + y[:, None] * up))
    if np.linalg.norm(path[0] - path[-1]) < 1e-6:
        rings[-1] = rings[0]
    return np.stack(rings)


def extrusion(chance: np.random.Generator) -> ShapePart:
    """An outline pulled up, with bevelled edges; some taper or twist."""
    outline, height, bevel = _draw_outline(chance), chance.uniform(0.15, 1.6), chance.uniform(0.01, 0.08)
    levels = np.array([0, bevel, *np.linspace(bevel, height - bevel, 10)[1:-1], height - bevel, height])
    inset = np.ones(len(levels))
    inset[[0, -1]] = 1 - bevel * chance.uniform(0.5, 2)
    inset *= 1 + (levels / height) * chance.choice([0, 0, -0.6, -0.3, 0.4])
    twist = levels / height * chance.choice([0, 0, 0, 0.8, 2.0])
    path = np.stack([0 * levels, 0 * levels, levels], 1)
    return tube(rings_along(path, outline, 0.5 * inset, twist), (4.0, 2.0), capped=True)


def superquadric(chance: np.random.Generator) -> ShapePart:
    """Barr's superellipsoids and supertoroids: everything from pillow to box, spindle and star."""
    power = lambda x, e: np.sign(x) * np.abs(x) ** e
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
    return tube(rings, (4.0, 2.0)).move(scale=chance.uniform(0.25, 0.7, 3))


def box(size, bevel: float = 0.02) -> ShapePart:
    """A box of the given size with bevelled edges, centred."""
    half = np.asarray(size, float) / 2
    bevel = min(bevel, 0.4 * half.min())
    square = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], float)
    square_ring = lambda inset, z: np.column_stack([square * (half[:2] - inset), np.full(4, z)])
    rings = np.stack([square_ring(bevel, -half[2]), square_ring(0, bevel - half[2]),
                      square_ring(0, half[2] - bevel), square_ring(bevel, half[2])])
    return project_uvs(tube(rings, capped=True))


def blend(chance: np.random.Generator) -> ShapePart:
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
    return project_uvs(ShapePart(vertices / 21.5 - 1, faces, np.zeros((len(faces), 3, 2))), chance.uniform(0.6, 1.6))


def cut(chance: np.random.Generator) -> ShapePart:
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
    vertices, faces = np.array(shape.vertices, float), np.array(shape.faces)
    return project_uvs(ShapePart(vertices, faces, np.zeros((len(faces), 3, 2))))


SHAPES = (lathe, sweep, extrusion, superquadric, blend, cut)
