"""What the lighting decoder sees: light tokens of a map, and inputs per surfel. One place for training and rendering."""

from __future__ import annotations

import math

import numpy as np

from .render import Shaded
from .transport import Light, fibonacci_sphere

TOKENS = 96
_ROWS = (32, 16, 8)  # pyramid levels a token looks at, by their rows


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

