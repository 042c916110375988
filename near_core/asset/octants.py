"""Between surfels and what near-mini's networks see of a voxel: its eight octants, its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..directions import decode_octahedral, encode_octahedral
from ..models.mini import runtime
from .neural_asset import RESOLUTION, NeuralAsset
from .surfels import CELL, Surfels, concatenate

CHILD = 13  # occupied, offset 3 (cells), normal 3, base colour 3, roughness, metallic, two-sided


def rows_of(coords: np.ndarray) -> np.ndarray:
    """(64, 64, 64) int32: the row of coords (N, 3) at each voxel, -1 where there is none."""
    rows = np.full((RESOLUTION,) * 3, -1, np.int32)
    rows[tuple(coords.astype(np.intp).T)] = np.arange(len(coords))
    return rows


def neighbours(coords: np.ndarray) -> np.ndarray:
    """(N, 27) int64 rows of the 3x3x3 neighbourhood, x slowest; N where a neighbour is missing."""
    rows = np.pad(rows_of(coords), 1, constant_values=-1)
    steps = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(27, 3)
    at = coords.astype(np.intp)[:, None] + steps
    found = rows[at[..., 0], at[..., 1], at[..., 2]].astype(np.int64)
    return np.where(found < 0, len(coords), found)


def voxel_of(surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """(M,) int64: the row of the voxel each surfel lies in, or that of the nearest one where it lies in none."""
    rows = rows_of(coords)
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


def octants(surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """What the encoder sees: each voxel's octants (cells of the 128^3 grid, x slowest) as CHILD values.

    The largest surfel of an octant gives its normal and position, the area-weighted mean its material.
    Returns (N, 8, CHILD) float32, zero where an octant is empty.
    """
    fine = np.clip(((surfels.position + 0.5) / CELL).astype(np.intp), 0, 2 * RESOLUTION - 1)
    voxel = rows_of(coords)[tuple((fine // 2).T)]
    inside = np.flatnonzero(voxel >= 0)
    if not len(inside):
        return np.zeros((len(coords), 8, CHILD), np.float32)
    slot = voxel[inside].astype(np.int64) * 8 + (fine[inside] % 2) @ np.array([4, 2, 1])
    order = inside[np.lexsort((-surfels.area[inside], slot))]
    slot = np.sort(slot)
    first = np.r_[True, slot[1:] != slot[:-1]]
    group = np.cumsum(first) - 1
    chosen, cell = order[first], slot[first]
    out = np.zeros((len(coords) * 8, CHILD), np.float32)
    out[cell, 0] = 1
    out[cell, 1:4] = (surfels.position[chosen] + 0.5) / CELL - fine[chosen] - 0.5
    out[cell, 4:7] = surfels.shading_normal[chosen]
    weight = np.maximum(surfels.area[order], 1e-3)
    total = np.add.reduceat(weight, np.flatnonzero(first))
    mean = lambda values: np.add.reduceat(values * weight, np.flatnonzero(first)) / total  # noqa: E731
    for channel in range(3):
        out[cell, 7 + channel] = mean(surfels.base_color[order, channel])
    out[cell, 10], out[cell, 11] = mean(surfels.roughness[order]), mean(surfels.metallic[order])
    opposed = np.einsum("mc,mc->m", surfels.normal[order], surfels.normal[chosen][group]) < -0.3
    out[cell, 12] = np.maximum.reduceat(opposed.astype(np.float32), np.flatnonzero(first))
    return out.reshape(-1, 8, CHILD)


def surfels_of_octants(coords: np.ndarray, occupied: np.ndarray, children: np.ndarray, confidence: np.ndarray
                       ) -> Surfels:
    """The decoder's octants as surfels.

    occupied: (N, 8) probability. children: (N, 8, 12) offset in cells, normal, base colour, roughness, metallic,
    two-sided probability. confidence: (N,). Every voxel keeps at least its likeliest octant.
    """
    keep = occupied > np.minimum(0.5, occupied.max(1, keepdims=True) - 1e-6)
    row, octant = np.nonzero(keep)
    corner = np.stack([octant // 4, octant // 2 % 2, octant % 2], 1)
    child = children[row, octant].astype(np.float32)
    position = (coords[row].astype(np.float32) * 2 + corner + 0.5 + child[:, :3]) * CELL - 0.5
    normal = child[:, 3:6] / np.maximum(np.linalg.norm(child[:, 3:6], axis=1, keepdims=True), 1e-6)
    one = np.ones(len(row), np.float32)
    front = Surfels(position.astype(np.float32), normal, normal, np.clip(child[:, 6:9], 0, 1),
                    np.clip(child[:, 9], 0, 1), np.clip(child[:, 10], 0, 1), one, one,
                    confidence[row].astype(np.float32))
    return concatenate([front, front.take(child[:, 11] > 0.5).flipped()])


def voxel_material(octants: tuple[np.ndarray, np.ndarray], confidence: np.ndarray) -> np.ndarray:
    """The material of voxels as an asset keeps it, (N, 8) float16: the decoder's octants averaged.

    octants: occupied (N, 8) probability, children (N, 8, 12). confidence: (N,).
    """
    occupied, children = octants
    weight = occupied + 1e-3
    mean = (children * weight[..., None]).sum(1) / weight.sum(1)[:, None]
    normal = mean[:, 3:6] / np.maximum(np.linalg.norm(mean[:, 3:6], axis=1, keepdims=True), 1e-6)
    return np.column_stack([np.clip(mean[:, 6:11], 0, 1), encode_octahedral(normal), confidence]).astype(np.float16)


def with_materials(surfels: Surfels, coords: np.ndarray, octants: tuple[np.ndarray, np.ndarray],
                   confidence: np.ndarray) -> Surfels:
    """A mesh's surfels with the colours, roughness and metallic that the decoder gives their octants."""
    row = voxel_of(surfels, coords)
    fine = np.clip(((surfels.position + 0.5) / CELL).astype(np.intp), 0, 2 * RESOLUTION - 1)
    child = octants[1][row, (fine % 2) @ np.array([4, 2, 1])].astype(np.float32)
    return replace(surfels, base_color=np.clip(child[:, 6:9], 0, 1), roughness=np.clip(child[:, 9], 0, 1),
                   metallic=np.clip(child[:, 10], 0, 1), confidence=confidence[row].astype(np.float32))


def surfels_of(asset: NeuralAsset, model: runtime.NearMini) -> Surfels:
    """The surfels an asset is drawn with: its own, those its latent decodes to, or one per voxel from its material."""
    if asset.surfels is not None:
        return asset.surfels
    material = asset.material.astype(np.float32)
    if "iad" in model.graphs and asset.model_hash == model.digest:
        return surfels_of_octants(asset.coords, *decode(model, asset.slat, asset.coords), material[:, 7])
    normal = decode_octahedral(material[:, 5:7])
    one = np.ones(len(material), np.float32)
    return Surfels(position=(asset.coords.astype(np.float32) + 0.5) / 64 - 0.5, normal=normal, shading_normal=normal,
                   base_color=np.ascontiguousarray(material[:, :3]), roughness=material[:, 3].copy(),
                   metallic=material[:, 4].copy(), area=4 * one, opacity=one, confidence=material[:, 7].copy())


def encode(model: runtime.NearMini, surfels: Surfels, coords: np.ndarray) -> np.ndarray:
    """The structured latent (N, C) float16 of a surface, by the embedded model's encoder."""
    voxels = octants(surfels, coords).reshape(len(coords), -1)
    return model.run("encoder", voxels=voxels, neighbours=neighbours(coords))[0].astype(np.float16)


def decode(model: runtime.NearMini, slat: np.ndarray, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A latent (N, C) as octants: occupied (N, 8) probability, children (N, 8, 12) with two-sided a probability."""
    _, occupied, children = model.run("iad", slat=slat, neighbours=neighbours(coords))
    children = np.concatenate([children[..., :11], 1 / (1 + np.exp(-children[..., 11:]))], -1)
    return 1 / (1 + np.exp(-occupied)), children
