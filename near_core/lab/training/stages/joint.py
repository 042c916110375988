"""Stage `together`: `intrinsics` and `structure` at once, from objects of a pool that are photographed anew each time.

Meant for a GPU, where a sample costs next to nothing; runs on a CPU as well. `structure` learns from what `intrinsics`
says of a photo at that time, made worse at random, since what it says of objects it has never seen is worse.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.photo_networks import Intrinsics, Structure
from ..data import pool
from ..data.relight import Lights
from ..data.studio import Shots, Studio
from ..loop import Run, Schedule, start_from
from . import intrinsics, structure

DOUBTED = 0.5  # of the photos' layers are made worse before `structure` sees them
FLATTER = 0.25  # by which their depth and thickness are stretched, the logarithm's standard deviation
BUMPS = 0.025  # sides of the crop: how far they are off besides, over eighths of the crop


class Both(nn.Module):
    """The two networks, under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.intrinsics, self.structure = Intrinsics(), Structure()
        self.intrinsics.to(memory_format=torch.channels_last)
        for module in self.structure.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)


def doubted(layers: Tensor, mask: Tensor) -> Tensor:
    """Layers (B, LAYERS, S, S) whose depth and thickness are off as those of things never seen; of DOUBTED of them."""
    count, device = len(layers), layers.device
    chosen = (torch.rand(count, 1, 1, device=device) < DOUBTED).float()
    weight = mask.sum((1, 2)).clamp(min=1)
    middle = ((layers[:, 0] * mask).sum((1, 2)) / weight)[:, None, None]
    factor = torch.exp(torch.randn(2, count, 1, 1, device=device) * FLATTER * chosen)
    bumps = F.interpolate(torch.randn(count, 2, 8, 8, device=device), layers.shape[2:], mode="bicubic")
    bumps = bumps * BUMPS * chosen[:, None]
    front = middle + (layers[:, 0] - middle) * factor[0] + bumps[:, 0]
    return torch.cat([front[:, None], (layers[:, 1] * factor[1] + bumps[:, 1])[:, None], layers[:, 2:]], 1)


def judge(networks: Both, shots: Shots, lights: Lights, augment: bool, seed: int | None = None
          ) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of both stages' losses, and their parts."""
    batch = {field.name: getattr(shots, field.name) for field in fields(shots)}
    said = intrinsics.look(networks, batch)
    first, parts = intrinsics.judge(said, batch, lights, seed)
    few = {key: value[:len(shots.solid)] for key, value in batch.items()}
    layers, trunk = said[0][:len(shots.solid)].detach(), said[1][:len(shots.solid)].detach()
    if augment:
        layers = doubted(layers, few["mask"])
    logits = structure.imagine(networks, layers, trunk, few)
    second = structure.loss_of(logits, shots.solid)
    found, true = logits > 0, shots.solid >= 0.5
    overlap = (found & true).sum((1, 2, 3)) / (found | true).sum((1, 2, 3)).clamp(min=1)
    return first + second, parts | {"intrinsics": first, "structure": second, "iou": overlap.mean()}


def load(folders: list[str], limit: int | None = None) -> tuple[list[pool.Packed], list[int]]:
    """The objects of pools, and how often each one's folder is listed."""
    times = Counter(folders)
    paths = [(path, times[folder]) for folder in times for path in sorted(Path(folder).glob("*.safetensors"))[:limit]]
    with ProcessPoolExecutor() as processes:
        return list(processes.map(pool.load, [path for path, _ in paths], chunksize=8)), [often for _, often in paths]


def run(args: argparse.Namespace) -> int:
    torch.manual_seed(0)
    device = torch.device(args.device)
    if device.type == "cpu":
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    (train, often), (held, _) = load(args.pool, args.limit), load(args.dev_pool, args.limit)
    coarse, fine, suns = pool.load_lights(Path(args.lights), device)
    print(f"{len(train)} objects, {len(held)} held out", flush=True)
    studio = Studio(train, fine, suns, device, args.seed, often)
    del train
    gallery = Studio(held, fine, suns, device) if held else None
    networks = Both()
    if not (Path(args.out) / "state.pt").exists():
        for path in args.start:
            start_from(networks, Path(path))
    networks.to(device)
    training = Run(Path(args.out), networks, Schedule(args.rate, minutes=args.minutes))

    def step() -> Tensor:
        with torch.no_grad():
            shots = studio.shoot(args.objects, args.views, args.real, args.solids)
        return judge(networks, shots, coarse, True)[0]

    def check(networks: nn.Module) -> tuple[float, dict]:
        if gallery is None:
            return float(training.step), {}
        gallery.restart(0)
        made = [judge(networks, gallery.shoot(args.objects, args.views, 1.0, args.solids), coarse, False, 0)
                for _ in range(4)]
        return -sum(float(loss) for loss, _ in made) / 4, {
            key: round(sum(float(parts[key]) for _, parts in made) / 4, 4) for key in made[0][1]}

    training.check(check)
    training.train(step, check, args.check_every)
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pool", action="append", required=True,
                           help="a folder of packed objects; may be repeated, also the same one, to draw from it more often")
    arguments.add_argument("--dev-pool", action="append", default=[], help="packed objects of the dev set")
    arguments.add_argument("--lights", required=True, help="maps made ready by `train pool --hdris`")
    arguments.add_argument("--start", action="append", default=[], help="weights (.safetensors) to go on from")
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--limit", type=int, help="at most so many objects of each pool")
    for name, kind, default in (("out", str, ""), ("minutes", float, 8.0), ("objects", int, 16), ("views", int, 4),
                                ("solids", int, 32), ("real", float, 0.35), ("rate", float, 6e-4), ("threads", int, 2),
                                ("seed", int, 0), ("check-every", float, 1.0)):
        arguments.add_argument(f"--{name}", type=kind, default=default)
    raise SystemExit(run(arguments.parse_args()))
