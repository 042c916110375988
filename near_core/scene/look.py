"""The look: how an artist changes an asset's material and how it is shown, without touching the asset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..asset import Surfels
from ..image import luminance

DARK = -64.0  # stops of exposure by which nothing is left

@dataclass(frozen=True)
class AssetLook:
    """Changes to what an instance is made of, and light follows: a redder asset bounces redder light. Exposure and
    opacity change the picture alone.

    tint: linear Rec.709, multiplies the base colour and what is emitted. hue: turns by which these colours move on, red
    over green to blue, -0.5..0.5. saturation: 0 grey, 1 as it is. roughness, metallic: -1 takes all of it away, 0
    leaves it, 1 makes it full. exposure: stops by which the camera sees it brighter. opacity: 0..1, of the object as a
    whole: where it is faded, what lies behind it is seen, not its own inside. glows: whether it emits what it does.
    """

    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hue: float = 0.0
    saturation: float = 1.0
    roughness: float = 0.0
    metallic: float = 0.0
    exposure: float = 0.0
    opacity: float = 1.0
    glows: bool = True

    @property
    def gain(self) -> float:
        """What exposure multiplies radiance with."""
        return 2.0 ** self.exposure

    @property
    def is_hole(self) -> bool:
        """Whether an instance that wears it hides what is behind and shows nothing of itself: its data are 0."""
        return self.exposure <= DARK

    @cached_property
    def material(self) -> AssetLook:
        """The same as far as it changes the material: looks with equal ones share their light."""
        return replace(self, exposure=0.0, opacity=1.0)

    @property
    def is_plain(self) -> bool:
        """Whether the material stays as it is."""
        return self.material == PLAIN

    def recolor(self, color: np.ndarray) -> np.ndarray:
        """Linear colours (K, 3) as the look has them, (K, 3) float32. Hue and saturation keep the luminance, as far as
        colours between 0 and 1 allow."""
        return np.clip(self.tint_light(color), 0, 1)

    def tint_light(self, radiance: np.ndarray) -> np.ndarray:
        """The same of radiance (K, 3), which may be brighter than any colour."""
        made = np.asarray(radiance, np.float32)
        if self.hue or self.saturation != 1:
            grey = luminance(made)[:, None]
            turned = (made - grey) @ _turn_hue(self.hue).T
            made = grey + np.float32(self.saturation) * (turned - luminance(turned)[:, None])
        return np.maximum(made * np.float32(self.tint), 0).astype(np.float32)

    def dress(self, surfels: Surfels) -> Surfels:
        """Surfels with the material that the look gives them."""
        if self.is_plain:
            return surfels
        return replace(surfels, base_color=self.recolor(surfels.base_color),
                       roughness=shift(surfels.roughness, self.roughness),
                       metallic=shift(surfels.metallic, self.metallic),
                       emission=self.tint_light(surfels.emission) if self.glows and surfels.emission is not None
                       else None)


def shift(values: np.ndarray, by: float) -> np.ndarray:
    """Values in 0..1, float32, moved towards 1 by a positive share and towards 0 by a negative one."""
    return np.float32(1 + min(by, 0)) * values + np.float32(max(by, 0)) * (1 - values)


def _turn_hue(turns: float) -> np.ndarray:
    """(3, 3) float32 rotation about the greys."""
    c, s = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return (c * np.eye(3) + s * cross + (1 - c) / 3).astype(np.float32)


PLAIN = AssetLook()
