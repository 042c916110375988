"""Meshes to surfels and voxels: area-weighted surface samples, grouped per cell and side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import texture
from .mesh import Material, Mesh, face_normals
from .progress import Progress, silent
from .surfels import CELL, RESOLUTION, Surfels

SAMPLES_PER_CELL = 16  # on one cell's face worth of area
MAX_SAMPLES = 1_500_000
MAX_SIDES = 4  # differently directed pieces of surface kept apart in one cell
SAME_SIDE = 0.3  # cosine between normals of one piece
MIN_OPACITY = 0.02


@dataclass
class _Samples:
    """K points on the surface, all standing for the same area. Columns as in Surfels; shading_normal not yet unit."""

    position: np.ndarray
    normal: np.ndarray
    shading_normal: np.ndarray
    color: np.ndarray  # (K, 4) linear, premultiplied by its last column
    roughness: np.ndarray
    metallic: np.ndarray


def sample_surfels(mesh: Mesh, progress: Progress = silent) -> Surfels:
    """Surfels of a mesh in the asset's frame, one for each cell of the 128^3 grid and each side of the surface in it.

    Deterministic. What sticks out of the cube is kept, in the outermost cells.
    """
    progress("Sampling the surface", 0.0)
    samples, area = _sample(mesh, progress)
    progress("Grouping the samples", 0.7)
    cell = np.clip(((samples.position + 0.5) * RESOLUTION).astype(np.int64), 0, RESOLUTION - 1)
    cell = (cell[:, 0] * RESOLUTION + cell[:, 1]) * RESOLUTION + cell[:, 2]
    surfels = _averaged(samples, _grouped(cell, samples.normal), area / CELL ** 2)
    progress("Grouping the samples", 1.0)
    return surfels


def _sample(mesh: Mesh, progress: Progress) -> tuple[_Samples, float]:
    """Samples of the surface and the area (asset units squared) each stands for."""
    normals, areas = face_normals(mesh)
    total = float(areas.sum(dtype=np.float64))
    count = int(np.clip(total / CELL ** 2 * SAMPLES_PER_CELL, 1024, MAX_SAMPLES))
    face = _stratified(areas, count)
    corner = _barycentric(count)  # (K, 3)
    points = mesh.vertices[mesh.faces[face]]  # (K, 3 corners, 3)
    normal = normals[face]
    smooth = normal if mesh.corner_normal is None else _facing(_mixed(mesh.corner_normal[face], corner), normal)
    samples = _Samples(_mixed(points, corner), normal, smooth.copy(), np.ones((count, 4), np.float32),
                       np.empty(count, np.float32), np.empty(count, np.float32))
    uv = None if mesh.corner_uv is None else _mixed(mesh.corner_uv[face], corner)
    progress("Sampling the surface", 0.3)
    material = mesh.material_index[face]
    for index in np.unique(material):
        chosen = np.flatnonzero(material == index)
        frame = None if uv is None else _frame(mesh.corner_uv[face[chosen]], points[chosen], smooth[chosen], uv[chosen])
        _shade(samples, chosen, mesh.materials[index], frame, total / count)
        progress("Sampling the surface", 0.3 + 0.4 * float(index) / len(mesh.materials))
    if mesh.corner_color is not None:
        color = _mixed(mesh.corner_color[face], corner)
        samples.color *= np.concatenate([color[:, :3] * color[:, 3:], color[:, 3:]], 1)
    return samples, total / count


def _stratified(areas: np.ndarray, count: int) -> np.ndarray:
    """The triangles (count,) of `count` samples: one random point in each of as many equal pieces of the total area."""
    jitter = np.random.default_rng(0).random(count)
    ends = np.cumsum(areas, dtype=np.float64)
    return np.minimum(np.searchsorted(ends, (np.arange(count) + jitter) * (ends[-1] / count), "right"), len(areas) - 1)


def _barycentric(count: int) -> np.ndarray:
    """(count, 3) float32 weights of corners, even over a triangle also for any run of consecutive rows.

    The points are the additive recurrence R2 (Roberts 2018), brought onto the triangle by the area-preserving map of
    Heitz, "A Low-Distortion Map Between Triangle and Square" (2019).
    """
    index = np.arange(1, count + 1)
    u, v = (0.5 + index * 0.7548776662466927) % 1, (0.5 + index * 0.5698402909980532) % 1
    swap = v > u
    a = np.where(swap, u / 2, u - v / 2)
    b = np.where(swap, v - u / 2, v / 2)
    return np.stack([a, b, 1 - a - b], 1).astype(np.float32)


def _mixed(corners: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(K, 3, C) corner values and (K, 3) weights -> (K, C) float32."""
    return np.einsum("kic,ki->kc", corners, weights).astype(np.float32)


def _facing(vector: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Unit vectors (K, 3), turned over where they point away from the normal, the normal itself where they vanish."""
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    sign = np.where((vector * normal).sum(1, keepdims=True) < 0, -1, 1)
    return np.where(length > 1e-6, vector * sign / np.maximum(length, 1e-6), normal).astype(np.float32)


@dataclass
class _Frame:
    """Where samples lie on their maps. uv, tangent, bitangent (K, 2 | 3); density: (K,) UV area per asset area."""

    uv: np.ndarray
    tangent: np.ndarray
    bitangent: np.ndarray
    density: np.ndarray


def _frame(corner_uv: np.ndarray, points: np.ndarray, normal: np.ndarray, uv: np.ndarray) -> _Frame:
    """Tangents along +U and +V from the derivatives of position by UV, made perpendicular to the smooth normal."""
    edge1, edge2 = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    (u1, v1), (u2, v2) = (corner_uv[:, 1] - corner_uv[:, 0]).T, (corner_uv[:, 2] - corner_uv[:, 0]).T
    determinant = u1 * v2 - u2 * v1
    hand = np.where(determinant < 0, -1, 1)[:, None]
    tangent = (edge1 * v2[:, None] - edge2 * v1[:, None]) * hand
    tangent -= normal * (tangent * normal).sum(1, keepdims=True)
    length = np.linalg.norm(tangent, axis=1, keepdims=True)
    tangent = tangent / np.maximum(length, 1e-30)
    area = np.linalg.norm(np.cross(edge1, edge2), axis=1)
    wound = np.where((np.cross(edge1, edge2) * normal).sum(1) < 0, -1, 1)[:, None]
    return _Frame(uv, tangent, np.cross(normal, tangent) * hand * wound,
                  np.abs(determinant) / np.maximum(area, 1e-30))


def _shade(samples: _Samples, chosen: np.ndarray, material: Material, frame: _Frame | None, area: float) -> None:
    """Writes one material's values into the chosen samples; maps are filtered over the area of a sample."""
    def looked_up(values: np.ndarray) -> np.ndarray:
        texels = frame.density * values.shape[0] * values.shape[1] * area
        return texture.sample(values, frame.uv, 0.5 * np.log2(np.maximum(texels, 1)), material.wrap)

    factor = np.asarray(material.base_color, np.float32)
    samples.color[chosen] = (*(factor[:3] * factor[3]), factor[3])
    samples.roughness[chosen], samples.metallic[chosen] = material.roughness, material.metallic
    if frame is None:
        return
    if material.base_color_map is not None:
        samples.color[chosen] *= looked_up(texture.linear_color(material.base_color_map))
    for column, values in (("roughness", material.roughness_map), ("metallic", material.metallic_map)):
        if values is not None:
            getattr(samples, column)[chosen] *= looked_up(values[..., None].astype(np.float32) / 255)[:, 0]
    if material.normal_map is not None:
        bent = looked_up(material.normal_map.astype(np.float32) / 127.5 - 1)
        bent[:, :2] *= material.normal_scale
        samples.shading_normal[chosen] = (frame.tangent * bent[:, :1] + frame.bitangent * bent[:, 1:2]
                                          + samples.shading_normal[chosen] * bent[:, 2:])


def _grouped(cell: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(K,) numbers of the groups that samples belong to: those of one cell whose normals agree.

    cell: (K,) int64. normal: (K, 3) unit. In each cell the first sample that no seed speaks for becomes the next seed,
    up to MAX_SIDES; then every sample joins the seed nearest to its normal.
    """
    _, cell = np.unique(cell, return_inverse=True)
    best = np.full(len(cell), -2.0, np.float32)
    side = np.zeros(len(cell), np.int64)
    seed = np.empty(cell.max() + 1, np.int64)
    for number in range(MAX_SIDES):
        open_ = np.flatnonzero(best < SAME_SIDE)
        if len(open_) == 0:
            break
        seed[:] = -1
        seed[cell[open_[::-1]]] = open_[::-1]  # the first one stays
        member = np.flatnonzero(seed[cell] >= 0)
        agreement = (normal[member] * normal[seed[cell[member]]]).sum(1)
        closer = agreement > best[member]
        best[member[closer]], side[member[closer]] = agreement[closer], number
    return cell * MAX_SIDES + side


def _averaged(samples: _Samples, group: np.ndarray, area: float) -> Surfels:
    """One surfel per group. area: of a sample, cells squared."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    count = np.diff(starts, append=len(group)).astype(np.float32)

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.add.reduceat(values[order], starts, axis=0)
        return total / (count[:, None] if values.ndim == 2 else count)

    def unit(values: np.ndarray) -> np.ndarray:
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)

    color, normal = mean(samples.color), unit(mean(samples.normal))
    opacity = color[:, 3]
    surfels = Surfels(
        position=mean(samples.position), normal=normal, shading_normal=_facing(mean(samples.shading_normal), normal),
        base_color=color[:, :3] / np.maximum(opacity, 1e-6)[:, None], roughness=mean(samples.roughness),
        metallic=mean(samples.metallic), area=count * np.float32(area), opacity=np.clip(opacity, 0, 1),
        confidence=np.ones(len(count), np.float32))
    return surfels.take(opacity > MIN_OPACITY)
