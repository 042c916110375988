"""Deformed assets: surfels, texels and skin follow a map that is known at the vertices of a proxy, as a bend, a
lattice, bones or shape keys make of it.

Around every node of a lattice the affine map is fitted that comes nearest to what the vertices near it do (moving
least squares; Schaefer et al., Image deformation using moving least squares, 2006); between nodes these maps are mixed.
Across a surface, where vertices say nothing, it turns as the surface does and keeps its thickness.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..cache import RecentResults
from ..directions import unit
from ..errors import NearError
from . import levels
from .neural_asset import RESOLUTION, NeuralAsset
from .octants import find_voxels
from .skin import Skin
from .surfels import Surfels
from .texels import Texels

NODES = 32  # along an edge of the asset's cube: as far as two parts must be apart to move apart
STIFFNESS = 0.03  # share of the vertices' spread that holds a fit to a rotation, where they say little
ROOM = 1.03  # sizes of what points lie around, for those that stand off it
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


def carry(points: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Points (N, 3) near vertices that go from before (V, 3) to after (V, 3), where they then are, (N, 3); all in one
    frame, of any unit."""
    low, high = before.min(0), before.max(0)
    middle, size = (low + high) / 2, max(ROOM * float((high - low).max()), 1e-9)
    shrink = lambda places: (places - middle) / size
    field = _Field(_Rest(shrink(before)), shrink(after))
    return middle + size * field.look_up(*_spread(shrink(points))).move(shrink(points))


class Body:
    """What the poses of an asset share. size: edge of the posed asset's cube in the frame of its deformation."""

    def __init__(self, asset: NeuralAsset, surfels: Surfels, coarse: bool = False) -> None:
        """surfels: that the asset is drawn with, octants.choose_surfels. coarse: for poses that follow each other
        quickly, a quarter as many surfels and neither texels nor skin; the cube is twice as large, so that the cells
        of its grid are as many times wider as the surfels are."""
        self.asset, self.size = asset, 2.0 if coarse else 1.0
        self._surfels = levels.merge(levels.start(surfels)).surfels if coarse else surfels
        self._texels = None if coarse else asset.texels
        self._skin = None if coarse else asset.supple_skin
        self._own = _spread(self._surfels.position)
        self._of_skin = None if self._skin is None else _spread(self._skin.vertices)
        self._rests: RecentResults[_Rest] = RecentResults(4)

    def deform(self, deformation: Deformation) -> NeuralAsset:
        """The asset as a deformation has it.

        It has no latent: transport alone lights it. Its hash is made of those of both. Raises NearError.
        """
        rest = np.ascontiguousarray(deformation.rest, np.float32)
        if not (np.isfinite(rest).all() and np.isfinite(deformation.posed).all()):
            raise NearError("{what} has vertices at infinity or not-a-number.",
                            "Clean the mesh up and export it again.", what=self.asset.name)
        field = _Field(self._rests.get_or(rest.tobytes(), lambda: _Rest(rest)), deformation.posed)
        moves, skin = field.look_up(*self._own), self._skin and _move_skin(
            self._skin, field.look_up(*self._of_skin), field.mirrors)
        return _move(self.asset, self._surfels, self._texels, skin, moves, self.size,
                     f"{deformation.hash}" + " coarse" * (self.size > 1))


@dataclass(frozen=True)
class StretchConfig:
    """How finely the assets of a scene are stretched. Chosen by hand."""

    steps: tuple[float, ...] = (1.1, 1.3, 2.0, 8.0)  # by which scales differ: the first with few enough different ones
    most: int = 32  # stretched assets of a scene: each has its own light transport
    flattest: float = 0.02  # of its longest scale, the shortest that an asset is stretched to: a few cells


def find_stretches(matrices: np.ndarray, step: float, config: StretchConfig = StretchConfig()
                   ) -> list[np.ndarray | None]:
    """(3, 3) each, how assets that stand at matrices (N, 4, 4) are to be stretched for their normals to be right; None
    where scales are about the same. step: by which they differ. All stays in the cube."""
    _, scales, axes = np.linalg.svd(np.asarray(matrices, np.float64)[:, :3, :3])
    shares = np.maximum(scales / np.maximum(scales[:, :1], 1e-300), config.flattest)
    steps = np.round(np.log(shares) / np.log(step))
    made = axes.swapaxes(1, 2) * step ** steps[:, None] @ axes
    made = np.round(made / np.abs(made).sum(2).max(1)[:, None, None], 4) + 0.0  # no 0 below 0: it goes by its bytes
    return [linear if uneven else None for linear, uneven in zip(made, steps.any(1) & (scales[:, 2] > 0))]


def choose_stretches(assets: Sequence[str], matrices: np.ndarray, config: StretchConfig = StretchConfig()
                     ) -> list[np.ndarray | None]:
    """How each of N instances is to be stretched, as find_stretches. assets: their hashes.

    An asset has the first step at which there is room for all of its own, those with few first, so that many of
    another leave them as they are; one for which the widest is not enough is left as it is.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(assets):
        rows.setdefault(name, []).append(row)
    count = lambda found: len({each.tobytes() for each in found if each is not None})
    finest = {name: find_stretches(matrices[own], config.steps[0], config) for name, own in rows.items()}
    chosen: list[np.ndarray | None] = [None] * len(assets)
    room = config.most
    for name in sorted(rows, key=lambda name: count(finest[name])):
        for step in config.steps:
            found = finest[name] if step == config.steps[0] else find_stretches(matrices[rows[name]], step, config)
            if count(found) <= room:
                room -= count(found)
                for row, linear in zip(rows[name], found):
                    chosen[row] = linear
                break
    return chosen


def stretch(asset: NeuralAsset, surfels: Surfels, linear: np.ndarray) -> NeuralAsset:
    """The asset as a linear map (3, 3) has it that makes nothing longer, nor mirrors. surfels: that it is drawn with.
    It has no latent, as Body.deform's."""
    whole = np.concatenate([linear, np.zeros((3, 1))], 1).astype(np.float32)
    spread = lambda points: Moves(np.broadcast_to(whole, (len(points), 3, 4)))
    skin = asset.skin and _move_skin(asset.skin, spread(asset.skin.vertices), False)
    return _move(asset, surfels, asset.texels, skin, spread(surfels.position), 1.0,
                 hashlib.sha256(whole).hexdigest()[:32])


def _move(asset: NeuralAsset, surfels: Surfels, texels: Texels | None, skin: Skin | None, moves: Moves, size: float,
          name: str) -> NeuralAsset:
    """An asset whose surfels move so, with a skin that has moved. name: of the movement, for the hash."""
    normal, growth = moves.turn(surfels.normal)
    position = (moves.move(surfels.position) / size).astype(np.float32)
    moved = replace(surfels, position=position, normal=normal, shading_normal=moves.turn(surfels.shading_normal)[0],
                    area=surfels.area * growth)
    cells = np.clip(((position + 0.5) * RESOLUTION).astype(np.int64), 0, RESOLUTION - 1)
    coords, first = _find_cells(cells)
    material = asset.material[find_voxels(surfels.take(first), asset.coords)]
    made = replace(asset, coords=coords, material=material, slat=np.zeros((len(coords), 0), np.float16), surfels=moved,
                   model="", model_hash="", texels=texels and _move_texels(texels, moves, growth), skin=skin)
    vars(made)["hash"] = f"{asset.hash} {name}"  # where cached_property keeps it
    return made


def _move_skin(skin: Skin, moves: Moves, mirrors: bool) -> Skin:
    return replace(skin, vertices=moves.move(skin.vertices).astype(np.float32),
                   normal=None if skin.normal is None else moves.turn(skin.normal)[0],
                   faces=skin.faces[:, ::-1] if mirrors else skin.faces)


def _find_cells(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of cells (N, 3), (C, 3) uint8, and the first row of each."""
    names, first = np.unique(cells @ (RESOLUTION ** 2, RESOLUTION, 1), return_index=True)
    return np.stack(np.unravel_index(names, (RESOLUTION,) * 3), 1).astype(np.uint8), first


def _move_texels(texels: Texels, moves: Moves, growth: np.ndarray) -> Texels:
    own = moves.take(texels.surfel)
    return replace(texels, position=own.move(texels.position).astype(np.float32),
                   area=texels.area * growth[texels.surfel])


class _Rest:
    """The vertices (V, 3) of a proxy at rest, as the nodes of the lattice see them; what is the same in all poses.

    rows: (nodes,) of each node its row among the C that know vertices, -1 for the others.
    """

    def __init__(self, rest: np.ndarray) -> None:
        self._vertices = np.asarray(rest, np.float64)
        self._node, self._weight = _spread(self._vertices)
        self._known = np.arange((NODES + 1) ** 3)
        pairs = _pair(self._vertices, self._vertices)
        sums = self._sum(np.concatenate([np.ones((len(rest), 1)), self._vertices, pairs], 1))
        self._known = np.flatnonzero(sums[:, 0] > 1e-6)
        self.rows = np.full(len(sums), -1, np.int64)
        self.rows[self._known] = np.arange(len(self._known))
        sums = sums[self._known]
        self._heavy = sums[:, :1]
        self._around = _Moments(sums[:, 1:4] / self._heavy, sums[:, 4:] / self._heavy)
        self._whole = _Moments(self._vertices.mean(0)[None], pairs.mean(0)[None])

    def fit_whole(self, posed: np.ndarray, mirrors: bool | None = None) -> np.ndarray:
        """The affine map (1, 3, 4) of all vertices to posed (V, 3)."""
        return self._whole.fit(posed.mean(0)[None], _pair(posed, self._vertices).mean(0)[None], mirrors)

    def fit(self, posed: np.ndarray, mirrors: bool, size: float) -> np.ndarray:
        """Those of the vertices around each of the C nodes, (C, 3, 4), as _Moments.fit says."""
        sums = self._sum(np.concatenate([posed, _pair(posed, self._vertices)], 1)) / self._heavy
        return self._around.fit(sums[:, :3], sums[:, 3:], mirrors, size)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        """Of values (V, K) what those around each known node add up to, and a little of what its neighbours know."""
        flat, count = self._node.ravel(), (NODES + 1) ** 3
        sums = [np.bincount(flat, (self._weight * column[:, None]).ravel(), count) for column in values.T]
        return _lean(np.stack(sums, 1))[self._known]


class _Field:
    """The maps at the nodes of a lattice. mirrors: whether it turns the asset inside out, as a mirror does."""

    def __init__(self, rest: _Rest, posed: np.ndarray) -> None:
        posed = np.asarray(posed, np.float64)
        self.mirrors = bool(np.linalg.det(rest.fit_whole(posed)[0, :, :3]) < 0)
        self._whole = rest.fit_whole(posed, self.mirrors)[0].astype(np.float32)
        self._rows = rest.rows
        size = float(np.cbrt(abs(np.linalg.det(self._whole[:, :3]))))
        self._maps = rest.fit(posed, self.mirrors, size).astype(np.float32)

    def look_up(self, node: np.ndarray, weight: np.ndarray) -> Moves:
        """The maps of points of the rest frame, as _spread has them; far from all vertices that of the whole."""
        rows = self._rows[node]
        weight = (weight * (rows >= 0)).astype(np.float32)
        total = weight.sum(1)
        weight /= np.maximum(total, 1e-9)[:, None]
        flat, mixed = self._maps.reshape(-1, 12), np.zeros((len(node), 12), np.float32)
        for corner in range(8):
            mixed += weight[:, corner, None] * flat[rows[:, corner]]
        mixed[total < 1e-6] = self._whole.ravel()
        return Moves(mixed.reshape(-1, 3, 4))


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


def _pair(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b^T of each pair of points (V, 3): (V, 9)."""
    return (a[:, :, None] * b[:, None]).reshape(-1, 9)


def _lean(sums: np.ndarray) -> np.ndarray:
    """Sums (C, K) of all nodes, each with a little of its 26 neighbours'."""
    edge = NODES + 1
    around = np.pad(sums.reshape(edge, edge, edge, -1), ((1, 1), (1, 1), (1, 1), (0, 0)))
    for axis in range(3):
        around = sum(np.take(around, np.arange(start, start + edge), axis) for start in range(3))
    return sums + LEAN * (around.reshape(sums.shape) - sums)


class _Moments:
    """Mean places (C, 3) and mean squares (C, 9) of weighted points around C nodes, at rest."""

    def __init__(self, rest: np.ndarray, square: np.ndarray) -> None:
        self._rest = rest
        square = square.reshape(-1, 3, 3) - rest[:, :, None] * rest[:, None]
        self._spread = np.trace(square, axis1=1, axis2=2)[:, None, None]
        self._hold = (STIFFNESS * self._spread + LEAST) * np.eye(3)
        self._inverse = np.linalg.inv(square + self._hold)

    def fit(self, posed: np.ndarray, cross: np.ndarray, mirrors: bool | None = None, size: float = 1.0) -> np.ndarray:
        """The affine maps (C, 3, 4) that come nearest to taking the points to others with mean places posed (C, 3) and
        mean products cross (C, 9) of posed and rest. mirrors: whether they may not, or must, turn inside out; None
        where the points alone decide. size: how they scale where a single point says nothing of it."""
        cross = cross.reshape(-1, 3, 3) - posed[:, :, None] * self._rest[:, None]
        left, values, right = np.linalg.svd(cross)
        sign = np.ones((len(values), 3))
        if mirrors is not None:
            sign[:, 2] = np.sign(np.linalg.det(left) * np.linalg.det(right)) * (-1 if mirrors else 1)
        size = ((values * sign).sum(1)[:, None, None] + LEAST * size) / (self._spread + LEAST)
        turned = (left * sign[:, None]) @ right * np.maximum(size, 1e-6)
        linear = (cross + turned @ self._hold) @ self._inverse
        return np.concatenate([linear, (posed - np.einsum("cij,cj->ci", linear, self._rest))[:, :, None]], 2)
