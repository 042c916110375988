"""Stage `latent`: encoder and intrinsic decoder, an autoencoder of what a voxel's surface is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import asset as assets
from ....asset import octants
from ....models.mini.layout import DecodedOctant, Octant
from ...networks.asset_networks import Encoder, IntrinsicDecoder
from ...options import option
from ..loop import Run, RunConfig, Score, autocast, background, set_up_torch

VOXELS = 6000  # of an object per step: a box around a random voxel


class Autoencoder(nn.Module):
    """Both networks under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.iad = Encoder(), IntrinsicDecoder()


def load_octants(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """coords (N, 3) and octants (N, 8, 13) float16 of the .near files of a folder, by name."""
    found = {}
    for path in sorted(folder.glob("*.near")):
        asset = assets.load(path)
        found[path.stem] = asset.coords, octants.gather(asset.surfels, asset.coords).astype(np.float16)
    return found


def recolor_octants(cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Octants (N, 8, 13) in other colours: channels swapped and bent, roughness and metallic moved at random."""
    out = cells.astype(np.float32)
    if rng.random() < 0.6:
        permuted = out[..., Octant.BASE_COLOR][..., rng.permutation(3)]
        out[..., Octant.BASE_COLOR] = np.clip(permuted, 0, 1) ** rng.uniform(0.5, 2.0, 3) * rng.uniform(0.5, 1.0, 3)
    if rng.random() < 0.6:
        roughness = out[..., Octant.ROUGHNESS]
        out[..., Octant.ROUGHNESS] = np.clip(roughness * rng.uniform(0.3, 1.2) + rng.uniform(-0.3, 0.3), 0, 1)
    if rng.random() < 0.4:
        out[..., Octant.METALLIC] = np.clip(rng.random() if rng.random() < 0.5 else 1 - out[..., Octant.METALLIC], 0, 1)
    return out * out[..., Octant.OCCUPIED, None]


def crop_voxels(coords: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most VOXELS voxels nearest to a random one. coords: (N, 3), cells: (N, 8, 13)."""
    if len(coords) > VOXELS:
        apart = np.abs(coords.astype(int) - coords[rng.integers(len(coords))]).max(1)
        near = np.argpartition(apart, VOXELS)[:VOXELS]
        coords, cells = coords[near], cells[near]
    return coords, cells


def compute_loss(cells: Tensor, occupied: Tensor, children: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Occupancy, surface and material of the decoded octants against the true ones (N, 8, 13)."""
    full = cells[..., Octant.OCCUPIED]
    mean = lambda error: (error * full).sum() / full.sum().clamp(min=1)
    parts = {
        "occupied": F.binary_cross_entropy_with_logits(occupied, full),
        "offset": mean((children[..., DecodedOctant.OFFSET] - cells[..., Octant.OFFSET]).abs().mean(-1)),
        "normal": mean(1 - (children[..., DecodedOctant.NORMAL] * cells[..., Octant.NORMAL]).sum(-1)),
        "colour": mean((children[..., DecodedOctant.BASE_COLOR] - cells[..., Octant.BASE_COLOR]).abs().mean(-1)),
        "material": mean((children[..., DecodedOctant.ROUGHNESS_METALLIC]
                          - cells[..., Octant.ROUGHNESS_METALLIC]).abs().mean(-1)),
        "sides": mean(F.binary_cross_entropy_with_logits(children[..., DecodedOctant.TWO_SIDED],
                                                         cells[..., Octant.TWO_SIDED], reduction="none"))}
    weights = {"occupied": 1.0, "offset": 1.0, "normal": 1.0, "colour": 6.0, "material": 4.0, "sides": 0.3}
    return sum(weights[k] * v for k, v in parts.items()), parts


def draw_batch(objects: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Octants (N, 8, 13) of a part of a random object, in other colours, and its voxels' neighbours (N, 27)."""
    coords, cells = crop_voxels(*objects[rng.integers(len(objects))], rng)
    return torch.from_numpy(recolor_octants(cells, rng)), torch.from_numpy(octants.find_neighbours(coords))


def step_loss(networks: Autoencoder, cells: Tensor, around: Tensor) -> Tensor:
    """Of one batch, its latent made a little noisy."""
    with autocast():
        slat = networks.encoder(cells.flatten(1), around)
        slat = slat + 0.03 * torch.randn_like(slat)
        _, occupied, children = networks.iad(slat, around)
    # a soft pull keeps the latent's channels near unit scale
    return compute_loss(cells, occupied.float(), children.float())[0] + 1e-3 * slat.float().square().mean()


def check(networks: Autoencoder, held: list[tuple[np.ndarray, np.ndarray]]) -> Score:
    """The loss and its parts, means over the objects held out."""
    total: dict[str, float] = {}
    for coords, cells in held:
        truth, around = torch.from_numpy(cells.astype(np.float32)), torch.from_numpy(octants.find_neighbours(coords))
        _, occupied, children = networks.iad(networks.encoder(truth.flatten(1), around), around)
        loss, parts = compute_loss(truth, occupied, children)
        for key, value in (("loss", loss), *parts.items()):
            total[key] = total.get(key, 0) + float(value) / len(held)
    return -total["loss"], {k: round(v, 4) for k, v in total.items()}


@dataclass(frozen=True, kw_only=True)
class LatentConfig(RunConfig):
    """How `latent` is trained."""

    assets: Path = option("what it learns from: .near files of meshes", "folder")
    held: tuple[str, ...] = option("which of them make the dev set", "names with commas between", separated=True)
    rate: float = 2e-3


def train(config: LatentConfig) -> None:
    """Trains the encoder and the intrinsic decoder: surfels of a voxel to its latent and back."""
    set_up_torch(config)
    every = load_octants(config.assets)
    objects = [v for k, v in every.items() if k not in config.held]
    held = [v for k, v in every.items() if k in config.held]
    print(f"{len(objects)} objects, {len(held)} held out", flush=True)
    rng = np.random.default_rng()
    networks = Autoencoder()
    batches = background(lambda: draw_batch(objects, rng))
    Run(config, networks).train(lambda: step_loss(networks, *next(batches)), lambda: check(networks, held))
