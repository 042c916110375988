"""Stage `latent`: encoder and intrinsic decoder, an autoencoder of what a voxel's surface is made of."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .... import asset as assets
from ....asset import octants as latent
from ...networks.asset_networks import Encoder, IntrinsicDecoder
from ..loop import Run, Schedule, autocast, background

VOXELS = 6000  # of an object per step: a box around a random voxel


class Autoencoder(nn.Module):
    """Both networks under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.iad = Encoder(), IntrinsicDecoder()


def load(folder: Path, names: list[str] | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """coords (N, 3) and octants (N, 8, 13) float16 of the .near files of a folder, by name."""
    found = {}
    for path in sorted(folder.glob("*.near")):
        if names is None or path.stem in names:
            asset = assets.load(path)
            found[path.stem] = asset.coords, latent.octants(asset.surfels, asset.coords).astype(np.float16)
    return found


def recoloured(octants: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same surface in other colours: channels swapped and bent, roughness and metallic moved at random."""
    out = octants.astype(np.float32)
    if rng.random() < 0.6:
        permuted = out[..., 7:10][..., rng.permutation(3)]
        out[..., 7:10] = np.clip(permuted, 0, 1) ** rng.uniform(0.5, 2.0, 3) * rng.uniform(0.5, 1.0, 3)
    if rng.random() < 0.6:
        out[..., 10] = np.clip(out[..., 10] * rng.uniform(0.3, 1.2) + rng.uniform(-0.3, 0.3), 0, 1)
    if rng.random() < 0.4:
        out[..., 11] = np.clip(rng.random() if rng.random() < 0.5 else 1 - out[..., 11], 0, 1)
    return out * out[..., :1]


def crop(coords: np.ndarray, octants: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most VOXELS voxels nearest to a random one."""
    if len(coords) > VOXELS:
        apart = np.abs(coords.astype(int) - coords[rng.integers(len(coords))]).max(1)
        near = np.argpartition(apart, VOXELS)[:VOXELS]
        coords, octants = coords[near], octants[near]
    return coords, octants


def loss_of(octants: Tensor, occupied: Tensor, children: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Occupancy, surface and material of the decoded octants against the true ones (N, 8, 13)."""
    full = octants[..., 0]
    mean = lambda error: (error * full).sum() / full.sum().clamp(min=1)  # noqa: E731
    parts = {
        "occupied": F.binary_cross_entropy_with_logits(occupied, full),
        "offset": mean((children[..., :3] - octants[..., 1:4]).abs().mean(-1)),
        "normal": mean(1 - (children[..., 3:6] * octants[..., 4:7]).sum(-1)),
        "colour": mean((children[..., 6:9] - octants[..., 7:10]).abs().mean(-1)),
        "material": mean((children[..., 9:11] - octants[..., 10:12]).abs().mean(-1)),
        "sides": mean(F.binary_cross_entropy_with_logits(children[..., 11], octants[..., 12], reduction="none"))}
    weights = {"occupied": 1.0, "offset": 1.0, "normal": 1.0, "colour": 6.0, "material": 4.0, "sides": 0.3}
    return sum(weights[k] * v for k, v in parts.items()), parts


def run(args: argparse.Namespace) -> int:
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    exclude = set(args.held.split(","))
    every = load(Path(args.assets))
    train = [v for k, v in every.items() if k not in exclude]
    held = [v for k, v in every.items() if k in exclude]
    print(f"{len(train)} objects, {len(held)} held out", flush=True)
    rng = np.random.default_rng()

    def make() -> tuple[Tensor, Tensor]:
        coords, octants = crop(*train[rng.integers(len(train))], rng)
        return torch.from_numpy(recoloured(octants, rng)), torch.from_numpy(latent.neighbours(coords))

    batches = background(make)

    def step() -> Tensor:
        octants, around = next(batches)
        with autocast():
            slat = networks.encoder(octants.flatten(1), around)
            slat = slat + 0.03 * torch.randn_like(slat)
            _, occupied, children = networks.iad(slat, around)
        # a soft pull keeps the latent's channels near unit scale
        return loss_of(octants, occupied.float(), children.float())[0] + 1e-3 * slat.float().square().mean()

    def check(networks: nn.Module) -> tuple[float, dict]:
        total: dict[str, float] = {}
        for coords, octants in held:
            truth, around = torch.from_numpy(octants.astype(np.float32)), torch.from_numpy(latent.neighbours(coords))
            _, occupied, children = networks.iad(networks.encoder(truth.flatten(1), around), around)
            loss, parts = loss_of(truth, occupied, children)
            for key, value in (("loss", loss), *parts.items()):
                total[key] = total.get(key, 0) + float(value) / len(held)
        return -total["loss"], {k: round(v, 4) for k, v in total.items()}

    networks = Autoencoder()
    Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes)).train(step, check, args.check_every)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    for name, kind, default in (("assets", str, ""), ("held", str, ""), ("out", str, ""), ("minutes", float, 30.0),
                                ("rate", float, 2e-3), ("threads", int, 2), ("check-every", float, 5.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    raise SystemExit(run(arguments.parse_args()))
