"""An asset's surface at each level of detail: surfels and what is finer than they are; what the networks know of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..asset import NeuralAsset, Texels, levels, octants
from ..asset.levels import Level
from ..models.mini import runtime
from . import gaussians
from .config import SplattingConfig


@dataclass(frozen=True, eq=False)
class Surface:
    """An asset's M surfels of one level and K texels, ready but for their light.

    level: with the surfels. texels: of the asset at level 0, the finer level's surfels at the others; None where there
    are none or nobody needs them. shift: (K, 3) float32, the texels' linear base colour less their surfels'. detail:
    the texels' Gaussians, asset frame. traced: the number of the finer level that light is traced through, heirs (M,)
    and owners as transport.FineGrid's; None at level 0.
    """

    level: Level
    texels: Texels | None
    shift: np.ndarray | None
    detail: gaussians.SurfelGaussians | None
    traced: int
    heirs: np.ndarray | None
    owners: np.ndarray | None
    config: SplattingConfig

    @cached_property
    def discs(self) -> gaussians.SurfelGaussians:
        """The surfels' Gaussians, asset frame: levels that only others are made of, or that skins show, need none."""
        return gaussians.from_level(self.level, self.config)

    def share_discs(self, other: Surface) -> None:
        """Takes those of a surface of the same shape, where these are known."""
        if "discs" in vars(other):
            vars(self)["discs"] = other.discs  # where cached_property keeps it

    def count_disc_bytes(self) -> int:
        """Bytes that the discs and what they are made of will take, once somebody asks."""
        return 0 if "discs" in vars(self) else 44 * len(self.level.surfels)


@dataclass(frozen=True, eq=False)
class DecodedVoxels:
    """What the networks know of an asset's M surfels of level 0. voxel: (M,) rows of h. h: (N, H) float32, intrinsic
    features."""

    voxel: np.ndarray
    h: np.ndarray

    def take(self, index: np.ndarray) -> np.ndarray:
        """The features of surfels at index (K,), (K, H)."""
        return self.h[self.voxel[index]]


def decode(asset: NeuralAsset, model: runtime.NearMini) -> DecodedVoxels | None:
    """An asset's intrinsics; None where there is no latent, or no network that reads one."""
    if "iad" not in model.graphs or not asset.model:
        return None
    surfels, slat = octants.choose_surfels(asset, model), asset.slat
    if asset.model_hash != model.digest:  # another model's latent means nothing to this one
        slat = octants.encode(model, surfels, asset.coords)
    h = model.run("iad", slat=slat, neighbours=octants.find_neighbours(asset.coords))[0]
    return DecodedVoxels(octants.find_voxels(surfels, asset.coords), h)


def describe(asset: NeuralAsset, model: runtime.NearMini, config: SplattingConfig = SplattingConfig(),
             bare: bool = False) -> Surface:
    """The surface at level 0; bare: without texels."""
    surfels, texels = octants.choose_surfels(asset, model), None if bare else asset.texels
    level, shift, detail = levels.start(surfels), None, None
    if texels is not None:
        shift = texels.compute_colors(surfels) - surfels.base_color[texels.surfel]
        detail = gaussians.from_texels(texels, level, config)
    return Surface(level, texels, shift, detail, 0, None, None, config)


def coarsen(finer: Surface, config: SplattingConfig = SplattingConfig(), bare: bool = False) -> Surface:
    """The surface at the next level, whose texels are the surfels of this one; bare: without them."""
    level = levels.merge(finer.level)
    texels = shift = detail = None
    if not bare:
        texels, rows = level.make_texels()
        shift = finer.level.surfels.base_color[rows] - level.surfels.base_color[texels.surfel]
        detail = finer.discs.take(rows)
    below, heirs, owners = finer.level, level.heir, level.parent
    if below.number:
        heirs, owners = below.heir[heirs], owners[below.parent]
    # a level holds no more than the one below: whole chains would stay in memory
    return Surface(replace(level, finer=None), texels, shift, detail, find_traced(level.number), heirs, owners, config)


def find_traced(level: int) -> int:
    """The level that light is traced through, for one at another."""
    return max(level - 2, 0)
