"""Assets in the world and before a camera, those of a crowd together; what the next picture can use is kept."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from ..cache import RecentResults, count_bytes
from ..scene import Camera
from . import splatting
from .config import SplattingConfig
from .parallel import parallel_map
from .preparation import OLDER, PreparedAsset
from .sight import SeenInstance
from .splatting import PlacedInstance, VisibleInstance

AT_ONCE = 8192  # surfels, about, that are placed together: what they need stays in a core's cache


class PlacedInstances:
    """Keeps where assets stand."""

    def __init__(self, config: SplattingConfig) -> None:
        self._config = config
        self.kept: RecentResults[PlacedInstance] = RecentResults(OLDER, lambda placed: count_bytes(
            (placed.shape, placed.normal, placed.shading_normal)))  # the rest is the asset's

    def face(self, seen: Sequence[SeenInstance], made: Sequence[PreparedAsset], camera: Camera, threads: int
             ) -> list[VisibleInstance]:
        """Instances before a camera. made: the assets of each."""
        placed = self._place(seen, made, threads)

        def face_part(part: list[int]) -> list[VisibleInstance]:
            return splatting.face_all([placed[n] for n in part], camera, self._config, [seen[n].share for n in part])
        parts = list(_divide(range(len(seen)), made))
        return [each for part in parallel_map(face_part, parts, threads) for each in part]

    def _place(self, seen: Sequence[SeenInstance], made: Sequence[PreparedAsset], threads: int
               ) -> list[PlacedInstance]:
        """Those that are not kept are made, of one asset together."""
        keys = [(each.instance.asset.hash, each.level, asset.texels is None, each.matrix.tobytes())
                for each, asset in zip(seen, made)]
        placed: dict[Hashable, PlacedInstance] = {}
        missing: dict[int, list[int]] = {}
        for number, asset in enumerate(made):
            try:
                placed[keys[number]] = self.kept[keys[number]]
            except KeyError:
                missing.setdefault(id(asset), []).append(number)

        def place_part(part: list[int]) -> list[PlacedInstance]:
            asset = made[part[0]]
            matrices = np.stack([seen[n].matrix for n in part])
            return splatting.place_all(asset.level, asset.texels, matrices, self._config, asset.discs, asset.detail)
        parts = [part for alike in missing.values() for part in _divide(alike, made)]
        for part, those in zip(parts, parallel_map(place_part, parts, threads)):
            for number, each in zip(part, those):
                placed[keys[number]] = each
                self.kept.put(keys[number], each)
        return [placed[key] for key in keys]


def _divide(numbers: Sequence[int], made: Sequence[PreparedAsset]) -> Iterator[list[int]]:
    """Numbers of assets in parts that have about AT_ONCE surfels."""
    part, count = [], 0
    for number in numbers:
        part.append(number)
        count += len(made[number].level.surfels)
        if count >= AT_ONCE:
            yield part
            part, count = [], 0
    if part:
        yield part
