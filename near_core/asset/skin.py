"""The skin: an asset's surface as triangles with maps, as fine as what it was made from.

What fills a picture is drawn by its skin; how it is lit, its surfels say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..directions import decode_octahedral, encode_octahedral, unit
from ..errors import Message, NearError
from ..mesh import BRIGHTEST, Mesh, compute_face_normals, texture

MAX_FACES, MAX_VERTICES, MAX_MATERIALS = 4_000_000, 12_000_000, 256
LONGEST_BENT = 0.04  # asset units; longer edges of a skin are halved, so that it bends as the surfels do
MAX_SIDE = 4096  # pixels of a map's longer edge
MOST = 100.0  # of a material's factors: light goes on from surface to surface, and a picture holds no more than 1e38
WRAPS = ("repeat", "mirror", "clamp")
MAPS = ("base_color", "roughness", "metallic", "normal")  # the order of columns in SkinMaterial.maps


@dataclass(frozen=True)
class SkinMaterial:
    """A metallic-roughness material as mesh.Material, with its maps as rows of Skin.pictures.

    maps: (base colour with alpha, roughness, metallic, normal), -1 for none. emission: linear radiance, emission_map:
    of what it is multiplied with, -1 for none.
    """

    base_color: tuple[float, float, float, float]
    roughness: float
    metallic: float
    normal_scale: float
    wrap: tuple[str, str]
    maps: tuple[int, int, int, int]
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emission_map: int = -1


@dataclass(frozen=True, eq=False)
class Skin:
    """Triangles in the asset's frame, seen from both sides. V vertices, F faces; floats are float32.

    vertices: (V, 3). normal: (V, 3) unit, or None for flat faces. uv: (V, 2), V up. color: (V, 4) linear, multiplies
    the base colour, or None. faces: (F, 3) int32. material: (F,) int32 into materials. pictures: encoded maps, WebP.
    """

    vertices: np.ndarray
    normal: np.ndarray | None
    uv: np.ndarray
    color: np.ndarray | None
    faces: np.ndarray
    material: np.ndarray
    materials: tuple[SkinMaterial, ...]
    pictures: tuple[bytes, ...]


def subdivide(skin: Skin, longest: float, most: int = 500_000) -> Skin:
    """The same surface with edges up to `longest` asset units, as long as that takes no more than `most` triangles, so
    that it can be bent. What meets at an edge is divided alike and stays whole."""
    while True:
        edges = find_edges(skin.faces)
        split = measure_edges(skin, edges[0]) > longest
        if not split.any() or len(skin.faces) + split[edges[1]].sum() > most:
            return skin
        skin = split_edges(skin, edges, split)


def find_facing(skin: Skin) -> np.ndarray:
    """(V, 3) float32 unit: where its surface faces at each vertex."""
    if skin.normal is not None:
        return skin.normal
    normal, area = compute_face_normals(Mesh(skin.vertices, skin.faces))
    weighted = np.repeat(normal * area[:, None], 3, 0)
    return unit(np.stack([np.bincount(skin.faces.ravel(), axis, len(skin.vertices)) for axis in weighted.T], 1)
                ).astype(np.float32)


def find_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of triangles (F, 3), (E, 2) rows of vertices, the lower first, and which of them leads from each corner
    to the next, (F, 3)."""
    start, end = faces.astype(np.int64), np.roll(faces, -1, 1).astype(np.int64)
    keys, row = np.unique(np.minimum(start, end) << 32 | np.maximum(start, end), return_inverse=True)
    return np.stack([keys >> 32, keys & 0xffffffff], 1), row.reshape(faces.shape)


def measure_edges(skin: Skin, ends: np.ndarray) -> np.ndarray:
    """(E,) how long edges (E, 2) are, asset units."""
    x, y, z = (skin.vertices[ends[:, 0]] - skin.vertices[ends[:, 1]]).T
    return np.sqrt(x * x + y * y + z * z)


def split_edges(skin: Skin, edges: tuple[np.ndarray, np.ndarray], chosen: np.ndarray) -> Skin:
    """Halves the chosen ones, (E,), of a skin's edges, as find_edges finds them, in all faces that share one. Vertices
    keep their rows; new ones follow, in the order of the edges."""
    ends, row = edges
    split = chosen[row]
    middle = len(skin.vertices) + (np.cumsum(chosen) - 1)[row]  # of edges that are split
    ends, count = ends[chosen], split.sum(1)
    # turned so that a single split edge is the first, a single whole one the last
    turn = np.where(count == 1, split.argmax(1), (split.argmin(1) + 1) % 3)[:, None] + np.arange(3)
    a, b, c = np.take_along_axis(skin.faces, turn % 3, 1).T
    ab, bc, ca = np.take_along_axis(middle, turn % 3, 1).T
    patterns = {0: [(a, b, c)], 1: [(a, ab, c), (ab, b, c)], 2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
                3: [(a, ab, ca), (ab, b, bc), (bc, c, ca), (ab, bc, ca)]}
    made = [(np.stack(corners, 1)[count == number], skin.material[count == number])
            for number, triangles in patterns.items() for corners in triangles]
    faces, material = (np.concatenate(each) for each in zip(*made))

    def halve(values: np.ndarray | None, even: bool = False) -> np.ndarray | None:
        if values is None:
            return None
        new = (values[ends[:, 0]] + values[ends[:, 1]]) / 2
        return np.concatenate([values, unit(new) if even else new]).astype(np.float32)

    return replace(skin, vertices=halve(skin.vertices), normal=halve(skin.normal, True), uv=halve(skin.uv),
                   color=halve(skin.color), faces=faces.astype(np.int32), material=material)


def decode_pictures(pictures: Sequence[bytes]) -> list[np.ndarray]:
    """The pictures of a skin, each (h, w, 4) uint8. Raises NearError for those that no skin has."""
    found: list[np.ndarray] = []
    for data in pictures:
        found.append(texture.decode(data, "A map of the asset"))
        if max(found[-1].shape[:2]) > MAX_SIDE:
            raise NearError("A map of the asset is larger than {most} pixels.", "Create the asset again.",
                            most=MAX_SIDE)
        texture.require_room(found, Message("The asset"))
    return found


def pack(skin: Skin) -> dict[str, np.ndarray]:
    """The tensors of a skin in an asset's file."""
    factors = [[*m.base_color, m.roughness, m.metallic, m.normal_scale] for m in skin.materials]
    tensors = {
        "skin_position": np.round(np.clip(skin.vertices + 0.5, 0, 1) * 65535).astype(np.uint16),
        "skin_uv": skin.uv.astype(np.float32),
        "skin_face": skin.faces.astype(np.int32),
        "skin_face_material": skin.material.astype(np.uint8),
        "skin_material": np.array(factors, np.float32),
        "skin_material_map": np.array([m.maps for m in skin.materials], np.int16),
        "skin_material_wrap": np.array([[WRAPS.index(w) for w in m.wrap] for m in skin.materials], np.uint8),
    }
    if skin.normal is not None:
        tensors["skin_normal"] = np.round(encode_octahedral(skin.normal) * 32767).astype(np.int16)
    if skin.color is not None:
        tensors["skin_color"] = skin.color.astype(np.float16)
    if any(any(m.emission) for m in skin.materials):
        tensors["skin_emission"] = np.clip(np.array([m.emission for m in skin.materials], np.float32), 0, BRIGHTEST)
        tensors["skin_emission_map"] = np.array([[m.emission_map] for m in skin.materials], np.int16)
    return tensors | {f"skin_picture_{n}": np.frombuffer(data, np.uint8) for n, data in enumerate(skin.pictures)}


def read(tensors: dict[str, np.ndarray]) -> Skin | None:
    """The skin in an asset's tensors, None where there is none. Raises ValueError or KeyError where it is damaged."""
    if "skin_face" not in tensors:
        return None
    count, faces, kinds = (len(tensors[f"skin_{name}"]) for name in ("position", "face", "material"))
    pictures = sum(name.startswith("skin_picture_") for name in tensors)
    shapes = {"position": (count, 3, np.uint16), "uv": (count, 2, np.float32),
              "face": (faces, 3, np.int32), "material": (kinds, 7, np.float32),
              "material_map": (kinds, 4, np.int16), "material_wrap": (kinds, 2, np.uint8)}
    optional = {"normal": (count, 2, np.int16), "color": (count, 4, np.float16), "emission": (kinds, 3, np.float32),
                "emission_map": (kinds, 1, np.int16)}
    shapes |= {name: shape for name, shape in optional.items() if f"skin_{name}" in tensors}
    part = {name: _take(tensors, f"skin_{name}", shape) for name, shape in shapes.items()}
    part = {"emission": np.zeros((kinds, 3), np.float32), "emission_map": np.full((kinds, 1), -1, np.int16)} | part
    material = _take(tensors, "skin_face_material", (faces, np.uint8)).astype(np.int32)
    fits = (0 < count <= MAX_VERTICES and 0 < faces <= MAX_FACES and 0 < kinds <= MAX_MATERIALS
            and material.max() < kinds
            and part["face"].min() >= 0 and part["face"].max() < count
            and all(part[name].min() >= -1 and part[name].max() < pictures for name in ("material_map", "emission_map"))
            and 0 <= part["emission"].min() and part["emission"].max() <= BRIGHTEST
            and part["material_wrap"].max() < len(WRAPS)
            and all(np.isfinite(part[name].astype(np.float32)).all() for name in ("uv", "material", "color")
                    if name in part))
    if not fits:
        raise ValueError("skin")
    part |= {name: np.clip(part[name].astype(np.float32), -MOST, MOST) for name in {"material", "color"} & part.keys()}
    materials = tuple(_read_material(*rows) for rows in zip(part["material"], part["material_wrap"],
                                                            part["material_map"], part["emission"],
                                                            part["emission_map"]))
    return Skin(part["position"].astype(np.float32) / 65535 - 0.5,
                decode_octahedral(part["normal"].astype(np.float32) / 32767) if "normal" in part else None, part["uv"],
                part.get("color"), part["face"], material, materials,
                tuple(tensors[f"skin_picture_{n}"].tobytes() for n in range(pictures)))


def _read_material(factors: np.ndarray, wrap: np.ndarray, maps: np.ndarray, emission: np.ndarray,
                   emission_map: np.ndarray) -> SkinMaterial:
    r, g, b, alpha, roughness, metallic, normal_scale = factors.tolist()
    color, rough, metal, normal = maps.tolist()
    red, green, blue = emission.tolist()
    return SkinMaterial((r, g, b, alpha), roughness, metallic, normal_scale, (WRAPS[wrap[0]], WRAPS[wrap[1]]),
                        (color, rough, metal, normal), (red, green, blue), int(emission_map[0]))


def _take(tensors: dict[str, np.ndarray], name: str, shape: tuple) -> np.ndarray:
    values = tensors[name]
    if values.shape != shape[:-1] or values.dtype != shape[-1]:
        raise ValueError(name)
    return values
