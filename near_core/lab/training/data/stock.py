"""What scenes are made of, on one device: packed objects one after the other, materials, maps, and chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....asset.surfels import SURFEL_RESOLUTION
from ...datasets.materials import draw_uniform
from .packed_objects import PackedObject
from .relight import Lights

PLAIN = 0.7  # of neighbouring surfels that are of one colour: above it, a colour is a part
MATERIALS = 4096  # drawn once


class Chance:
    """Random numbers on a device (`generator`) and in numpy (`rng`), the same ones for the same seed."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.restart(seed)

    def restart(self, seed: int) -> None:
        """The same numbers once more."""
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.rng = np.random.default_rng(seed)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers of 0..1, evenly."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        """Numbers of a normal distribution, standard deviation 1."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers of 0..high - 1, evenly."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)


@dataclass
class Stock:
    """K objects with N surfels in all, and the materials and lights that they are given.

    weight: (K,) how often an object is drawn, sum 1. start, count: (K,) its rows. position: (N, 3) asset units.
    normal: (N, 3) unit. color: (N, 3) uint8, display. material: (N, 2) roughness and metallic. inside: (K, 128^3 / 8)
    uint8, packed bits. finished: (K,) bool, whether its material is worth learning from. plain: (K,) bool, whether a
    colour is a part of it. materials: (MATERIALS, 5), others to choose from: linear colour, roughness, metallic.
    lights: the maps, fine enough to be mirrored. suns: (L, S, 3) unit directions drawn by each map's brightness, and
    the radiance (L, S, 3) that each stands for.
    """

    chance: Chance
    weight: np.ndarray
    start: Tensor
    count: Tensor
    position: Tensor
    normal: Tensor
    color: Tensor
    material: Tensor
    inside: Tensor
    finished: Tensor
    plain: Tensor
    materials: Tensor
    lights: Lights
    suns: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, objects: list[PackedObject], lights: Lights, suns: tuple[np.ndarray, np.ndarray], chance: Chance,
           often: list[int] | None = None) -> Stock:
        """often: how many times as often as others each object is drawn."""
        device = chance.device
        on = lambda parts: torch.from_numpy(np.concatenate(parts)).to(device)
        weight = np.ones(len(objects)) if often is None else np.array(often, float)
        count = torch.tensor([len(o.position) for o in objects], device=device)
        # neighbours along the curve that surfels are sorted by
        alike = [(o.color[1:] == o.color[:-1]).all(1).mean() for o in objects]
        materials = [draw_uniform(chance.rng) for _ in range(MATERIALS)]
        return cls(
            chance, weight / weight.sum(), torch.cumsum(count, 0) - count, count,
            on([o.position for o in objects]), on([o.normal for o in objects]), on([o.color for o in objects]),
            on([o.material for o in objects]), on([o.inside[None] for o in objects]),
            torch.tensor([o.finished for o in objects], device=device),
            torch.tensor(np.array(alike) > PLAIN, device=device),
            torch.tensor([[*m.color, m.roughness, m.metallic] for m in materials], device=device),
            lights, (torch.from_numpy(suns[0]).to(device), torch.from_numpy(suns[1]).to(device)))

    def __len__(self) -> int:
        return len(self.weight)

    def is_inside(self, number: Tensor, points: Tensor) -> Tensor:
        """Whether points (3, ...) of an object's own frame lie inside it: float32 (...)."""
        cell = torch.floor((points + 0.5) * SURFEL_RESOLUTION).long()
        valid = ((cell >= 0) & (cell < SURFEL_RESOLUTION)).all(0)
        x, y, z = cell.clamp(0, SURFEL_RESOLUTION - 1)
        at = (x * SURFEL_RESOLUTION + y) * SURFEL_RESOLUTION + z
        return (valid & ((self.inside[number][at >> 3] >> (7 - (at & 7))) & 1 > 0)).float()
