"""The verb bench: how long things take, beside what else could be used, and how much memory they need."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ... import __version__, files
from ..._kernels import library
from ...errors import NearError
from ...models.mini import runtime
from ..options import add_options, read_config
from . import latency, lock, phases, race, results, scale, splatting
from .config import BenchConfig
from .inputs import SAMPLES

PARTS = {"cycles": race.measure, "splatting": splatting.measure, "phases": phases.measure, "scale": scale.measure,
         "latency": latency.measure}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core bench`."""
    add_options(parser, BenchConfig)


def run(args: argparse.Namespace) -> int:
    """Measures part by part; after each row what is known goes to the JSON file, so that a run may be stopped."""
    config = read_config(BenchConfig, args)
    if unknown := [name for name in config.parts if name not in PARTS]:
        raise NearError(f"There is no part {unknown[0]!r}.", f"Choose from {', '.join(PARTS)}.")
    if not (SAMPLES / "keg.glb").is_file():
        raise NearError("The sample mesh is not there.", "Run bench in a checkout of the project.")
    known = config.json is not None and config.json.is_file()
    result = files.read_json(config.json, "Choose another file.") if known else {}
    if known:
        with files.expecting(config.json, "Choose another file."):
            results.compose(result)
    config.cache.mkdir(parents=True, exist_ok=True)
    with lock.exclusive():
        for part in config.parts:
            for name, row in _measure(part, config):
                found = result.setdefault(part, {"rows": {}})
                found["machine"] = describe_machine(config.threads)
                found["rows"][name] = {**row, "commit": found["machine"]["commit"]}
                if config.json:
                    files.write(config.json, json.dumps(result, indent=1))
    if config.plots:
        results.write(result, config.plots)
    return 0


def _measure(part: str, config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A part's rows, each with how much else the machine had to do: the mean of waiting processes over a minute."""
    start = time.monotonic()
    for name, row in PARTS[part](config):
        row["load"] = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0
        shown = "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                          for key, value in row.items() if isinstance(value, int | float | str))
        print(f"{part}: {name}: {shown}", file=sys.stderr, flush=True)
        yield name, row
        if config.minutes and time.monotonic() - start > 60 * config.minutes:
            print(f"{part}: the time is up", file=sys.stderr, flush=True)
            return


def describe_machine(threads: int) -> dict:
    """Processor, instruction set, versions, commit: what ratios hold on."""
    model = ""
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=SAMPLES, capture_output=True, text=True)
    return {"cpu": model or platform.processor(), "cores": os.cpu_count(), "threads": threads or os.cpu_count(),
            "isa": library.isa(), "system": platform.system(), "python": platform.python_version(),
            **{name: _find_version(name) for name in ("numpy", "onnxruntime", "embreex", "bpy")},
            "near": __version__, "commit": commit.stdout.strip(), "networks": sorted(runtime.NearMini().graphs)}


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
