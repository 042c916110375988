"""What near-mini is compared with: simpler light, and the mean colour of the photo."""

from __future__ import annotations

import numpy as np

from ... import image
from ...models.mini.layout import Term
from ...render.renderer import Renderer
from ..datasets.dataset import DatasetView
from . import metrics


class VisibilityRenderer(Renderer):
    """The baseline between split-sum and transport: the open map's light less what the asset hides, nothing bounced.

    other: whose prepared assets and lights are used, so that nothing is prepared twice.
    """

    def __init__(self, other: Renderer):
        vars(self).update(vars(other))

    def radiance(self, item, shaded, light, settings) -> np.ndarray:
        return shaded.terms[:, Term.SKY] + shaded.terms[:, Term.SPECULAR_OPEN] * (1 - shaded.blocked)[:, None]


def take_photo(picture: np.ndarray) -> np.ndarray:
    """What a camera would save of a rendering: (H, W, 4) uint8, sRGB, straight alpha.

    picture: (H, W, 4) linear, premultiplied; colours are divided by alpha, clipped to 0..1, encoded, rounded.
    """
    alpha = np.clip(picture[..., 3:], 0, 1)
    straight = np.where(alpha > 0, picture[..., :3] / np.maximum(alpha, 1e-6), 0)
    return np.round(np.concatenate([metrics.encode(straight), alpha], -1) * 255).astype(np.uint8)


def take_opaque_photo(view: DatasetView) -> np.ndarray:
    """The photo over what lies behind the object, its own light: (H, W, 3) uint8, sRGB."""
    picture = view.image()
    behind = view.environment().look_up(view.camera.pixel_directions())
    return np.round(metrics.encode(picture[..., :3] + (1 - picture[..., 3:]) * behind) * 255).astype(np.uint8)


def average_color(picture: np.ndarray) -> np.ndarray:
    """The one colour (3,), linear, nearest to a picture's object pixels: their mean after the sRGB encoding."""
    solid = picture[..., 3] > metrics.SOLID
    return image.srgb_decode(metrics.encode(picture)[solid].mean(0)) if solid.any() else np.zeros(3)


def fill_silhouette(alpha: np.ndarray, color: np.ndarray) -> np.ndarray:
    """A silhouette (H, W, 1) filled with a linear colour: (H, W, 4) float32, premultiplied."""
    return np.concatenate([alpha * color, alpha], -1).astype(np.float32)
