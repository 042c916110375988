"""What is drawn where a pixel takes several samples: sharper discs, and texels in place of their surfels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from .._kernels import splat
from ..scene import Camera, Settings
from . import gaussians
from .config import SplattingConfig
from .parallel import parallel_map
from .passes import DEPTH, GROWING, RADIANCE, data_columns
from .splatting import Selection, VisibleInstance, project

AT_ONCE = 8192  # texels: what they need stays in a core's cache
_Part = tuple[int | None, np.ndarray]  # the number of an instance and which of its texels; None and surfels


def refine(selection: Selection, instances: Sequence[VisibleInstance], shifts: Sequence[np.ndarray | None],
           features: np.ndarray, gain: np.ndarray, camera: Camera, settings: Settings,
           config: SplattingConfig = SplattingConfig()) -> tuple[splat.Projection, np.ndarray, np.ndarray]:
    """The N discs that a selection draws: its plain surfels and its texels, each with its surfel's features.

    shifts: per instance (K, 3) float32, linear base colour of its texels less their surfels'. features: (M, C)
    of the selection's surfels, as passes.pack makes them. gain: (M, 3 n), how much radiance and the wanted of
    passes.GROWING grow with base colour. Returns the discs' projection, features (N, C) and occlusion depth (N,),
    metres.
    """
    parts = [(number, part) for number, texels in enumerate(selection.texels) for part in _split(texels)]
    groups = [[(None, part)] for part in _split(selection.plain)] + list(_pack(parts))
    ends = np.cumsum([sum(len(part) for _, part in group) for group in groups])
    made = splat.Projection(*(np.empty((ends[-1], *each.shape[1:]), each.dtype) for each in selection.projection))
    shown, depth = np.empty((ends[-1], features.shape[1]), np.float32), np.empty(ends[-1], np.float32)
    columns = data_columns(settings.passes)
    base_color, growing = columns.get("Base Color"), [RADIANCE, *(columns[name] for name in GROWING if name in columns)]

    def refine_group(index: int) -> None:
        rows, shape, shift = _describe(groups[index], selection, instances, shifts)
        slot = slice(ends[index] - len(rows), ends[index])
        for kept, new in zip(made, project(shape, camera, config.sharp_low_pass, 1)):
            kept[slot] = new
        shown[slot], depth[slot] = features.take(rows, 0), selection.occlusion_depth[rows]
        if shift is not None:
            shown[slot, DEPTH] = made.depth[slot]
            gains = gain.take(rows, 0)
            for number, each in enumerate(growing):
                grown = shift * gains[:, 3 * number:3 * number + 3]
                shown[slot, each] = np.maximum(shown[slot, each] + grown, 0)
            if base_color is not None:
                shown[slot, base_color] += shift

    parallel_map(refine_group, range(len(groups)), settings.threads)
    return made, shown, depth


def _split(rows: np.ndarray) -> list[np.ndarray]:
    """Rows in parts of AT_ONCE at most, one part at least."""
    return np.array_split(rows, -(-len(rows) // AT_ONCE) or 1)


def _pack(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Texels of instances in groups of about AT_ONCE: many have few of them."""
    group, count = [], 0
    for each in parts:
        if not len(each[1]):
            continue
        if group and count + len(each[1]) > AT_ONCE:
            yield group
            group, count = [], 0
        group.append(each)
        count += len(each[1])
    if group:
        yield group


def _describe(group: Sequence[_Part], selection: Selection, instances: Sequence[VisibleInstance],
              shifts: Sequence[np.ndarray | None]) -> tuple[np.ndarray, gaussians.SurfelGaussians, np.ndarray | None]:
    """Rows of the selection, Gaussians, and what is added to the base colour, of plain surfels or of texels."""
    if group[0][0] is None:
        return group[0][1], selection.shape.take(group[0][1]), None
    rows = [selection.rows[number].start + instances[number].placed.texels.surfel[part] for number, part in group]
    shape = gaussians.concatenate([instances[number].take_texels(part) for number, part in group])
    return np.concatenate(rows), shape, np.concatenate([shifts[number].take(part, 0) for number, part in group])
