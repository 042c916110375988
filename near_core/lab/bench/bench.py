"""The verb bench: how long things take and how much memory they need, on this machine, medians of several runs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from ... import __version__, files
from ..._kernels import library
from ...create import create
from ...errors import NearError
from ...models.mini import runtime
from . import lock
from .inputs import SAMPLES, make_meshes
from .measurements import MEASUREMENTS

# what the project promises on two cores; seconds, and GB for memory
GOALS = {"camera_512": 0.15, "camera_1080p": 0.4, "rotated_world_extra": 0.04, "new_map": 0.3, "mesh_to_asset": 5.0,
         "photo_to_asset": 20.0, "crowd_1000_moved": 5.0, "crowd_memory_gb": 3.0,
         "moved_camera_360p": 0.6, "worker_ready": 3.0, "worker_memory_gb": 1.5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core bench`."""
    parser.add_argument("--json", type=Path, metavar="R.json", help="where the numbers go; default: nowhere")
    parser.add_argument("--runs", type=int, default=7, metavar="N",
                        help="of each measurement, of which the median counts; default: 7")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="processor threads; default: 0, all")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto",
                        help="auto: the trained model where there is one (default); transport: light transport alone; "
                             "split-sum: prefiltered light without shadows")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append",
                        help="what is measured; may be given again; default: everything")


def run(args: argparse.Namespace) -> int:
    """Measures, prints a table and writes it as JSON."""
    if not (SAMPLES / "keg.glb").is_file():
        raise NearError("The sample mesh is not there.", "Run bench in a checkout of the project.")
    result: dict = {"machine": _describe_machine(args.threads), "measured": {}}
    with lock.exclusive():
        small, large = (create.create_from_mesh(shape, name=name) for name, shape in make_meshes().items())
        for name in args.only or MEASUREMENTS:
            print(f"measuring {name}", file=sys.stderr, flush=True)
            result["measured"] |= MEASUREMENTS[name](args, small, large)
    result["goals"] = GOALS
    print("\n".join(_format(name, value) for name, value in result["measured"].items()))
    if args.json:
        files.write(args.json, json.dumps(result, indent=1))
    return 0


def _format(name: str, value: float) -> str:
    goal = next((goal for key, goal in GOALS.items() if name == key or name.startswith(f"{key}_n")), None)
    verdict = "" if goal is None else f"   goal {goal:g}: {'met' if value <= goal else 'MISSED'}"
    return f"{name:<34}{value:10.4f}{verdict}"


def _describe_machine(threads: int) -> dict:
    model = ""
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"cpu": model or platform.processor(), "cores": os.cpu_count(), "threads": threads or os.cpu_count(),
            "isa": library.isa(), "python": platform.python_version(), "near": __version__,
            "networks": list(runtime.NearMini().graphs)}
