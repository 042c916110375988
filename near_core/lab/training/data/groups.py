"""Points of several things in one tensor: the rows of each stand together."""

from __future__ import annotations

import torch
from torch import Tensor


def rows_of(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """start, count: (P,). The rows start..start + count of all, one after the other, and whose they are."""
    of = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    first = torch.cumsum(count, 0) - count
    return torch.arange(len(of), device=of.device) - first[of] + start[of], of


def rotate(axes: Tensor, points: Tensor) -> Tensor:
    """axes (M, K, 3) times points (M, 3): (M, K). Not as a product of matrices: those are too small for one."""
    return (axes * points[:, None]).sum(-1)


def extent(points: Tensor, of: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The least and the largest coordinates (count, C) of points (M, C) by what they belong to, ascending."""
    groups = points.split(torch.bincount(of, minlength=count).tolist())
    return torch.stack([group.amin(0) for group in groups]), torch.stack([group.amax(0) for group in groups])
