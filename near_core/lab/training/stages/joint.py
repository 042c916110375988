"""Stage `joint`: `intrinsics` and `structure` at once, from objects of a pool that are photographed anew each time.

Meant for a GPU, where a sample costs next to nothing; runs on a CPU as well. `structure` learns from what `intrinsics`
says of a photo at that time, made worse at random, since what it says of objects it has never seen is worse.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from ...networks.photo_networks import Intrinsics
from ...networks.solid_networks import Structure
from ...options import option
from ..data import packed_objects
from ..data.looks import DEPTHS, worsen_depths
from ..data.relight import Lights
from ..data.studio import Shots, Studio
from ..loop import Run, RunConfig, Score, start_from
from . import intrinsics, structure


class JointNetworks(nn.Module):
    """The two networks, under the names they are saved by."""

    def __init__(self) -> None:
        super().__init__()
        self.intrinsics, self.structure = Intrinsics(), Structure()
        self.intrinsics.to(memory_format=torch.channels_last)
        for module in self.structure.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)


def judge(networks: JointNetworks, shots: Shots, lights: Lights, augment: bool, seed: int | None = None
          ) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of both stages' losses, and their parts."""
    batch = {field.name: getattr(shots, field.name) for field in fields(shots)}
    said = intrinsics.predict(networks, batch)
    first, parts = intrinsics.judge(said, batch, lights, seed)
    few = {key: value[:len(shots.solid)] for key, value in batch.items()}
    layers, trunk = said[0][:len(shots.solid)].detach().clone(), said[1][:len(shots.solid)].detach()
    if augment:
        layers[:, DEPTHS] = worsen_depths(layers[:, DEPTHS], few["mask"])
    logits = structure.predict_solid(networks, layers, trunk, few)
    second = structure.judge_solid(logits, shots.solid)
    found, true = logits > 0, shots.solid >= 0.5
    overlap = (found & true).sum((1, 2, 3)) / (found | true).sum((1, 2, 3)).clamp(min=1)
    return first + second, parts | {"intrinsics": first, "structure": second, "iou": overlap.mean()}


@dataclass(frozen=True, kw_only=True)
class JointConfig(RunConfig):
    """How `intrinsics` and `structure` are trained together."""

    pool: tuple[Path, ...] = option(
        "packed objects; may be given again, also the same ones, to draw them more often", "folder")
    dev_pool: tuple[Path, ...] = option("packed objects of the dev set; may be given again", "folder", ())
    lights: Path = option("maps made ready by `train pool --hdris`", ".safetensors file")
    start: tuple[Path, ...] = option("weights to go on from; may be given again", ".safetensors file", ())
    device: str = option("where it learns", "torch device", "cuda" if torch.cuda.is_available() else "cpu")
    limit: int | None = option("at most so many objects of each pool", "objects", None)
    objects: int = option("objects a step", "objects", 16)
    views: int = option("photos of each object a step", "photos", 4)
    solids: int = option("photos a step that `structure` learns from", "photos", 32)
    real: float = option("share of the objects that are taken as they are, under Cycles' light", "0..1", 0.35)
    seed: int = option("of what is drawn by chance", "number", 0)
    minutes: float = 8.0
    rate: float = 6e-4
    check_every: float = 1.0


def train(config: JointConfig) -> None:
    """Trains `intrinsics` and `structure` together, with objects that are photographed anew for every sample."""
    torch.manual_seed(0)
    device = torch.device(config.device)
    if device.type == "cpu":
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    objects, often = packed_objects.load_pools(config.pool, config.limit)
    held, _ = packed_objects.load_pools(config.dev_pool, config.limit)
    coarse, fine, suns = packed_objects.load_lights(config.lights, device)
    print(f"{len(objects)} objects, {len(held)} held out", flush=True)
    studio = Studio(objects, fine, suns, device, config.seed, often)
    del objects
    gallery = Studio(held, fine, suns, device) if held else None
    networks = JointNetworks()
    if config.is_new:
        for path in config.start:
            start_from(networks, path)
    networks.to(device)
    run = Run(config, networks)

    def loss() -> Tensor:
        with torch.no_grad():
            shots = studio.shoot(config.objects, config.views, config.real, config.solids)
        return judge(networks, shots, coarse, True)[0]

    def check() -> Score:
        if gallery is None:
            return float(run.step), {}
        gallery.restart(0)
        made = [judge(networks, gallery.shoot(config.objects, config.views, 1.0, config.solids), coarse, False, 0)
                for _ in range(4)]
        return -sum(float(loss) for loss, _ in made) / 4, {
            key: round(sum(float(parts[key]) for _, parts in made) / 4, 4) for key in made[0][1]}

    run.check(check)
    run.train(loss, check)
