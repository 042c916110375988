"""What pictures need of assets whatever their light and view: surfaces, transport, grids and skins, kept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from .._kernels import grid
from ..asset import NeuralAsset
from ..cache import RecentResults, count_bytes
from ..light import transport
from ..light.config import TransportConfig
from ..models.mini import runtime
from ..progress import Progress, part, silent
from ..scene import Occluders
from . import surface
from .config import SplattingConfig
from .dressing import dress
from .parallel import parallel_map
from .sight import SeenInstance
from .skin import PreparedSkin
from .skin_maps import SkinMaps
from .surface import DecodedVoxels, Surface

MEGABYTE = 2**20
OLDER = 4 * MEGABYTE  # of one kind, that only pictures before the last one needed, as of other poses: soon full
MANY = 4  # assets from which each is made ready on a thread of its own


@dataclass(frozen=True, eq=False)
class PreparedAsset(Surface):
    """An asset made ready at one level of detail. transport: its surfels and what they see of each other."""

    transport: transport.Transport


def prepare_asset(made: Surface, config: TransportConfig = TransportConfig(), threads: int = 0,
                  progress: Progress = silent, traced: grid.Grid | None = None) -> PreparedAsset:
    """Everything that depends on the asset alone, at the level of its surface. traced: the grid of the level that its
    merged surfels are traced through."""
    fine = None if traced is None else transport.FineGrid(traced, made.heirs, made.owners)
    known = {each.name: getattr(made, each.name) for each in fields(made)}
    prepared = PreparedAsset(**known, transport=transport.prepare_transport(
        made.level.surfels, threads, progress, config, made.level.resolution, fine))
    prepared.share_discs(made)
    return prepared


class PreparedAssets:
    """Assets made ready, those longest unused forgotten first, but none that the last picture showed. What is kept
    twice is counted once: a surface with what was made ready of it, a grid with the grids."""

    def __init__(self, model: runtime.NearMini, splatting: SplattingConfig, config: TransportConfig) -> None:
        self._model, self._splatting, self._transport = model, splatting, config
        self._surfaces: RecentResults[Surface] = RecentResults(128 * MEGABYTE, count_bytes)
        self._assets: RecentResults[PreparedAsset] = RecentResults(1024 * MEGABYTE, lambda made: count_bytes(
            made, made.transport.fine and made.transport.fine.grid) + made.count_disc_bytes(), beside=0)
        self._intrinsics: RecentResults[DecodedVoxels | None] = RecentResults(256 * MEGABYTE, count_bytes, beside=0)
        self._dressed: RecentResults[PreparedAsset] = RecentResults(256 * MEGABYTE, lambda made: count_bytes(
            (made.level.surfels, made.shift, made.transport.albedo, made.transport.mirrors)))  # the rest is the asset's
        self._grids: RecentResults[grid.Grid] = RecentResults(128 * MEGABYTE, lambda made: count_bytes(
            made, made.position, made.normal), beside=0)  # these are the surfels'
        self._skins: RecentResults[PreparedSkin] = RecentResults(
            512 * MEGABYTE, lambda made: count_bytes(made, made.maps), beside=0)
        self._maps: RecentResults[SkinMaps] = RecentResults(
            512 * MEGABYTE, lambda made: count_bytes(made) + made.count_level_bytes(), beside=0)

    def forget(self, asset: str) -> None:
        """Drops what is kept of the asset with this hash."""
        for kept in (self._surfaces, self._assets, self._dressed, self._grids):
            kept.discard(lambda key: key[0] == asset)
        for known in (self._skins, self._intrinsics):
            known.discard(lambda key: key == asset)

    def prepare_all(self, seen: Sequence[SeenInstance], threads: int, progress: Progress) -> None:
        """Makes what is missing, and keeps it until another picture is asked for: of a few assets each with all
        threads, of many each on one."""
        self._hold(seen)
        wanted = {(each.instance.asset.hash, each.level, each.skin > 0, each.instance.look.material): each
                  for each in seen}
        assets: dict[str, list[SeenInstance]] = {}
        # coarser levels are made of finer ones, and what needs no texels can do with one that has them
        for each in sorted(wanted.values(), key=lambda each: (each.level, each.skin > 0)):
            assets.setdefault(each.instance.asset.hash, []).append(each)
        if len(assets) >= MANY:
            parallel_map(lambda levels: [self.prepare(each, 1) for each in levels], list(assets.values()), threads,
                         "Asset", progress)
            return
        for number, each in enumerate(wanted.values()):
            self.prepare(each, threads, part(progress, number / len(wanted), (number + 1) / len(wanted)))

    def _hold(self, seen: Sequence[SeenInstance]) -> None:
        """Nothing of a picture is thrown away while it is drawn, else all of it would be made anew for the next."""
        assets = {each.instance.asset.hash: each.instance.asset for each in seen}
        levels = {each.level for each in seen}  # what stands beside others is lit at their levels
        self._assets.hold(itertools.product(assets, levels, (False, True)))
        self._grids.hold(itertools.product(assets, levels | {surface.find_traced(level) for level in levels}))
        self._skins.hold(assets)
        self._intrinsics.hold(assets)
        self._maps.hold(asset.skin.pictures for asset in assets.values() if asset.skin is not None)

    def prepare(self, seen: SeenInstance, threads: int = 0, progress: Progress = silent) -> PreparedAsset:
        """The asset of an instance at its level, in its look; without texels where its skin shows what is finer."""
        asset, level, look = seen.instance.asset, seen.level, seen.instance.look.material
        place, bare = (asset.hash, level), seen.skin > 0 and (asset.hash, level, False) not in self._assets
        progress("Asset", 0.0)

        def prepare() -> PreparedAsset:
            made = self._find_surface(asset, level, bare)
            if isinstance(made, PreparedAsset):  # another thread was quicker
                return made
            prepared = prepare_asset(made, self._transport, threads, progress,
                                     self._find_grid(asset, made.traced) if level else None)
            self._surfaces.discard(lambda key: key == (*place, bare))
            return prepared
        made = self._assets.get_or((*place, bare), prepare)
        if look.is_plain:
            return made
        return self._dressed.get_or((*place, bare, look), lambda: dress(made, look))

    def find_intrinsics(self, asset: NeuralAsset) -> DecodedVoxels | None:
        """What the networks know of an asset, None where that is nothing."""
        return self._intrinsics.get_or(asset.hash, lambda: surface.decode(asset, self._model))

    def find_skin(self, seen: SeenInstance) -> PreparedSkin | None:
        """What draws an instance instead of its surfels."""
        return self._prepare_skin(seen.instance.asset) if seen.skin > 0 else None

    def find_solid(self, asset: NeuralAsset, level: int) -> Occluders | grid.Grid:
        """What stands for an asset where it casts shadows on another one."""
        if asset.skin is not None and level <= self._splatting.skin_level:
            solid = self._prepare_skin(asset).occluders
            if solid.are_traced:
                return solid
        return self._find_grid(asset, level)

    def _prepare_skin(self, asset: NeuralAsset) -> PreparedSkin:
        def prepare() -> PreparedSkin:
            # an asset in another pose has a skin of its own, but the same maps
            return PreparedSkin(asset.skin, self._maps.get_or(asset.skin.pictures, lambda: SkinMaps(
                asset.skin.pictures)))
        return self._skins.get_or(asset.hash, prepare)

    def _find_surface(self, asset: NeuralAsset, level: int, bare: bool) -> Surface:
        """The surface at a level; bare: it may lack texels."""
        keys = [(asset.hash, level, each) for each in ((False, True) if bare else (False,))]
        places: tuple[RecentResults[Any], ...] = self._assets, self._surfaces
        for kept, key in itertools.product(places, keys):
            try:
                return kept[key]
            except KeyError:
                continue

        def make() -> Surface:
            if level == 0:
                return surface.describe(asset, self._model, self._splatting, bare)
            return surface.coarsen(self._find_surface(asset, level - 1, True), self._splatting, bare)
        return self._surfaces.get_or(keys[-1], make)

    def _find_grid(self, asset: NeuralAsset, level: int) -> grid.Grid:
        def build() -> grid.Grid:
            found = self._find_surface(asset, level, True).level
            return grid.Grid(found.surfels.position, found.surfels.normal, found.resolution)
        return self._grids.get_or((asset.hash, level), build)
