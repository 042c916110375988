"""Surfels under a light and a view: their transport terms, and what the lighting decoder is told about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import shading
from ._kernels import ggx, grid
from .surfels import Surfels
from .transport import Illumination, Light, Transport, fibonacci_sphere

TOKENS = 96
_ROWS = (32, 16, 8)  # pyramid levels a token looks at, by their rows


@dataclass(frozen=True, eq=False)
class Shaded:
    """Surfels under a light and a view, K of them, with what they send to the camera term by term.

    surfels: K taken from the asset's. index: (K,) their rows there. view: (K, 3) unit, asset frame, to the camera.
    terms: (K, 5, 3) radiance at strength 1: sky diffuse without and with visibility, bounced diffuse, specular
        without and with occlusion. blocked: (K,) fraction of the specular lobe that hits the asset.
    visibility: (K,) of the sky's irradiance.
    """

    surfels: Surfels
    index: np.ndarray
    view: np.ndarray
    terms: np.ndarray
    blocked: np.ndarray
    visibility: np.ndarray


def shade(prepared: Transport, illumination: Illumination, light: Light,
          asset_to_map: np.ndarray, index: np.ndarray, view: np.ndarray, rays: int, threads: int = 0) -> Shaded:
    """The physically based part of a picture: transport and the Principled BSDF for the surfels at index (K,)."""
    surfels = prepared.surfels.take(index)
    cosine = np.clip(np.einsum("kc,kc->k", surfels.shading_normal, view), 1e-3, 1)
    opened, traced, blocked = grid.trace_specular(
        prepared.grid, index.astype(np.int32), view, surfels.shading_normal, surfels.roughness,
        illumination.radiosity, light.pyramid, asset_to_map.astype(np.float32), rays=rays, threads=threads)
    # the same light by more rays, none of them traced: where little is in the way, most of the noise goes
    smooth = ggx.reflect(light.pyramid, surfels.normal, view, surfels.shading_normal, surfels.roughness,
                         index.astype(np.int32), asset_to_map, rays=4 * rays, threads=threads)
    traced = np.maximum(traced + (smooth - opened) * (1 - blocked)[:, None, None], 0)
    irradiance = np.stack([illumination.open[index], illumination.direct[index], illumination.bounced[index]], 1)
    terms = shading.outgoing(surfels.base_color, surfels.roughness, surfels.metallic, cosine, irradiance,
                             np.stack([smooth, traced], 1))
    return Shaded(surfels, index, view, terms, blocked, illumination.visibility[index])


def token_directions() -> np.ndarray:
    """(TOKENS, 3) float32 unit, map frame."""
    return fibonacci_sphere(TOKENS)


def token_radiance(light: Light, directions: np.ndarray) -> np.ndarray:
    """Radiance around directions (T, 3) of the map's frame at three widths, over the map's mean. (T, 9) float32."""
    pyramid = light.pyramid
    lods = [max(math.log2(pyramid.height / rows), 0) for rows in _ROWS]
    levels = [pyramid.sample(directions, np.full(len(directions), lod, np.float32)) for lod in lods]
    return np.concatenate(levels, 1) / max(light.mean, 1e-8)


def surfel_inputs(shaded: Shaded) -> np.ndarray:
    """(K, 11) float32: what the decoder is told of a surfel beside its light."""
    s = shaded.surfels
    cosine = lambda a, b: np.einsum("kc,kc->k", a, b)  # noqa: E731
    return np.column_stack([s.base_color, s.roughness, s.metallic, cosine(s.shading_normal, shaded.view),
                            cosine(s.normal, shaded.view), cosine(s.normal, s.shading_normal), s.area,
                            shaded.visibility, shaded.blocked]).astype(np.float32)


def reflections(shaded: Shaded) -> np.ndarray:
    """(K, 3) unit, asset frame: the view direction mirrored at the shading normal."""
    n = shaded.surfels.shading_normal
    return 2 * np.einsum("kc,kc->k", n, shaded.view)[:, None] * n - shaded.view

