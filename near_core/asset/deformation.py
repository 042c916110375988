"""Deformed assets: surfels, texels and skin follow a map that is known at the vertices of a proxy, as a bend, a
lattice, bones or shape keys make of it.

Around every node of a lattice the affine map is fitted that comes nearest to what the vertices near it do (moving
least squares; Schaefer et al., Image deformation using moving least squares, 2006); between nodes these maps are mixed.
Across a surface, where vertices say nothing, it turns as the surface does and keeps its thickness.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..directions import unit
from .neural_asset import RESOLUTION, NeuralAsset
from .octants import find_voxels
from .skin import Skin
from .surfels import Surfels
from .texels import Texels

NODES = 32  # along an edge of the asset's cube: as far as two parts must be apart to move apart
STIFFNESS = 0.03  # share of the vertices' spread that holds a fit to a rotation, where they say little
LEAST = 1e-7  # asset units squared: a spread of vertices that is none
LEAN = 0.1  # weight of what is around the nodes next to a node: it counts where few vertices are around its own


@dataclass(frozen=True, eq=False)
class Deformation:
    """Where the vertices of a proxy go. rest: (V, 3) float32, asset frame. posed: (V, 3) float32, the frame of the
    deformed asset, whose cube they fill."""

    rest: np.ndarray
    posed: np.ndarray

    @cached_property
    def hash(self) -> str:
        """Content hash."""
        content = hashlib.sha256(np.ascontiguousarray(self.rest, np.float32))
        content.update(np.ascontiguousarray(self.posed, np.float32))
        return content.hexdigest()[:32]

    @property
    def nbytes(self) -> int:
        """Of its arrays."""
        return self.rest.nbytes + self.posed.nbytes


@dataclass(frozen=True, eq=False)
class Moves:
    """Affine maps of N points: (N, 3, 4) float32, rest frame -> posed frame."""

    maps: np.ndarray

    def move(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) where they go."""
        return np.einsum("nij,nj->ni", self.maps[:, :, :3], points) + self.maps[:, :, 3]

    def turn(self, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit normals (N, 3) of surfaces that go with them, and by how much the area of these grows, (N,)."""
        x, y, z = self.maps[:, 0, :3], self.maps[:, 1, :3], self.maps[:, 2, :3]
        cofactors = np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], 1)
        turned = np.einsum("nij,nj->ni", cofactors, normals)
        mirrors = np.where(np.einsum("ni,ni->n", x, cofactors[:, 0]) < 0, -1, 1)[:, None]
        return (unit(turned) * mirrors).astype(np.float32), np.linalg.norm(turned, axis=1).astype(np.float32)

    def take(self, rows: np.ndarray) -> Moves:
        """Those at rows (M,)."""
        return Moves(self.maps[rows])


def deform(asset: NeuralAsset, deformation: Deformation, surfels: Surfels) -> NeuralAsset:
    """The asset as a deformation has it. surfels: that it is drawn with, octants.choose_surfels.

    It has no latent: transport alone lights it. Its hash is made of those of both.
    """
    field = _Field(deformation)
    moves = field.look_up(surfels.position)
    normal, growth = moves.turn(surfels.normal)
    position = moves.move(surfels.position).astype(np.float32)
    moved = replace(surfels, position=position, normal=normal, shading_normal=moves.turn(surfels.shading_normal)[0],
                    area=surfels.area * growth)
    cells = np.clip(((position + 0.5) * RESOLUTION).astype(np.int64), 0, RESOLUTION - 1)
    coords, first = np.unique(cells, axis=0, return_index=True)
    material = asset.material[find_voxels(surfels.take(first), asset.coords)]
    made = replace(asset, coords=coords.astype(np.uint8), material=material,
                   slat=np.zeros((len(coords), 0), np.float16), surfels=moved, model="", model_hash="",
                   texels=asset.texels and _deform_texels(asset.texels, moves, growth),
                   skin=asset.supple_skin and _deform_skin(asset.supple_skin, field))
    vars(made)["hash"] = f"{asset.hash} {deformation.hash}"  # where cached_property keeps it
    return made


def _deform_texels(texels: Texels, moves: Moves, growth: np.ndarray) -> Texels:
    own = moves.take(texels.surfel)
    return replace(texels, position=own.move(texels.position).astype(np.float32),
                   area=texels.area * growth[texels.surfel])


def _deform_skin(skin: Skin, field: _Field) -> Skin:
    moves = field.look_up(skin.vertices)
    return replace(skin, vertices=moves.move(skin.vertices).astype(np.float32),
                   normal=None if skin.normal is None else moves.turn(skin.normal)[0],
                   faces=skin.faces[:, ::-1] if field.mirrors else skin.faces)


class _Field:
    """The maps at the nodes of a lattice. mirrors: whether it turns the asset inside out, as a mirror does."""

    def __init__(self, deformation: Deformation) -> None:
        rest, posed = (np.asarray(each, np.float64) for each in (deformation.rest, deformation.posed))
        whole = _Moments(*_sum(rest, posed, np.zeros((len(rest), 1), np.int64), np.ones((len(rest), 1)), 1))
        self.mirrors = bool(np.linalg.det(whole.fit()[0, :, :3]) < 0)
        self._whole = whole.fit(self.mirrors)[0].astype(np.float32)
        node, weight = _spread(rest)
        sums = _lean(np.concatenate([each.reshape(len(each), -1) for each in _sum(
            rest, posed, node, weight, (NODES + 1) ** 3)], 1))
        known = np.flatnonzero(sums[:, 0] > 1e-6)
        self._rows = np.full((NODES + 1) ** 3, -1, np.int64)
        self._rows[known] = np.arange(len(known))
        heavy, *means = np.split(sums[known], (1, 4, 7, 16), 1)
        moments = _Moments(heavy[:, 0], *means[:2], *(each.reshape(-1, 3, 3) for each in means[2:]))
        size = float(np.cbrt(abs(np.linalg.det(self._whole[:, :3]))))
        self._maps = moments.fit(self.mirrors, size).astype(np.float32)

    def look_up(self, points: np.ndarray) -> Moves:
        """The maps of points (N, 3) of the rest frame; far from all vertices that of the whole."""
        node, weight = _spread(np.asarray(points, np.float64))
        rows = self._rows[node]
        weight = (weight * (rows >= 0)).astype(np.float32)
        total = weight.sum(1)
        mixed = np.zeros((len(points), 3, 4), np.float32)
        for corner in range(8):
            mixed += weight[:, corner, None, None] * self._maps[rows[:, corner]]
        mixed /= np.maximum(total, 1e-9)[:, None, None]
        mixed[total < 1e-6] = self._whole
        return Moves(mixed)


def _spread(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eight nodes around points (N, 3), (N, 8) int64, and their trilinear weights (N, 8)."""
    at = np.clip((points + 0.5) * NODES, 0, NODES - 1e-6)
    low = at.astype(np.int64)
    part = at - low
    node, weight = np.empty((len(points), 8), np.int64), np.empty((len(points), 8))
    for corner, step in enumerate(np.ndindex(2, 2, 2)):
        node[:, corner] = (low + step) @ ((NODES + 1) ** 2, NODES + 1, 1)
        weight[:, corner] = np.prod(np.where(step, part, 1 - part), 1)
    return node, weight


def _sum(rest: np.ndarray, posed: np.ndarray, node: np.ndarray, weight: np.ndarray, count: int) -> tuple:
    """Weights (C,) of nodes and their sums of rest, posed (C, 3), rest rest^T and posed rest^T (C, 3, 3)."""
    corners = node.shape[1]
    flat, heavy = node.ravel(), weight.ravel()
    add = lambda values: np.bincount(flat, heavy * np.repeat(values, corners), count)
    pairs = lambda a, b: np.stack([add(a[:, i] * b[:, j]) for i in range(3) for j in range(3)], 1).reshape(-1, 3, 3)
    return (add(np.ones(len(rest))), np.stack([add(c) for c in rest.T], 1), np.stack([add(c) for c in posed.T], 1),
            pairs(rest, rest), pairs(posed, rest))


def _lean(sums: np.ndarray) -> np.ndarray:
    """Sums (C, K) of all nodes, each with a little of its 26 neighbours'."""
    edge = NODES + 1
    around = np.pad(sums.reshape(edge, edge, edge, -1), ((1, 1), (1, 1), (1, 1), (0, 0)))
    for axis in range(3):
        around = sum(np.take(around, np.arange(start, start + edge), axis) for start in range(3))
    return sums + LEAN * (around.reshape(sums.shape) - sums)


class _Moments:
    """Weighted moments of pairs of points around C nodes."""

    def __init__(self, weight: np.ndarray, rest: np.ndarray, posed: np.ndarray, square: np.ndarray,
                 cross: np.ndarray) -> None:
        weight = np.maximum(weight, 1e-12)
        self.rest, self.posed = rest / weight[:, None], posed / weight[:, None]
        self.square = square / weight[:, None, None] - self.rest[:, :, None] * self.rest[:, None]
        self.cross = cross / weight[:, None, None] - self.posed[:, :, None] * self.rest[:, None]

    def fit(self, mirrors: bool | None = None, size: float = 1.0) -> np.ndarray:
        """The affine maps (C, 3, 4) that come nearest. mirrors: whether they may not, or must, turn inside out; None
        where the points alone decide. size: how they scale where a single point says nothing of it."""
        spread = np.trace(self.square, axis1=1, axis2=2)[:, None, None]
        left, values, right = np.linalg.svd(self.cross)
        sign = np.ones((len(values), 3))
        if mirrors is not None:
            sign[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right)) * (-1 if mirrors else 1)
        size = ((values * sign).sum(1)[:, None, None] + LEAST * size) / (spread + LEAST)
        turned = np.einsum("cij,cj,cjk->cik", left, sign, right) * np.maximum(size, 1e-6)
        hold = (STIFFNESS * spread + LEAST) * np.eye(3)
        linear = (self.cross + turned @ hold) @ np.linalg.inv(self.square + hold)
        return np.concatenate([linear, (self.posed - np.einsum("cij,cj->ci", linear, self.rest))[:, :, None]], 2)
