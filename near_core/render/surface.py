"""An asset's surface at each level of detail: surfels, what is finer than they are, and what the networks know."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..asset import NeuralAsset, Texels, levels, octants
from ..asset.levels import Level
from ..models.mini import runtime
from ..progress import Progress, silent
from . import gaussians
from .config import SplattingConfig


@dataclass(frozen=True, eq=False)
class Surface:
    """An asset's M surfels of one level and K texels, ready but for their light.

    level: with the surfels. texels: of the asset at level 0, the finer level's surfels at the others; None where there
    are none or nobody needs them. shift: (K, 3) float32, the texels' linear base colour less their surfels'. discs,
    detail: Gaussians of surfels and texels, asset frame. voxel: (M,) rows of h. h: (N, H) float32, intrinsic features;
    None where the model has none, and at levels that the lighting decoder is not asked about. traced:
    the number of the finer level that light is traced through, heirs (M,) and owners as transport.FineGrid's; None at
    level 0.
    """

    level: Level
    texels: Texels | None
    shift: np.ndarray | None
    discs: gaussians.SurfelGaussians
    detail: gaussians.SurfelGaussians | None
    voxel: np.ndarray
    h: np.ndarray | None
    traced: int
    heirs: np.ndarray | None
    owners: np.ndarray | None


def describe(asset: NeuralAsset, model: runtime.NearMini, config: SplattingConfig = SplattingConfig(),
             progress: Progress = silent, bare: bool = False) -> Surface:
    """The surface at level 0; bare: without texels."""
    surfels, texels, h = octants.choose_surfels(asset, model), None if bare else asset.texels, None
    level = levels.start(surfels)
    if "iad" in model.graphs and asset.model:
        slat = asset.slat
        if asset.model_hash != model.digest:  # another model's latent means nothing to this one
            slat = octants.encode(model, surfels, asset.coords)
        progress("Asset", 0.5)
        h = model.run("iad", slat=slat, neighbours=octants.find_neighbours(asset.coords))[0]
    shift = detail = None
    if texels is not None:
        shift = texels.compute_colors(surfels) - surfels.base_color[texels.surfel]
        detail = gaussians.from_texels(texels, level, config)
    return Surface(level, texels, shift, gaussians.from_level(level, config), detail,
                   octants.find_voxels(surfels, asset.coords), h, 0, None, None)


def coarsen(finer: Surface, config: SplattingConfig = SplattingConfig(), bare: bool = False) -> Surface:
    """The surface at the next level, whose texels are the surfels of this one; bare: without them."""
    level = levels.merge(finer.level)
    texels = shift = detail = None
    if not bare:
        texels, rows = level.make_texels()
        shift = finer.level.surfels.base_color[rows] - level.surfels.base_color[texels.surfel]
        detail = finer.discs.take(rows)
    known = finer.h is not None and level.number <= config.decoded_level
    h = level.average(finer.h[finer.voxel]) if known else None
    below, heirs, owners = finer.level, level.heir, level.parent
    if below.number:
        heirs, owners = below.heir[heirs], owners[below.parent]
    # a level holds no more than the one below: whole chains would stay in memory
    return Surface(replace(level, finer=None), texels, shift, gaussians.from_level(level, config), detail,
                   np.arange(len(level.surfels)), h, find_traced(level.number), heirs, owners)


def find_traced(level: int) -> int:
    """The level that light is traced through, for one at another."""
    return max(level - 2, 0)
