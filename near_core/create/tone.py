"""What the networks' colours are known to be wrong by as a whole: paler than things are, brighter where these are
dark or mirror a light, and too near to black and white."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..asset import Surfels, Texels
from ..image import srgb_decode, srgb_encode
from ..image.filters import blur_binomial
from .config import Curve, ReconstructionConfig, ToneConfig
from .irradiance import LUMINANCE


def boost_saturation(surfels: Surfels, saturation: float = ReconstructionConfig.saturation) -> Surfels:
    """Surfels with so many times the saturation, and the same mean display value."""
    display = srgb_encode(surfels.base_color)
    grey = display.mean(1, keepdims=True)
    return replace(surfels, base_color=srgb_decode(np.clip(grey + saturation * (display - grey), 0, 1)))


def scale_colors(surfels: Surfels, texels: Texels, factor: np.ndarray) -> tuple[Surfels, Texels]:
    """Surfels and their texels in so many times their linear colours. factor: (M, 1) or (M, 3)."""
    made = replace(surfels, base_color=np.clip(surfels.base_color * factor, 0, 1).astype(np.float32))
    fine = np.clip(texels.compute_colors(surfels) * factor[texels.surfel], 0, 1)
    shift = srgb_encode(fine) - srgb_encode(made.base_color)[texels.surfel]
    return made, replace(texels, shift=shift.astype(np.float32))


def correct_brightness(surfels: Surfels, texels: Texels, curve: Curve = ToneConfig.brightness
                       ) -> tuple[Surfels, Texels]:
    """Surfels and their texels, as bright as things are of which photos show so bright ones as a whole: what networks
    find dark is darker still, but what one photo shows nearly black or white rather stands in little light or in much.

    curve: pairs of what is found and what is made of it, linear; between them by logarithms.
    """
    weight = _weigh_seen(surfels) * (1 - surfels.metallic) + 1e-9
    known, made = np.log(curve).T
    found = max(float((surfels.base_color @ LUMINANCE * weight).sum() / weight.sum()), curve[0][0])
    factor = np.exp(np.interp(np.log(found), known, made)) / found
    return scale_colors(surfels, texels, np.full((len(surfels), 1), factor, np.float32))


def calm_highlights(surfels: Surfels, texels: Texels, config: ToneConfig = ToneConfig()) -> tuple[Surfels, Texels]:
    """Surfels and their texels, less bright where they are brighter than their surroundings of the same chroma: rather
    a highlight than a colour."""
    log = np.log(np.maximum(surfels.base_color @ LUMINANCE, config.darkest))
    above = log - _average_alike(surfels, log, config) - np.log(config.highlight)
    factor = np.exp(-config.highlight_share * np.maximum(above, 0))
    return scale_colors(surfels, texels, factor[:, None].astype(np.float32))


def _average_alike(surfels: Surfels, values: np.ndarray, config: ToneConfig) -> np.ndarray:
    """(M,): the mean of values (M,) over what lies around each surfel and has its chroma."""
    display = srgb_encode(np.maximum(surfels.base_color, 1e-4))
    chroma = display / display.sum(1, keepdims=True)
    alike = np.round((chroma[:, [0, 2]] - chroma[:, [1]]) / config.chroma_step).astype(int)
    row = np.clip((surfels.position + 0.5) * config.cells, 0, config.cells - 1).astype(int) @ [
        config.cells**2, config.cells, 1]
    weight, found = _weigh_seen(surfels), np.empty(len(values))
    kinds = np.unique(alike, axis=0, return_inverse=True)[1].ravel()
    for kind in range(kinds.max() + 1):
        own = kinds == kind
        total, count = (_spread(row[own], weight[own] * value, config) for value in (values[own], np.ones(own.sum())))
        found[own] = total / np.maximum(count, 1e-12)
    return found


def _spread(row: np.ndarray, values: np.ndarray, config: ToneConfig) -> np.ndarray:
    """Sums (P,) of values (P,) in the cells numbered row (P,) and those around."""
    grid = np.bincount(row, values, config.cells**3).reshape((config.cells,) * 3)
    for _ in range(config.smoothing):
        grid = blur_binomial(grid)
    return grid.ravel()[row]


def _weigh_seen(surfels: Surfels) -> np.ndarray:
    """How much surfels count, (M,): by their area, hardly where no photo shows them."""
    return surfels.area * (surfels.confidence > 0.5) + 1e-6
