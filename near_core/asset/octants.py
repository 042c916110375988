"""Between surfels and what near-mini's networks see of a voxel: its eight octants, its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..directions import decode_octahedral, unit
from ..models.mini.layout import CHILD, CHILDREN, NEIGHBOURS, DecodedOctant, Octant
from ..models.mini.runtime import NearMini
from .layout import VoxelMaterial
from .neural_asset import RESOLUTION, NeuralAsset
from .surfels import CELL, Surfels, concatenate


def index_voxels(coords: np.ndarray) -> np.ndarray:
    """(64, 64, 64) int32: the row of coords (N, 3) at each voxel, -1 where there is none."""
    rows = np.full((RESOLUTION,) * 3, -1, np.int32)
    rows[tuple(coords.astype(np.intp).T)] = np.arange(len(coords))
    return rows


def find_neighbours(coords: np.ndarray) -> np.ndarray:
    """(N, 27) int64 rows of the 3x3x3 neighbourhood, x slowest; N where a neighbour is missing."""
    rows = np.pad(index_voxels(coords), 1, constant_values=-1)
    steps = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(NEIGHBOURS, 3)
    at = coords.astype(np.intp)[:, None] + steps
    found = rows[at[..., 0], at[..., 1], at[..., 2]].astype(np.int64)
    return np.where(found < 0, len(coords), found)


def find_voxels(surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """(M,) int64: the row of the voxel each surfel lies in, or that of the nearest one where it lies in none."""
    rows = index_voxels(coords)
    cell = np.clip(((surfels.position + 0.5) * RESOLUTION).astype(np.intp), 0, RESOLUTION - 1)
    found = rows[tuple(cell.T)]
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for step in steps[np.argsort((steps**2).sum(1), kind="stable")]:  # the nearest voxels first
        lost = np.flatnonzero(found < 0)
        if not len(lost):
            break
        found[lost] = rows[tuple(np.clip(cell[lost] + step, 0, RESOLUTION - 1).T)]
    for lost in np.flatnonzero(found < 0):
        found[lost] = ((coords.astype(int) - cell[lost])**2).sum(1).argmin()
    return found.astype(np.int64)


def gather(surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """What the encoder sees: each voxel's octants (cells of the 128^3 grid, x slowest).

    The largest surfel of an octant gives its normal and position, the area-weighted mean its material.
    Returns (N, CHILDREN, CHILD) float32, as Octant, zero where an octant is empty.
    """
    fine = np.clip(((surfels.position + 0.5) / CELL).astype(np.intp), 0, 2 * RESOLUTION - 1)
    voxel = index_voxels(coords)[tuple((fine // 2).T)]
    inside = np.flatnonzero(voxel >= 0)
    if not len(inside):
        return np.zeros((len(coords), CHILDREN, CHILD), np.float32)
    slot = voxel[inside].astype(np.int64) * CHILDREN + _octant_of(fine[inside])
    order = inside[np.lexsort((-surfels.area[inside], slot))]
    slot = np.sort(slot)
    first = np.r_[True, slot[1:] != slot[:-1]]
    group = np.cumsum(first) - 1
    chosen, cell = order[first], slot[first]
    out = np.zeros((len(coords) * CHILDREN, CHILD), np.float32)
    out[cell, Octant.OCCUPIED] = 1
    out[cell, Octant.OFFSET] = (surfels.position[chosen] + 0.5) / CELL - fine[chosen] - 0.5
    out[cell, Octant.NORMAL] = surfels.shading_normal[chosen]
    weight = np.maximum(surfels.area[order], 1e-3)
    total = np.add.reduceat(weight, np.flatnonzero(first))
    mean = lambda values: np.add.reduceat(values * weight, np.flatnonzero(first)) / total
    out[cell, Octant.BASE_COLOR] = np.stack([mean(channel) for channel in surfels.base_color[order].T], 1)
    out[cell, Octant.ROUGHNESS] = mean(surfels.roughness[order])
    out[cell, Octant.METALLIC] = mean(surfels.metallic[order])
    opposed = np.einsum("mc,mc->m", surfels.normal[order], surfels.normal[chosen][group]) < -0.3
    out[cell, Octant.TWO_SIDED] = np.maximum.reduceat(opposed.astype(np.float32), np.flatnonzero(first))
    return out.reshape(-1, CHILDREN, CHILD)


def make_surfels(coords: np.ndarray, occupied: np.ndarray, children: np.ndarray, confidence: np.ndarray) -> Surfels:
    """The decoder's octants as surfels.

    occupied: (N, 8) probability. children: (N, 8, 12) as DecodedOctant. confidence: (N,). Every voxel keeps at least
    its likeliest octant.
    """
    keep = occupied > np.minimum(0.5, occupied.max(1, keepdims=True) - 1e-6)
    row, octant = np.nonzero(keep)
    corner = np.stack([octant // 4, octant // 2 % 2, octant % 2], 1)
    child = children[row, octant].astype(np.float32)
    position = (coords[row].astype(np.float32) * 2 + corner + 0.5 + child[:, DecodedOctant.OFFSET]) * CELL - 0.5
    normal = unit(child[:, DecodedOctant.NORMAL])
    one = np.ones(len(row), np.float32)
    front = Surfels(position.astype(np.float32), normal, normal, **_material_of(child), area=one, opacity=one,
                    confidence=confidence[row].astype(np.float32))
    return concatenate([front, front.take(child[:, DecodedOctant.TWO_SIDED] > 0.5).flip()])


def apply_materials(surfels: Surfels, coords: np.ndarray, octants: tuple[np.ndarray, np.ndarray],
                    confidence: np.ndarray) -> Surfels:
    """A mesh's surfels with the colours, roughness and metallic that the decoder gives their octants.

    coords: (N, 3). octants: as decode returns them. confidence: (N,).
    """
    row = find_voxels(surfels, coords)
    fine = np.clip(((surfels.position + 0.5) / CELL).astype(np.intp), 0, 2 * RESOLUTION - 1)
    child = octants[1][row, _octant_of(fine)].astype(np.float32)
    return replace(surfels, **_material_of(child), confidence=confidence[row].astype(np.float32))


def choose_surfels(asset: NeuralAsset, model: NearMini) -> Surfels:
    """The surfels an asset is drawn with: its own, those its latent decodes to, or one per voxel from its material."""
    if asset.surfels is not None:
        return asset.surfels
    material = asset.material.astype(np.float32)
    if "iad" in model.graphs and asset.model_hash == model.digest:
        return make_surfels(asset.coords, *decode(model, asset.slat, asset.coords),
                                  material[:, VoxelMaterial.CONFIDENCE])
    normal = decode_octahedral(material[:, VoxelMaterial.NORMAL])
    one = np.ones(len(material), np.float32)
    return Surfels(position=(asset.coords.astype(np.float32) + 0.5) / RESOLUTION - 0.5,
                   normal=normal, shading_normal=normal,
                   base_color=np.ascontiguousarray(material[:, VoxelMaterial.BASE_COLOR]),
                   roughness=material[:, VoxelMaterial.ROUGHNESS].copy(),
                   metallic=material[:, VoxelMaterial.METALLIC].copy(),
                   area=4 * one, opacity=one, confidence=material[:, VoxelMaterial.CONFIDENCE].copy())


def encode(model: NearMini, surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """The structured latent (N, C) float16 of a surface, by the embedded model's encoder."""
    voxels = gather(surfels, coords).reshape(len(coords), -1)
    return model.run("encoder", voxels=voxels, neighbours=find_neighbours(coords))[0].astype(np.float16)


def decode(model: NearMini, slat: np.ndarray, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A latent (N, C) as octants: occupied (N, 8) probability, children (N, 8, 12) with two-sided a probability."""
    _, occupied, children = model.run("iad", slat=slat, neighbours=find_neighbours(coords))
    children = children.copy()
    children[..., DecodedOctant.TWO_SIDED] = _sigmoid(children[..., DecodedOctant.TWO_SIDED])
    return _sigmoid(occupied), children


def _octant_of(cell: np.ndarray) -> np.ndarray:
    """Which octant of its voxel a cell (..., 3) of the 128^3 grid is, x slowest."""
    return (cell % 2) @ np.array([4, 2, 1])


def _material_of(child: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of Surfels that say what decoded octants (M, 12) are made of."""
    return {"base_color": np.clip(child[:, DecodedOctant.BASE_COLOR], 0, 1),
            "roughness": np.clip(child[:, DecodedOctant.ROUGHNESS], 0, 1),
            "metallic": np.clip(child[:, DecodedOctant.METALLIC], 0, 1)}


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
