"""How wrong a photo's layers look once they are lit: split-sum shading of pixels, differentiable, under random maps.

A layer's own error says little about the picture it makes: the base colour of a metal is what it mirrors, and where
the light is dim no colour matters. So the material and the normals are judged together by what they are for.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .... import image
from ...._kernels import ggx
from ....scene import environment as environments
from .color import srgb_encode

ROUGHNESS = (0.05, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)  # of the prefiltered levels of a map
ROWS = 16  # of the prefiltered maps
SEPARABLE = 1e-3  # added to a picture's mean squared error: below 30 dB layers are as good as equal


class ShadedLayer:
    """(B, 8, P): what a light needs of the layers, the planes that Layer.SHADED takes out of them."""

    NORMAL = slice(0, 3)  # camera's frame, not unit
    BASE_COLOR = slice(3, 6)  # display
    ROUGHNESS = 6
    METALLIC = 7


def read_maps(folder: Path, without: set[str]) -> list[np.ndarray]:
    """The maps (H, W, 3) of a folder but for those whose file names are in without."""
    return [environments.sanitize(image.read(path)) for path in sorted(folder.iterdir())
            if path.suffix in (".hdr", ".exr") and path.name not in without]


class Lights:
    """Maps made ready: atlas (M, 3, R + 1, rows, 2 rows + 2), GGX radiance by reflection at each of ROUGHNESS, then
    irradiance over pi by normal; one column more on either side, since a map is closed."""

    def __init__(self, atlas: Tensor) -> None:
        self.atlas, self.rows = atlas, atlas.shape[3]
        self.roughness = atlas.new_tensor(ROUGHNESS)

    @classmethod
    def of(cls, maps: list[np.ndarray], rows: int = ROWS) -> Lights:
        """Of maps (H, W, 3), M of them; rows: of what is prefiltered."""
        levels = []
        for light in maps:
            pyramid = ggx.build_pyramid(light)
            diffuse = ggx.integrate_irradiance(pyramid, rows) / math.pi
            levels.append(np.concatenate([ggx.prefilter(pyramid, ROUGHNESS, rows), diffuse[None]]))
        atlas = torch.from_numpy(np.stack(levels).astype(np.float32)).permute(0, 4, 1, 2, 3)
        return cls(torch.cat([atlas[..., -1:], atlas, atlas[..., :1]], -1).contiguous())

    def look_up(self, maps: Tensor, direction: Tensor, level: Tensor) -> Tensor:
        """maps (B,) at directions (B, 3, P), Z up, and levels (B, P) of the atlas -> radiance (B, 3, P)."""
        x, y, z = direction.unbind(1)
        rows = self.rows
        u = -torch.atan2(y, x) / math.pi * (2 * rows) / (2 * rows + 2)  # -1..1, column centres of the padded map
        v = -2 * torch.asin(z.clamp(-0.999, 0.999)) / math.pi * rows / (rows - 1)
        where = torch.stack([u, v, level / len(ROUGHNESS) * 2 - 1], -1)[:, None, None]
        where = where * where.new_tensor([(2 * rows + 2) / (2 * rows + 1), 1, 1])
        found = F.grid_sample(self.atlas[maps], where, mode="bilinear", padding_mode="border", align_corners=True)
        return found[:, :, 0, 0]

    def level(self, roughness: Tensor) -> Tensor:
        """Where roughness (B, P) lies among the atlas's levels."""
        above = torch.searchsorted(self.roughness, roughness.detach().contiguous()).clamp(1, len(ROUGHNESS) - 1)
        low, high = self.roughness[above - 1], self.roughness[above]
        return above - 1 + (roughness - low) / (high - low)

    def shade(self, maps: Tensor, turn: Tensor, layers: Tensor) -> Tensor:
        """Radiance (B, 3, P) of layers (B, 8, P), as ShadedLayer, under maps (B,). turn: (B, 3, 3) from the camera's
        frame to the map's. The viewer is infinitely far away."""
        normal = F.normalize(layers[:, ShadedLayer.NORMAL], dim=1, eps=1e-3)
        base = layers[:, ShadedLayer.BASE_COLOR].clamp(0.01, 1) ** 2.2
        roughness, metallic = layers[:, ShadedLayer.ROUGHNESS].clamp(0.05, 1), layers[:, ShadedLayer.METALLIC]
        cosine = (-normal[:, 2]).clamp(0.02, 1)
        reflected = 2 * cosine[:, None] * normal
        reflected = torch.cat([reflected[:, :2], reflected[:, 2:] + 1], 1)
        mirror = self.look_up(maps, F.normalize(turn @ reflected, dim=1, eps=1e-3), self.level(roughness))
        diffuse = self.look_up(maps, turn @ normal, torch.full_like(roughness, len(ROUGHNESS)))
        matt, shiny = reflectances(base, roughness, metallic, cosine)
        return matt * diffuse + shiny * mirror

    def error(self, layers: Tensor, truth: Tensor, mask: Tensor, elevation: Tensor, seed: int | None = None) -> Tensor:
        """Mean squared errors (B,) of the display values that layers (B, 8, P), as ShadedLayer, and true ones lead to,
        where mask (B, P) is 1, under a random map turned at random, seen from elevation (B,) radians."""
        device = layers.device
        rng = None if seed is None else torch.Generator(device).manual_seed(seed)
        count = len(layers)
        maps = torch.randint(len(self.atlas), (count,), generator=rng, device=device)
        azimuth = torch.rand(count, generator=rng, device=device) * 2 * math.pi
        turn = camera_to_world(azimuth, elevation)
        difference = srgb_encode(self.shade(maps, turn, layers)) - srgb_encode(self.shade(maps, turn, truth).detach())
        return (difference.square().mean(1) * mask).sum(1) / mask.sum(1).clamp(min=1)


def reflectances(base: Tensor, roughness: Tensor, metallic: Tensor, cosine: Tensor) -> tuple[Tensor, Tensor]:
    """What a surface of linear base colour (B, 3, P), roughness, metallic and cosine to the viewer (B, P) sends back of
    the irradiance over pi and of a lobe's radiance, (B, 3, P) each: a fit of the split-sum table (Lazarov 2013, Karis
    2014)."""
    a, b = 1 - roughness, 0.0425 - 0.0275 * roughness
    slope = torch.minimum(a * a, torch.exp2(-9.28 * cosine)) * a + b
    scale, bias = -1.04 * slope + 1.04 - 0.572 * roughness, 1.04 * slope + 0.022 * roughness - 0.04
    f0 = 0.04 * (1 - metallic[:, None]) + base * metallic[:, None]
    return 0.95 * base * (1 - metallic[:, None]), f0 * scale[:, None] + bias[:, None]


def camera_to_world(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """(B, 3, 3): columns are an upright camera's right, down and forward, from azimuth and elevation on the origin."""
    ca, sa, ce, se = azimuth.cos(), azimuth.sin(), elevation.cos(), elevation.sin()
    zero = torch.zeros_like(ca)
    right = torch.stack([-sa, ca, zero], -1)
    forward = torch.stack([-ca * ce, -sa * ce, -se], -1)
    return torch.stack([right, torch.linalg.cross(forward, right), forward], -1)


def mean_log(errors: Tensor) -> Tensor:
    """The mean logarithm of pictures' errors (B,): what a mean of decibels counts."""
    return torch.log(errors + SEPARABLE).mean()
