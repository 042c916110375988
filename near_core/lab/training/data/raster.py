"""Surfels as discs in a z-buffer."""

from __future__ import annotations

import torch
from torch import Tensor

from ....models.mini.layout import RESOLVED
from .groups import rotate

RASTER = 2 * RESOLVED  # pixels a side of the z-buffer
DISC = 4  # points along a surfel's side
NONE = 2**63 - 1  # what a pixel holds that no surfel falls on


def rasterize_surfels(position: Tensor, tangents: list[Tensor], entry: Tensor, matrix: Tensor, window: Tensor
                      ) -> tuple[Tensor, Tensor, Tensor]:
    """What each of G cameras sees of its object.

    position: (M, 3) surfels, world. tangents: two, (M, 3), half a surfel long. entry: (M,) whose they are. matrix:
    (G, 4, 4) world to camera, OpenCV. window: (G, 3) the crop's middle x, y and side, in the plane z = 1.
    Returns depth along the axis of the front and of the last surface, and the front's surfel, -1 for none: (G, R, R)
    each, R = RASTER.
    """
    count, device = len(matrix), matrix.device
    turn, frame = matrix[entry, :3, :3], window[entry]
    middle = rotate(turn, position) + matrix[entry, :3, 3]
    first, second = (rotate(turn, t) for t in tangents)
    number = torch.arange(len(middle), device=device)
    nearest = torch.full((count * RASTER * RASTER + 1,), NONE, dtype=torch.int64, device=device)
    last = torch.zeros(count * RASTER * RASTER + 1, device=device)
    steps = [(2 * k + 1) / DISC - 1 for k in range(DISC)]
    for u in steps:
        for v in steps:
            point = middle + u * first + v * second
            pixel = ((point[:, :2] / point[:, 2:].clamp(min=1e-3) - frame[:, :2]) / frame[:, 2:] + 0.5) * RASTER
            x, y = pixel.floor().long().unbind(1)
            at = (entry * RASTER + y) * RASTER + x
            within = (x >= 0) & (x < RASTER) & (y >= 0) & (y < RASTER) & (point[:, 2] > 1e-3)
            at = torch.where(within, at, len(last) - 1)
            z = point[:, 2].contiguous()
            # positive floats keep their order as integers
            nearest.scatter_reduce_(0, at, z.view(torch.int32).long() << 32 | number, "amin")
            last.scatter_reduce_(0, at, z, "amax")
    nearest, last = nearest[:-1].reshape(count, RASTER, RASTER), last[:-1].reshape(count, RASTER, RASTER)
    hit = nearest < NONE
    front = (nearest >> 32).to(torch.int32).view(torch.float32)
    row = torch.where(hit, nearest & 0xFFFFFFFF, -1)
    return torch.where(hit, front, torch.zeros_like(front)), last, row
