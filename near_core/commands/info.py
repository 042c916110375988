"""The command info: what an asset file, or this installation, is made of."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from ..errors import to_line
from .terminal import answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core info`."""
    parser.add_argument("asset", type=Path, nargs="?", metavar="ASSET", help="a .near file; default: this installation")
    parser.add_argument("--json", action="store_true", help="print a JSON object; default: a line for each fact")


def run(args: argparse.Namespace) -> int:
    """Prints what an asset or the installation is made of."""
    facts = _asset_facts(args.asset) if args.asset else _installation_facts()
    if args.json:
        answer(json.dumps(facts, indent=1))
    else:
        told = {key.replace("_", " "): to_line(str(value)) for key, value in facts.items()}
        answer("\n".join(f"{key:<20}{value}" for key, value in told.items() if value))  # no problem is no line
    return 0


def _asset_facts(path: Path) -> dict:
    from .. import asset

    loaded = asset.load(path)
    return {"name": loaded.name, "source": loaded.source, "voxels": len(loaded.coords),
            "surfels": 0 if loaded.surfels is None else len(loaded.surfels), "latent_channels": loaded.slat.shape[1],
            "model": loaded.model, "model_hash": loaded.model_hash, "extent_m": loaded.extent, "hash": loaded.hash,
            "thumbnail": loaded.thumbnail is not None, "bytes": path.stat().st_size}


def _installation_facts() -> dict:
    from .._kernels import library
    from ..models.mini import runtime
    from ..worker.runtime import describe_runtime

    try:
        kernels = f"{library.this_platform()} {library.isa()}"
    except library.KernelsMissing as error:
        kernels = str(error)
    model = runtime.NearMini()
    return {**describe_runtime(), "kernels": kernels, "cores": os.cpu_count(),
            "networks": ", ".join(model.graphs) or "none", "model_hash": model.digest}
