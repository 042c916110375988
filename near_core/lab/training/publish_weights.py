"""Takes the best weights of runs into near_core/weights, in float16, as they are committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..networks import graphs
from ..options import option


@dataclass(frozen=True, kw_only=True)
class PublishConfig:
    """Which weights are published."""

    stage: str = option("whose weights", positional=True, choices=tuple(sorted({g.stage for g in graphs.ALL.values()})))
    out: tuple[Path, ...] = option("a run's folder; given again, the mean of the runs' weights is taken", "folder")
    keep: float = option("share of the weights that are there already, in the mean with the runs'", "0..1", 0.0)


def publish(config: PublishConfig, weights: Path = graphs.WEIGHTS) -> None:
    """Publishes a stage's weights: of several runs that started from the same weights the mean (model soups; Wortsman
    et al. 2022). weights: the folder that is committed."""
    runs = [load_file(folder / "best.safetensors") for folder in config.out]
    mean = {key: sum(each[key].float() for each in runs) / len(runs) for key in runs[0]}
    if config.keep:
        before = load_file(weights / f"{config.stage}.safetensors")
        mean = {key: torch.lerp(mean[key], value.float(), config.keep) for key, value in before.items()}
    path = graphs.store(config.stage, mean, weights)
    print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")
