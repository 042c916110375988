"""Not a stage: takes the best weights of a run into near_core/weights, in float16, as they are committed."""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from ..models import mini_graphs


def run(args: argparse.Namespace) -> int:
    path = mini_graphs.store(args.stage, load_file(Path(args.out) / "best.safetensors"))
    print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("stage", choices=sorted({graph.stage for graph in mini_graphs.ALL.values()}))
    arguments.add_argument("--out", required=True, help="the run's folder")
    raise SystemExit(run(arguments.parse_args()))
