"""Meshes to surfels and voxels: area-weighted surface samples, grouped per cell and side."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .. import asset, image
from .._kernels import grid
from ..asset import CELL, EDGE, Surfels, Texels, concatenate
from ..asset.layout import VoxelMaterial
from ..asset.surfels import SURFEL_RESOLUTION
from ..directions import encode_octahedral, fibonacci_sphere, unit
from ..errors import NearError
from ..mesh import Material, Mesh, compute_face_normals, find_occupied, find_unwrapping, texture
from ..progress import Progress, part, silent
from .config import SamplingConfig

CHUNK = 1 << 16  # samples worked on at once; they stay in the processor's cache
_COLORED = "base_color_map", "emission_map"


def sample_surfels(mesh: Mesh, progress: Progress = silent, resolution: int = SURFEL_RESOLUTION,
                   config: SamplingConfig = SamplingConfig()) -> Surfels:
    """The surfels of sample_surface. resolution: of another grid than the renderer's, to compare."""
    return _seen(_averaged(*_sampled(mesh, progress, config, resolution)), progress, config, resolution)[0]


def sample_surface(mesh: Mesh, progress: Progress = silent, config: SamplingConfig = SamplingConfig()
                   ) -> tuple[Surfels, Texels]:
    """Surfels of a mesh in the asset's frame, one for each cell of the 128^3 grid and each side of the surface in it;
    and their texels, EDGE^2 or so for each.

    Deterministic. A surface that can be seen from behind has surfels on both sides, whatever its winding says. What
    sticks out of the cube is kept. progress: fractions 0..1 of this call; may raise Cancelled. Raises NearError for a
    mesh without area.
    """
    samples, group, area = _sampled(mesh, progress, config)
    every = _averaged(samples, group, area)
    surfels, rows = _seen(every, progress, config)
    return surfels, _texels(samples, group, every, area, config.minimum_opacity).regroup(rows)


def _sampled(mesh: Mesh, progress: Progress, config: SamplingConfig, resolution: int = SURFEL_RESOLUTION
             ) -> tuple[_Samples, np.ndarray, float]:
    """Samples of a mesh, the numbers 0.. of their groups, and each one's area in cells squared."""
    progress("Sampling the surface", 0.0)
    samples, area = _sample(mesh, progress, config.samples_per_cell * max(1, resolution / SURFEL_RESOLUTION) ** 2,
                            config.maximum_samples)
    progress("Grouping the samples", 0.6)
    group = _grouped(_cells(samples.position, resolution), samples.normal, config)
    return samples, _renumbered(group), area / CELL ** 2


def _seen(surfels: Surfels, progress: Progress, config: SamplingConfig, resolution: int = SURFEL_RESOLUTION
          ) -> tuple[Surfels, np.ndarray]:
    """The surfels on the sides from which they can be seen, and the rows (M,) that they come from."""
    solid = np.flatnonzero(surfels.opacity > config.minimum_opacity)
    if not len(solid):
        raise NearError("The mesh is transparent everywhere.", "Raise the alpha of its materials or colours.")
    progress("Finding the visible sides", 0.7)
    found = find_visible_sides(surfels.take(solid), min(resolution, SURFEL_RESOLUTION), part(progress, 0.7, 1.0),
                               config)
    fronts, backs = (solid[rows] for rows in found)
    return concatenate([surfels.take(fronts), surfels.take(backs).flip()]), np.concatenate([fronts, backs])


def sample_sides(mesh: Mesh) -> Surfels:
    """The surfels of a mesh's surface as its winding directs it, also where nobody can see it: one for each cell of the
    128^3 grid and each side in it. Raises NearError for a mesh without area."""
    return _averaged(*_sampled(mesh, silent, SamplingConfig()))


def sample_points(mesh: Mesh, per_cell: int) -> Surfels:
    """Single samples of a mesh's surface, ungrouped: about per_cell for one cell's face worth of area.

    Their normals follow the winding. Deterministic. Raises NearError for a mesh without area.
    """
    samples, area = _sample(mesh, silent, per_cell, SamplingConfig.maximum_samples)
    one = np.ones(len(samples.normal), np.float32)
    return Surfels(samples.position, samples.normal, _facing(samples.shading_normal, samples.normal),
                   samples.color[:, :3] / np.maximum(samples.color[:, 3:], 1e-6), samples.roughness, samples.metallic,
                   one * np.float32(area / CELL ** 2), samples.color[:, 3], one)


def voxelize(mesh: Mesh, surfels: Surfels) -> tuple[np.ndarray, np.ndarray]:
    """The voxels of the asset's 64^3 grid that the mesh touches, and their materials.

    mesh: in the asset's frame. surfels: of the same mesh. Returns coords (N, 3) uint8, sorted, and average_materials.
    Raises NearError where the mesh touches none.
    """
    coords = find_occupied(mesh.vertices, mesh.faces, asset.RESOLUTION)
    if not len(coords):
        raise NearError("No part of the mesh is inside of the asset's cube.", "Move it there, or make it smaller.")
    return coords.astype(np.uint8), average_materials(surfels, coords)


def average_materials(surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """The materials of voxels (N, 3), as in NeuralAsset: (N, VoxelMaterial.COLUMNS) float16.

    The area-weighted mean of the surfels in a voxel, of its nearest neighbour's where it has none. Where the normals in
    a voxel oppose, those of the largest surfel's side count.
    """
    coords = coords.astype(np.int64)
    keys = (coords[:, 0] * asset.RESOLUTION + coords[:, 1]) * asset.RESOLUTION + coords[:, 2]
    row = np.full(asset.RESOLUTION ** 3, -1, np.int64)
    row[keys] = np.arange(len(keys))
    row = row[_cells(surfels.position, asset.RESOLUTION)]
    inside = np.flatnonzero(row >= 0)
    row, area, normal = row[inside], surfels.area[inside], surfels.shading_normal[inside]
    order = np.argsort(area, kind="stable")
    largest = np.zeros((len(keys), 3), np.float32)
    largest[row[order]] = normal[order]  # the last one stays
    normal = normal * np.where((normal * largest[row]).sum(1, keepdims=True) < 0, -1, 1)
    columns = np.column_stack([surfels.base_color, surfels.roughness, surfels.metallic, surfels.confidence])[inside]
    mean, weight = _sums(np.concatenate([columns, normal], 1) * area[:, None], row, len(keys)), \
        np.bincount(row, area, len(keys))
    filled = np.flatnonzero(weight > 0)
    if len(filled) < len(keys):
        mean[filled] /= weight[filled, None]
        empty = np.flatnonzero(weight <= 0)
        mean[empty] = mean[filled[_nearest(coords[empty], coords[filled])]]
    else:
        mean /= weight[:, None]
    material = np.ones((len(keys), VoxelMaterial.COLUMNS), np.float16)
    material[:, VoxelMaterial.MATERIAL], material[:, VoxelMaterial.CONFIDENCE] = mean[:, :-4], mean[:, -4]
    material[:, VoxelMaterial.NORMAL] = encode_octahedral(unit(mean[:, -3:]))
    return material


def find_visible_sides(surfels: Surfels, resolution: int = SURFEL_RESOLUTION, progress: Progress = silent,
                       config: SamplingConfig = SamplingConfig()) -> tuple[np.ndarray, np.ndarray]:
    """The rows of surfels to keep as they are, and of those to turn over: sides that see enough of the sky, together
    with those beside them that face as they do and look in other directions: a room is seen through its window.

    A surfel that is seen from behind too is in both; one that is seen from behind alone is turned over. A surfel that
    is seen from neither side keeps the one that its winding gave it. resolution: of the grid that rays run through, no
    finer than the surfels lie. Raises Cancelled when progress does.
    """
    both = concatenate([surfels, surfels.flip()])
    # without the skip of lighting rays, since the far wall of a thin bar has to hide the bar's inside
    lattice = grid.Grid(both.position, both.normal, resolution, skip=0.0, lift=0.05)
    turns = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 3, 3)))[0].astype(np.float32)
    wall, place = _divide_walls(both, resolution)

    def seen(index: np.ndarray, report: Progress) -> np.ndarray:
        found = np.zeros(len(both), np.int32)
        for number, directions in enumerate(fibonacci_sphere(config.sky_directions) @ turns):
            report("Finding the visible sides", number / len(turns))
            rows = index[place[index] == number].astype(np.int32)
            found[rows] = (lattice.trace_table(directions, index=rows) == -1).sum(1)
        return np.bincount(wall[index], found[index])[wall[index]] >= config.least_sights

    behind = np.flatnonzero(seen(np.arange(len(surfels), len(both)), part(progress, 0.0, 0.7)))
    keep = np.ones(len(surfels), bool)
    keep[behind[~seen(behind, part(progress, 0.7, 1.0))]] = False
    progress("Finding the visible sides", 1.0)
    return np.flatnonzero(keep), behind


def _divide_walls(surfels: Surfels, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Which surfels are pieces of one wall, four cells wide, that face alike, (M,) numbers; and a number 0..3 of each
    that no other has among 2 x 2 of them, whichever way the wall faces, (M,)."""
    x, y, z = np.clip((surfels.position.T + 0.5) * resolution, 0, resolution - 1).astype(np.int64)
    side = np.concatenate([surfels.normal, -surfels.normal], 1).argmax(1)
    return _renumbered(6 * _cells(surfels.position, -(-resolution // 4)) + side), ((x ^ z) & 1) + 2 * ((y ^ z) & 1)


@dataclass
class _Samples:
    """K points on the surface that all stand for the same area; columns as in Surfels."""

    position: np.ndarray
    normal: np.ndarray
    shading_normal: np.ndarray  # not yet unit
    color: np.ndarray  # (K, 4) linear, premultiplied by its last column
    roughness: np.ndarray
    metallic: np.ndarray
    emission: np.ndarray | None  # (K, 3), premultiplied like color


def _sample(mesh: Mesh, progress: Progress, per_cell: float, maximum: int) -> tuple[_Samples, float]:
    """Samples of the surface, `maximum` of them at most, and the area (asset units squared) each stands for."""
    normals, areas = compute_face_normals(mesh)
    total = float(areas.sum(dtype=np.float64))
    if not total > 1e-12:
        raise NearError("The mesh has no area: all its triangles are lines.", "Choose a mesh with a surface.")
    count = int(np.clip(total / CELL ** 2 * per_cell, 1024, maximum))
    face, weights = _stratified(areas, count), _barycentric(count)
    maps = [_Maps(m) if mesh.corner_uv is not None else None for m in mesh.materials]
    parts = []
    for start in range(0, count, CHUNK):
        progress("Sampling the surface", 0.6 * start / count)
        part = slice(start, start + CHUNK)
        parts.append(_sample_faces(mesh, normals, face[part], weights[part], maps, total / count))
    columns = ([getattr(each, field.name) for each in parts] for field in fields(_Samples))
    return _Samples(*(None if each[0] is None else np.concatenate(each) for each in columns)), total / count


def _stratified(areas: np.ndarray, count: int) -> np.ndarray:
    """The triangles (count,), ascending, of `count` samples: one random point in each equal piece of the total area."""
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
    a, b = np.where(v > u, u / 2, u - v / 2), np.where(v > u, v - u / 2, v / 2)
    return np.stack([a, b, 1 - a - b], 1, dtype=np.float32, casting="same_kind")


def _sample_faces(mesh: Mesh, normals: np.ndarray, face: np.ndarray, weights: np.ndarray, maps: list,
                  area: float) -> _Samples:
    """The samples at barycentric weights (K, 3) of the faces (K,) ascending."""
    first = np.flatnonzero(np.diff(face, prepend=-1))
    faces, of = face[first], np.repeat(np.arange(len(first)), np.diff(first, append=len(face)))

    def mixed(corners: np.ndarray) -> np.ndarray:
        """(faces, 3, C) at their corners -> (K, C) at the samples."""
        return sum(corners[of, i] * weights[:, i:i + 1] for i in range(3))

    points = mesh.vertices[mesh.faces[faces]]
    normal = normals[face]
    smooth = normal if mesh.corner_normal is None else _facing(mixed(mesh.corner_normal[faces]), normal)
    samples = _Samples(mixed(points), normal, smooth.copy(), np.empty((len(face), 4), np.float32),
                       np.empty(len(face), np.float32), np.empty(len(face), np.float32),
                       np.zeros((len(face), 3), np.float32) if any(m.glows for m in mesh.materials) else None)
    if mesh.corner_uv is not None:
        tangents, density = find_unwrapping(points, normals[faces], mesh.corner_uv[faces])
        uv = mixed(mesh.corner_uv[faces])
    material = mesh.material_index[face]
    for index in np.unique(material):
        chosen = np.flatnonzero(material == index)
        _apply_factors(samples, chosen, mesh.materials[index])
        if mesh.corner_uv is not None:
            row = of[chosen]
            maps[index].apply(samples, chosen, uv[chosen], tangents[row], density[row] * area)
    if mesh.corner_color is not None:
        color = mixed(mesh.corner_color[faces])
        color[:, :3] *= color[:, 3:]
        samples.color *= color
    if samples.emission is not None:
        samples.emission *= samples.color[:, 3:]
    return samples


def _facing(vector: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Unit vectors (K, 3), turned over where they point away from the normal, the normal itself where they vanish."""
    length = np.sqrt((vector * vector).sum(1, keepdims=True))
    scale = np.where((vector * normal).sum(1, keepdims=True) < 0, -1, 1) / np.maximum(length, 1e-6)
    return np.where(length > 1e-6, vector * scale, normal).astype(np.float32)


def _apply_factors(samples: _Samples, chosen: np.ndarray, material: Material) -> None:
    r, g, b, alpha = material.base_color
    samples.color[chosen] = r * alpha, g * alpha, b * alpha, alpha
    samples.roughness[chosen], samples.metallic[chosen] = material.roughness, material.metallic
    if samples.emission is not None:
        samples.emission[chosen] = material.emission


class _Maps:
    """A material's maps with their mip levels, made when the first sample asks for them."""

    def __init__(self, material: Material):
        self.material = material
        self.levels: dict[str, list[np.ndarray]] = {}

    def looked_up(self, name: str, uv: np.ndarray, density: np.ndarray) -> np.ndarray | None:
        """(K, C) float32 filtered over a sample's area, None without such a map. density: (K,) UV area of a sample."""
        picture = getattr(self.material, name)
        if picture is None:
            return None
        if name not in self.levels:
            linear = texture.decode_color(picture) if name in _COLORED else picture.astype(np.float32) / 255
            self.levels[name] = texture.build_pyramid(linear.reshape(*linear.shape[:2], -1))
        texels = density * (picture.shape[0] * picture.shape[1])
        return texture.sample(self.levels[name], uv, 0.5 * np.log2(np.maximum(texels, 1)), self.material.wrap)

    def apply(self, samples: _Samples, chosen: np.ndarray, uv: np.ndarray, tangents: np.ndarray,
              density: np.ndarray) -> None:
        """Multiplies the maps into the samples at rows chosen (K,) and bends their normals.

        uv: (K, 2). tangents: (K, 2, 3) as find_unwrapping. density: (K,) UV area of a sample.
        """
        color = self.looked_up("base_color_map", uv, density)
        if color is not None:
            samples.color[chosen] *= color
        for column in ("roughness", "metallic"):
            values = self.looked_up(f"{column}_map", uv, density)
            if values is not None:
                getattr(samples, column)[chosen] *= values[:, 0]
        sent = self.looked_up("emission_map", uv, density) if samples.emission is not None else None
        if sent is not None:
            samples.emission[chosen] *= sent[:, :3]
        bent = self.looked_up("normal_map", uv, density)
        if bent is not None:
            bent = bent * 2 - 1
            bent[:, :2] *= self.material.normal_scale
            normal = samples.shading_normal[chosen]
            frame = tangents - normal[:, None] * np.einsum("kij,kj->ki", tangents, normal)[..., None]
            frame /= np.maximum(np.sqrt((frame * frame).sum(2, keepdims=True)), 1e-30)
            samples.shading_normal[chosen] = np.einsum("kij,ki->kj", frame, bent[:, :2]) + normal * bent[:, 2:]


def _cells(position: np.ndarray, resolution: int) -> np.ndarray:
    """(K,) int64 numbers, x-major, of the cells that positions (K, 3) of the asset's frame lie in."""
    cell = np.clip((position + 0.5) * resolution, 0, resolution - 1).astype(np.int64)
    return (cell[:, 0] * resolution + cell[:, 1]) * resolution + cell[:, 2]


def _renumbered(number: np.ndarray) -> np.ndarray:
    """The same partition (K,) int64 with numbers 0.. in the same order, none of them empty."""
    present = np.bincount(number) > 0
    return (np.cumsum(present) - 1)[number]


def _grouped(cell: np.ndarray, normal: np.ndarray, config: SamplingConfig) -> np.ndarray:
    """(K,) numbers of the groups that samples belong to: those of one cell whose normals agree.

    cell: (K,) int64. normal: (K, 3) unit. In each cell the first sample that no seed speaks for becomes the next seed,
    up to maximum_sides; then every sample joins the seed nearest to its normal.
    """
    cell = _renumbered(cell)
    count = int(cell.max()) + 1
    best = np.full(len(cell), -2.0, np.float32)
    side = np.zeros(len(cell), np.int64)
    for number in range(config.maximum_sides):
        unspoken = np.flatnonzero(best < config.same_side)[::-1]
        if len(unspoken) == 0:
            break
        seed = np.full(count, -1, np.int64)
        seed[cell[unspoken]] = unspoken  # the first one in order stays
        member = np.flatnonzero(seed[cell] >= 0)
        agreement = (normal[member] * normal[seed[cell[member]]]).sum(1)
        closer = agreement > best[member]
        best[member[closer]], side[member[closer]] = agreement[closer], number
    return cell * config.maximum_sides + side


def _sums(values: np.ndarray, row: np.ndarray, count: int) -> np.ndarray:
    """(count, C) float64 sums of values (K, C) by row."""
    return np.stack([np.bincount(row, column, count) for column in values.T], 1)


def _averaged(samples: _Samples, group: np.ndarray, area: float) -> Surfels:
    """One surfel per group 0... area: of a sample, cells squared."""
    size = np.bincount(group).astype(np.float32)
    normal = unit(_means(samples.normal, group))
    color = _means(samples.color, group)
    return Surfels(
        position=_means(samples.position, group), normal=normal,
        shading_normal=_facing(_means(samples.shading_normal, group), normal),
        base_color=color[:, :3] / np.maximum(color[:, 3:], 1e-6), roughness=_means(samples.roughness, group),
        metallic=_means(samples.metallic, group), area=size * np.float32(area), opacity=np.clip(color[:, 3], 0, 1),
        confidence=np.ones(len(size), np.float32),
        emission=None if samples.emission is None else
        _means(samples.emission, group) / np.maximum(color[:, 3:], 1e-6))


def _texels(samples: _Samples, group: np.ndarray, surfels: Surfels, area: float, minimum_opacity: float) -> Texels:
    """The samples of each group by the part of the cell that they lie in. surfels: one per group. minimum_opacity:
    below it a texel keeps its surfel's color."""
    corner = np.floor((samples.position + 0.5) * (SURFEL_RESOLUTION * EDGE)).astype(np.int64) % EDGE
    part = group * EDGE ** 3 + corner @ np.array([EDGE * EDGE, EDGE, 1])
    present = np.flatnonzero(np.bincount(part))
    part = _renumbered(part)
    surfel = (present // EDGE ** 3).astype(np.int32)
    color = _means(samples.color, part)
    shown = image.srgb_encode(np.clip(color[:, :3] / np.maximum(color[:, 3:], 1e-6), 0, 1))
    shift = shown - image.srgb_encode(np.clip(surfels.base_color, 0, 1))[surfel]
    shift[color[:, 3] < minimum_opacity] = 0
    return Texels(surfel, _means(samples.position, part), shift.astype(np.float32),
                  np.bincount(part).astype(np.float32) * np.float32(area))


def _means(values: np.ndarray, row: np.ndarray) -> np.ndarray:
    """float32 means of values (K,) or (K, C) by row 0.., all of which occur."""
    size = np.bincount(row)
    if values.ndim == 1:
        return (np.bincount(row, values) / size).astype(np.float32)
    return (_sums(values, row, len(size)) / size[:, None]).astype(np.float32)


def _nearest(coords: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of (K, 3) integer coords the index of the nearest of (L, 3) others. (K,) int64."""
    others = others.astype(np.float32)
    squares = (others * others).sum(1)
    found = [(squares - 2 * part.astype(np.float32) @ others.T).argmin(1)
             for part in np.array_split(coords, -(-len(coords) // 1024))]
    return np.concatenate(found)
