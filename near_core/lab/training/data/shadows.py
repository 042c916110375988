"""How much of a map's light reaches each surfel past the object itself, by shadow maps of a few directions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .groups import rotate

SHADOW = 96  # pixels a side of a shadow map
STEEP = 6  # pixels of a shadow map, at most, that a slanting surface may lie behind what the map shows
AT_ONCE = 4  # directions


def shadow_surfels(position: Tensor, normal: Tensor, entry: Tensor, reach: Tensor, suns: Tensor, weight: Tensor,
                   skies: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of light that shadows leave to surfels (M, 3) with unit normals (M, 3) of objects `entry` (M,).

    reach: (G,) side of a cube around the origin that holds each object. suns: (G, S, 3) unit directions, each for
    radiance weight (G, S, 3). skies: (G, K, 3) even over the sphere.
    Returns lit (2, M, 3), of what falls on both sides of a surfel, and sky (2, M), of all directions, by the cosine.
    """
    towards, count = torch.cat([suns, skies], 1), suns.shape[1]
    sums = position.new_zeros(2, 2, len(entry), 4)  # side; with shadows, without; rgb and sky
    for start in range(0, towards.shape[1], AT_ONCE):
        some = towards[:, start:start + AT_ONCE]
        cosine = rotate(some[entry], normal)
        seen = _see(position, cosine, entry, reach[entry], some)
        for side, sign in ((0, 1.0), (1, -1.0)):
            facing = (cosine * sign).clamp(min=0)
            for k in range(some.shape[1]):
                if start + k < count:
                    strength = weight[:, start + k][entry] * facing[:, k:k + 1]
                    sums[side, 0, :, :3] += strength * seen[:, k:k + 1]
                    sums[side, 1, :, :3] += strength
                else:
                    sums[side, 0, :, 3] += facing[:, k] * seen[:, k]
                    sums[side, 1, :, 3] += facing[:, k]
    sky = (sums[:, 0, :, 3] + 0.2) / (sums[:, 1, :, 3] + 0.2)
    small = 0.02 * weight.mean((1, 2))[entry][:, None]
    return (sums[:, 0, :, :3] + small * sky[..., None]) / (sums[:, 1, :, :3] + small), sky


def _see(position: Tensor, cosine: Tensor, entry: Tensor, reach: Tensor, towards: Tensor) -> Tensor:
    """Whether surfels (M, 3) see along D directions (G, D, 3) of their objects: float32 (M, D)."""
    count = towards.shape[1]
    steep = towards[..., 2:].abs() < 0.7
    helper = torch.where(steep, towards.new_tensor([0, 0, 1.0]), towards.new_tensor([1.0, 0, 0]))
    across = F.normalize(torch.linalg.cross(helper, towards), dim=-1)
    up = torch.linalg.cross(towards, across)
    place = lambda axes: ((rotate(axes[entry], position) / reach[:, None] + 0.5) * SHADOW).long().clamp(0, SHADOW - 1)
    number = entry[:, None] * count + torch.arange(count, device=entry.device)
    pixel = (number * SHADOW + place(up)) * SHADOW + place(across)
    height = rotate(towards[entry], position)
    shadow = torch.full((len(towards) * count * SHADOW * SHADOW,), -9.0, device=entry.device)
    shadow.scatter_reduce_(0, pixel.reshape(-1), height.reshape(-1), "amax")
    slope = ((1 - cosine * cosine).clamp(min=0).sqrt() / cosine.abs().clamp(min=1e-3)).clamp(max=STEEP)
    return (height >= shadow[pixel] - reach[:, None] / SHADOW * (1 + slope)).float()
