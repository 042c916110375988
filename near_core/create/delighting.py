"""What the networks leave of the light in a photo's colours: their answer, corrected until it explains the photo.

The layers say where a photo's surface faces and what it is made of. A light that is as smooth over directions as
diffuse reflection is (nine spherical harmonics: Ramamoorthi and Hanrahan 2001, "An Efficient Representation for
Irradiance Environment Maps") is fitted to them, so that they look like the photo. Where they still don't, the material
is more likely wrong than the light.
"""

from __future__ import annotations

import numpy as np

from ..directions import unit
from ..image import srgb_decode, srgb_encode
from ..models.mini.layout import Layer, Picture
from .irradiance import LUMINANCE
from .photo_config import DelightingConfig


def refine_albedo(layers: np.ndarray, image: np.ndarray, config: DelightingConfig = DelightingConfig()) -> np.ndarray:
    """Layers (LAYERS, S, S) as Intrinsics returns them, with colours that explain the photo better.

    image: (PICTURE, S, S), as Intrinsics sees it. The mean colour stays, since a brighter light or one of another
    colour would explain it as well, unless what is bright would be whiter than things are; so do metals, which mirror
    what no smooth light knows.
    """
    alpha = image[Picture.ALPHA]
    opaque = alpha > 0.9
    if opaque.sum() < config.minimum_pixels:
        return layers
    seen = srgb_decode(np.clip((image[Picture.COLOR] / np.maximum(alpha, 1e-3) + 1) / 2, 0, 1))
    color = srgb_decode(np.clip(layers[Layer.BASE_COLOR], 0.01, 1))
    basis = _spherical_harmonics(unit(layers[Layer.NORMAL], axis=0))
    light = np.stack([_fit_light(basis, c, s, opaque, config) for c, s in zip(color, seen)])
    off = np.log(np.clip(seen, 0.005, 0.98) / np.maximum(color * light, 1e-4))
    off = np.clip(off, -config.maximum_log_change, config.maximum_log_change)
    off -= off[:, opaque].mean(1)[:, None, None]
    share = config.color_share * (1 - np.clip(layers[Layer.METALLIC], 0, 1)) * np.clip(alpha, 0, 1)
    made = color * np.exp(share * off)
    made *= min(config.white / np.quantile(LUMINANCE @ made[:, opaque], 1 - config.bright_share), 1)
    corrected = layers.astype(np.float32)
    corrected[Layer.BASE_COLOR] = srgb_encode(np.clip(made, 0, 1))
    return corrected


def _spherical_harmonics(direction: np.ndarray) -> np.ndarray:
    """The first nine, not normalised, of directions (3, S, S): (S, S, 9)."""
    x, y, z = direction
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], -1)


def _fit_light(basis: np.ndarray, color: np.ndarray, seen: np.ndarray, opaque: np.ndarray,
               config: DelightingConfig) -> np.ndarray:
    """The light (S, S) of one channel, of the basis (S, S, 9), the colour (S, S) and the photo (S, S) that it makes
    of the colour: by iteratively reweighted least squares over the opaque pixels, (S, S) bool."""
    model, goal = (basis * color[..., None])[opaque], seen[opaque]
    stiff = np.diag([0] + 3 * [0.3] + 5 * [1.0]) * config.light_stiffness * (color[opaque] ** 2).sum()
    weight = np.ones((len(goal), 1), np.float32)
    for _ in range(config.fit_rounds):
        light = np.linalg.solve((model * weight).T @ model + stiff + 1e-9 * np.eye(9), (model * weight).T @ goal)
        error = np.abs(goal - model @ light)
        weight = (1 / (1 + (error / (2 * np.median(error) + 2e-4)) ** 2))[:, None]
    found = np.maximum(basis @ light, 1e-3)
    return np.maximum(found, config.darkest_light * found[opaque].mean())
