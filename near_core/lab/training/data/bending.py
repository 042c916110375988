"""Objects are given other shapes: bent by waves and stretched."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

WAVES = 4  # of an object's bending


class Bending:
    """A smooth change of shape for each of P parts: waves are added, then the axes stretched.

    What is alike on both sides of x = 0 stays so where `even`. Parts that are `still` keep their shape.
    """

    def __init__(self, still: Tensor, rng: torch.Generator) -> None:
        count, device = len(still), still.device
        draw = lambda *shape: torch.rand(*shape, generator=rng, device=device)
        normal = lambda *shape: torch.randn(*shape, generator=rng, device=device)
        self.even = draw(count) < 0.75
        self.frequency = F.normalize(normal(count, WAVES, 3), dim=-1) * (0.3 + 1.3 * draw(count, WAVES, 1))
        self.phase = draw(count, WAVES) * 2 * math.pi
        slope = normal(count, WAVES, 3) * 0.12 * (~still)[:, None, None]
        self.height = slope / (2 * math.pi * self.frequency.norm(dim=-1, keepdim=True))
        self.stretch = torch.exp(normal(count, 3) * 0.25 * (~still)[:, None])

    def waves(self, points: Tensor, of: Tensor) -> Tensor:
        """What is added to points (M, 3) of parts (M,)."""
        even = self.even[of]
        folded = torch.where(even, points[:, 0].abs(), points[:, 0])
        place = torch.stack([folded, points[:, 1], points[:, 2]], 1)
        found = torch.zeros_like(points)
        for wave in range(WAVES):
            phase = (place * self.frequency[of, wave]).sum(1) * 2 * math.pi + self.phase[of, wave]
            found += self.height[of, wave] * torch.sin(phase)[:, None]
        side = torch.where(even, torch.tanh(6 * points[:, 0]), torch.ones_like(folded))
        return torch.cat([found[:, :1] * side[:, None], found[:, 1:]], 1)

    def bend(self, points: Tensor, of: Tensor) -> Tensor:
        """Points (M, 3) of parts (M,), bent and stretched."""
        return (points + self.waves(points, of)) * self.stretch[of]

    def unbend(self, points: Tensor, of: Tensor) -> Tensor:
        """The points (M, 3) that bend takes to these, by fixed-point iteration: the waves are never steep."""
        goal = points / self.stretch[of]
        found = goal
        for _ in range(8):
            found = goal - self.waves(found, of)
        return found
