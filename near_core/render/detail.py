"""What is drawn where a pixel takes several samples: sharper discs, and texels in place of their surfels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._kernels import splat
from ..scene import Camera
from .config import SplattingConfig
from .parallel import parallel_map
from .passes import DEPTH, RADIANCE, data_columns
from .splatting import Selection, VisibleInstance, project

AT_ONCE = 8192  # texels: what they need stays in a core's cache


def refine(selection: Selection, instances: Sequence[VisibleInstance], shifts: Sequence[np.ndarray | None],
           features: np.ndarray, gain: np.ndarray, camera: Camera, wanted: tuple[str, ...], threads: int = 0,
           config: SplattingConfig = SplattingConfig()) -> tuple[splat.Projection, np.ndarray, np.ndarray]:
    """The N discs that a selection draws: its plain surfels and its texels, each with its surfel's features.

    shifts: per instance (K, 3) float32, linear base colour of its texels less their surfels'. features: (M, C)
    of the selection's surfels, as passes.pack makes them. gain: (M, 3), how much radiance grows with base
    colour. wanted: the passes. Returns the discs' projection, features (N, C) and occlusion depth (N,), metres.
    """
    chosen: list[tuple[int | None, np.ndarray]] = [(None, selection.plain)]
    for number, texels in enumerate(selection.texels):
        chosen += [(number, part) for part in np.array_split(texels, -(-len(texels) // AT_ONCE) or 1) if len(part)]
    ends = np.cumsum([len(part) for _, part in chosen])
    made = splat.Projection(*(np.empty((ends[-1], *each.shape[1:]), each.dtype) for each in selection.projection))
    shown, depth = np.empty((ends[-1], features.shape[1]), np.float32), np.empty(ends[-1], np.float32)
    base_color = data_columns(wanted).get("Base Color")

    def refine_part(index: int) -> None:
        number, part = chosen[index]
        slot = slice(ends[index] - len(part), ends[index])
        if number is None:
            rows, shape = part, selection.shape.take(part)
        else:
            owner = instances[number].placed.texels.surfel[part]
            rows, shape = selection.rows[number].start + owner, instances[number].take_texels(part)
        for kept, new in zip(made, project(shape, camera, config.sharp_low_pass, 1)):
            kept[slot] = new
        shown[slot], depth[slot] = features[rows], selection.occlusion_depth[rows]
        if number is not None:
            shift = shifts[number][part]
            shown[slot, DEPTH] = made.depth[slot]
            shown[slot, RADIANCE] = np.maximum(shown[slot, RADIANCE] + shift * gain[rows], 0)
            if base_color is not None:
                shown[slot, base_color] += shift

    parallel_map(refine_part, range(len(chosen)), threads)
    return made, shown, depth
