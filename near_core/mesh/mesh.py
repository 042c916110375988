"""What a triangle mesh with metallic-roughness materials is, its bounds and its asset frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import Message, NearError

MAX_TRIANGLES = 20_000_000
MAX_BYTES = 2 * 2**30
BRIGHTEST = 1e6  # radiance that a material emits at most
COATED = 0.5  # weight of a clear coat on what is less of a metal, from which it is the surface's gloss
STEEPEST = WHITEST = 1e3  # times that a normal map is strengthened, and that colours are multiplied, at most
FARTHEST = 1e6  # maps away that a UV lies at most


@dataclass(frozen=True, eq=False)
class Material:
    """A metallic-roughness material; every map is multiplied by its factor. The defaults are those of "no material".

    base_color: (4,) linear Rec.709 and alpha. roughness, metallic, normal_scale: factors.
    base_color_map: (h, w, 4) uint8 sRGB with alpha. roughness_map, metallic_map: (h, w) uint8.
    normal_map: (h, w, 3) uint8, tangent space, green along +V. Row 0 of every map is its top, V = 1.
    wrap: what lies outside of the maps along U and V: "repeat", "mirror" or "clamp".
    emission: (3,) linear radiance up to BRIGHTEST. emission_map: (h, w, 4) uint8 sRGB, opaque.
    """

    name: str = ""
    base_color: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)
    roughness: float = 0.5
    metallic: float = 0.0
    base_color_map: np.ndarray | None = None
    roughness_map: np.ndarray | None = None
    metallic_map: np.ndarray | None = None
    normal_map: np.ndarray | None = None
    normal_scale: float = 1.0
    wrap: tuple[str, str] = ("repeat", "repeat")
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emission_map: np.ndarray | None = None

    def __post_init__(self):
        """Numbers that are none, or none that a surface can have, become some: files and nodes hold any."""
        for name, most in (("base_color", WHITEST), ("emission", BRIGHTEST), ("roughness", 1.0), ("metallic", 1.0),
                           ("normal_scale", STEEPEST)):
            given, usual = np.asarray(getattr(self, name)), getattr(Material, name)
            if given.dtype.kind not in "fiu" or given.shape != np.shape(usual):
                continue  # of another form; who takes it from another process refuses it
            settled = np.clip(np.where(np.isfinite(given), given, usual), -most if name == "normal_scale" else 0, most)
            if not np.array_equal(settled, given):
                object.__setattr__(self, name, tuple(settled.tolist()) if settled.ndim else float(settled))

    @property
    def glows(self) -> bool:
        """Whether any of it emits light."""
        return any(self.emission) and (self.emission_map is None or bool(self.emission_map[..., :3].any()))


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, drawn from both sides.

    vertices: (V, 3) float32, Z up, front -Y; metres, or asset units after `normalize`.
    faces: (F, 3) int32, counter-clockwise from outside where the file knows.
    corner_uv: (F, 3, 2) float32, V up, or None. corner_normal: (F, 3, 3) float32, or None for flat faces.
    corner_color: (F, 3, 4) float32 linear, multiplies the base colour, or None.
    material_index: (F,) int32 into materials.
    """

    vertices: np.ndarray
    faces: np.ndarray
    corner_uv: np.ndarray | None = None
    corner_normal: np.ndarray | None = None
    corner_color: np.ndarray | None = None
    material_index: np.ndarray | None = None
    materials: tuple[Material, ...] = (Material(),)

    def __post_init__(self):
        if self.material_index is None:
            object.__setattr__(self, "material_index", np.zeros(len(self.faces), np.int32))
        for name, most in (("corner_uv", FARTHEST), ("corner_normal", 1e3), ("corner_color", WHITEST)):
            given = getattr(self, name)  # what is no number would spoil the surface around it
            if isinstance(given, np.ndarray) and given.size and not np.abs(given).max() <= most:
                object.__setattr__(self, name, np.clip(np.nan_to_num(given, posinf=0, neginf=0), -most, most))


def check(mesh: Mesh, what: str = Message("The mesh")) -> Mesh:
    """The mesh itself where it can be sampled; otherwise raises NearError. what: how messages name it."""
    again = "Clean the mesh up and export it again."
    if len(mesh.faces) == 0:
        raise NearError("{what} has no faces.", "Choose a mesh with a surface.", what=what)
    if len(mesh.faces) > MAX_TRIANGLES:
        raise too_many(what, len(mesh.faces))
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise NearError("{what} has faces that name vertices it does not have.", again, what=what)
    if mesh.material_index.min() < 0 or mesh.material_index.max() >= len(mesh.materials):
        raise NearError("{what} has faces of materials it does not have.", again, what=what)
    if not np.isfinite(mesh.vertices).all():
        raise NearError("{what} has vertices at infinity or not-a-number.", again, what=what)
    low, high = compute_bounds(mesh)
    if not 1e-12 < float((high - low).max()) < 1e12:
        raise NearError("{what} has no usable size: all its faces lie in one point, or endlessly far apart.",
                        "Check its scale and export it again.", what=what)
    return mesh


def too_many(what: str, triangles: int) -> NearError:
    """The error for meshes above MAX_TRIANGLES."""
    most = MAX_TRIANGLES // 10**6
    return NearError("{what} has {millions:.0f} million triangles; {most} million are the most.",
                     "Decimate it; an asset has no more than 128 cells along an edge.", what=what,
                     millions=triangles / 1e6, most=most)


def compute_bounds(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) float64 of the vertices that faces use."""
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    points = mesh.vertices[used]
    return points.min(0).astype(np.float64), points.max(0).astype(np.float64)


def normalize(mesh: Mesh) -> tuple[Mesh, float, np.ndarray]:
    """The mesh in its asset frame: centred on its bounds, longest side 1.

    Returns it with the extent (length of the longest side) and the centre (3,) float64, both in the mesh's own units:
    vertices = asset * extent + centre.
    """
    low, high = compute_bounds(check(mesh))
    extent, centre = float((high - low).max()), (low + high) / 2
    return replace(mesh, vertices=((mesh.vertices - centre) / extent).astype(np.float32)), extent, centre


def merge(parts: list[Mesh], materials: tuple[Material, ...]) -> Mesh:
    """One mesh from parts that index the same materials; attributes that only some parts have are filled in."""
    start = np.cumsum([0] + [len(p.vertices) for p in parts])
    faces = [p.faces.astype(np.int32) + np.int32(offset) for p, offset in zip(parts, start)]

    def joined(name: str, fill) -> np.ndarray | None:
        if all(getattr(p, name) is None for p in parts):
            return None
        values = [fill(p) if getattr(p, name) is None else getattr(p, name) for p in parts]
        return np.concatenate(values).astype(np.float32)

    return Mesh(
        vertices=np.concatenate([p.vertices for p in parts]).astype(np.float32),
        faces=np.concatenate(faces),
        corner_uv=joined("corner_uv", lambda p: np.zeros((len(p.faces), 3, 2), np.float32)),
        corner_normal=joined("corner_normal", lambda p: np.repeat(compute_face_normals(p)[0][:, None], 3, 1)),
        corner_color=joined("corner_color", lambda p: np.ones((len(p.faces), 3, 4), np.float32)),
        material_index=np.concatenate([p.material_index for p in parts]).astype(np.int32),
        materials=materials)


def compute_face_normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (F, 3) float32 by winding, zero where a face has no area, and areas (F,) float32."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    return normal / np.maximum(length, 1e-30)[:, None], length / 2


def find_unwrapping(points: np.ndarray, normals: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How triangles lie on their maps.

    points: (F, 3, 3). normals: (F, 3) by winding. uv: (F, 3, 2).
    Returns the directions along which U and V grow on the triangle, (F, 2, 3), not unit, and UV area per area (F,).
    """
    edge1, edge2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    (u1, v1), (u2, v2) = (uv[:, 1] - uv[:, 0]).T, (uv[:, 2] - uv[:, 0]).T
    determinant = u1 * v2 - u2 * v1
    hand = np.where(determinant < 0, -1, 1)[:, None]
    along_u = (edge1 * v2[:, None] - edge2 * v1[:, None]) * hand
    along_v = np.cross(normals, along_u) * hand
    doubled = (np.cross(edge1, edge2) * normals).sum(1)
    return np.stack([along_u, along_v], 1), np.abs(determinant) / np.maximum(doubled, 1e-30)


def turn_upright(xyz: np.ndarray) -> np.ndarray:
    """Y-up, front +Z -> Z-up, front -Y. (..., 3)."""
    return np.stack([xyz[..., 0], -xyz[..., 2], xyz[..., 1]], -1)
