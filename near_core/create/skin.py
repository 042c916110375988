"""The verb create, for the skin: a mesh becomes triangles and maps that a small file can hold."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np

from ..asset import Skin, SkinMaterial
from ..asset.skin import MAPS, MAX_SIDE
from ..mesh import Mesh, compute_face_normals
from .config import SkinConfig

USUAL = 2.5  # triangles for each vertex: a closed surface has two; where there are more some lie doubled


def make_skin(mesh: Mesh, config: SkinConfig) -> Skin:
    """The skin of a mesh in the asset's frame: config.faces triangles and config.picture_bytes of maps at most."""
    mesh = merge_vertices(mesh, config.faces)
    corner = _gather_corners(mesh)
    key = np.ascontiguousarray(np.concatenate([part.view(np.int32) for part in corner.values()], 1))
    _, first, row = np.unique(key.view(np.dtype((np.void, key.itemsize * key.shape[1]))).ravel(), return_index=True,
                              return_inverse=True)
    vertex = {name: part[first] for name, part in corner.items()}
    pictures: list[np.ndarray] = []
    materials = tuple(_convert(material, pictures) for material in mesh.materials)
    faces, material = row.reshape(-1, 3), mesh.material_index
    kept = _find_different(faces, material)
    return Skin(vertex["position"], vertex.get("normal"), vertex["uv"], vertex.get("color"),
                faces[kept].astype(np.int32), material[kept].astype(np.int32), materials,
                encode_pictures(pictures, config.picture_bytes))


def merge_vertices(mesh: Mesh, most: int) -> Mesh:
    """A mesh of no more than `most` triangles: vertices in one cell of a grid become one.

    The grid is the finest that will do, of 2048 cells along the cube's edge to begin with. What has no area goes, then
    what is there twice. The corners keep their normals and places on maps. Source: Rossignac and Borrel 1993.
    """
    area = compute_face_normals(mesh)[1]
    mesh, cells = _take_faces(mesh, area > 0), 2048.0
    if len(mesh.faces) > most:
        mesh = _drop_doubles(mesh)
    while len(mesh.faces) > most:
        smaller = _drop_doubles(_cluster(mesh, cells))
        if not len(smaller.faces):  # they lie upon each other, or each in a cell of its own
            return _take_largest(mesh, most)
        mesh, cells = smaller, cells / 1.25
    return mesh


def encode_pictures(pictures: list[np.ndarray], most: int) -> tuple[bytes, ...]:
    """Maps as WebP: without loss where all take `most` bytes or less, else with little, then at half their size. None
    has more than MAX_SIDE pixels along an edge."""
    for number, picture in enumerate(pictures):
        while max(picture.shape[:2]) > MAX_SIDE:
            picture = _halve(picture)
        pictures[number] = picture
    encoded = [_encode(picture, lossless=True) for picture in pictures]
    if sum(map(len, encoded)) > most:
        encoded = [_encode(picture, lossless=False) for picture in pictures]
    while sum(map(len, encoded)) > most:
        largest = int(np.argmax([picture.size for picture in pictures]))
        pictures[largest] = _halve(pictures[largest])
        encoded[largest] = _encode(pictures[largest], lossless=False)
    return tuple(encoded)


def _gather_corners(mesh: Mesh) -> dict[str, np.ndarray]:
    """What every corner has, (3 F, n) float32 each."""
    corner = {"position": mesh.vertices[mesh.faces].reshape(-1, 3).astype(np.float32)}
    if mesh.corner_normal is not None:
        corner["normal"] = mesh.corner_normal.reshape(-1, 3)
    corner["uv"] = np.zeros((len(corner["position"]), 2), np.float32) if mesh.corner_uv is None \
        else mesh.corner_uv.reshape(-1, 2)
    if mesh.corner_color is not None:
        corner["color"] = mesh.corner_color.reshape(-1, 4)
    return {name: np.ascontiguousarray(part, np.float32) + np.float32(0) for name, part in corner.items()}


def _drop_doubles(mesh: Mesh) -> Mesh:
    """The mesh without faces that are there twice, which are looked for where there are many."""
    if len(mesh.faces) <= USUAL * len(mesh.vertices):
        return mesh
    return _take_faces(mesh, _find_different(mesh.faces, mesh.material_index))


def _find_different(faces: np.ndarray, material: np.ndarray) -> np.ndarray:
    """(F,) bool: the first of the faces (F, 3) that have the same vertices, side and material (F,)."""
    turned = np.take_along_axis(faces, (faces.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    code, several = material.astype(np.int64), int(faces.max(initial=0)) + 1
    for corner in turned.T:
        _, first, code = np.unique(code * several + corner, return_index=True, return_inverse=True)
    chosen = np.zeros(len(faces), bool)
    chosen[first] = True
    return chosen


def _take_largest(mesh: Mesh, most: int) -> Mesh:
    """`most` triangles at most, one of those that have the same vertices."""
    first = np.unique(np.sort(mesh.faces, 1), axis=0, return_index=True)[1]
    area, chosen = compute_face_normals(mesh)[1], np.zeros(len(mesh.faces), bool)
    chosen[first[np.argsort(-area[first], kind="stable")[:most]]] = True
    return _take_faces(mesh, chosen)


def _take_faces(mesh: Mesh, chosen: np.ndarray) -> Mesh:
    if chosen.all():
        return mesh
    corners = {name: getattr(mesh, name)[chosen] for name in ("corner_uv", "corner_normal", "corner_color")
               if getattr(mesh, name) is not None}
    return replace(mesh, faces=mesh.faces[chosen], material_index=mesh.material_index[chosen], **corners)


def _cluster(mesh: Mesh, cells: float) -> Mesh:
    used = np.unique(mesh.faces)
    cell = np.floor((mesh.vertices[used] + 0.5) * cells).astype(np.int64)
    _, group = np.unique(cell @ np.array([1 << 42, 1 << 21, 1]), return_inverse=True)
    size = np.bincount(group)
    position = np.stack([np.bincount(group, axis) / size for axis in mesh.vertices[used].T], 1).astype(np.float32)
    row = np.zeros(len(mesh.vertices), np.int32)
    row[used] = group
    faces = row[mesh.faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return _take_faces(replace(mesh, vertices=position, faces=faces), whole)


def _convert(material, pictures: list[np.ndarray]) -> SkinMaterial:
    """A mesh's material, its maps added to pictures where they are not among them."""
    def place(picture: np.ndarray | None) -> int:
        if picture is None:
            return -1
        found = [n for n, other in enumerate(pictures) if other is picture or (
            other.shape == picture.shape and (other == picture).all())]
        if not found:
            pictures.append(picture)
        return found[0] if found else len(pictures) - 1

    made = SkinMaterial(tuple(map(float, material.base_color)), float(material.roughness), float(material.metallic),
                        float(material.normal_scale), tuple(material.wrap),
                        tuple(place(getattr(material, f"{name}_map")) for name in MAPS))
    if not material.glows:
        return made
    return replace(made, emission=tuple(map(float, material.emission)), emission_map=place(material.emission_map))


def _encode(picture: np.ndarray, lossless: bool) -> bytes:
    from PIL import Image
    out = io.BytesIO()
    if picture.ndim == 3 and picture.shape[2] == 4 and (picture[..., 3] == 255).all():
        picture = picture[..., :3]
    image = Image.fromarray(np.ascontiguousarray(picture))
    image = image.convert("RGBA" if image.mode == "RGBA" else "RGB")
    if lossless:
        image.save(out, "WEBP", lossless=True, quality=0, method=1)  # a twentieth larger and thrice as fast as the best
    else:
        image.save(out, "WEBP", quality=92)
    return out.getvalue()


def _halve(picture: np.ndarray) -> np.ndarray:
    from PIL import Image
    return np.asarray(Image.fromarray(picture).reduce(2))
