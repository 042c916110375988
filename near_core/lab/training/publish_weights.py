"""Not a stage: takes the best weights of runs into near_core/weights, in float16, as they are committed."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from ..networks import graphs as mini_graphs


def run(args: argparse.Namespace) -> int:
    """Of several runs that started from the same weights the mean (model soups; Wortsman et al. 2022)."""
    runs = [load_file(Path(out) / "best.safetensors") for out in args.out]
    mean = {key: sum(each[key].float() for each in runs) / len(runs) for key in runs[0]}
    if args.keep:
        before = load_file(mini_graphs.WEIGHTS / f"{args.stage}.safetensors")
        mean = {key: torch.lerp(mean[key], value.float(), args.keep) for key, value in before.items()}
    path = mini_graphs.store(args.stage, mean)
    print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("stage", choices=sorted({graph.stage for graph in mini_graphs.ALL.values()}))
    arguments.add_argument("--out", action="append", required=True,
                           help="a run's folder; given again, the mean of the runs' weights is taken")
    arguments.add_argument("--keep", type=float, default=0.0, metavar="SHARE",
                           help="of the weights that are there already, in the mean with the runs' (default 0)")
    raise SystemExit(run(arguments.parse_args()))
