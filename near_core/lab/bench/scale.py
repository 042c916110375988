"""Many assets and many instances: time and memory, each case in a process of its own, whose memory is its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import asset
from ...asset import NeuralAsset
from ...errors import NearError
from ...render.renderer import Renderer
from ...scene import Instance, Settings, camera
from .config import SIZES, BenchConfig
from .inputs import make_crowd, make_crowd_view, make_light, make_variants
from .timing import read_peak_memory, time_call

# distinct assets, instances, and where these are
CASES = {"1 asset": (1, 1, "seen"), "10 assets": (10, 10, "seen"), "100 assets": (100, 100, "seen"),
         "1,000 instances of 10": (10, 1000, "seen"), "10,000 instances of 10": (10, 10_000, "seen"),
         "1,000 instances behind the camera": (10, 1000, "behind"),
         "1,000 instances behind another": (10, 1000, "hidden"),
         "1,000 instances that are tiny": (10, 1000, "tiny")}
SHAPES = 10  # that are made anew; what is beyond are copies by other names, which share nothing
FIRST_ONLY = {"1 asset", "10 assets"}  # what a quick run measures
GOALS = {"100 assets": {"first": 8.0, "memory_gb": 3.0}}


def measure(config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A row for every case, at 1080p (512 px in a quick run)."""
    folder = config.cache / "kegs"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{SHAPES - 1}.near").is_file():
        for number, neural in enumerate(make_variants(SHAPES)):
            asset.save(neural, folder / f"{number}.near")
    for name, (distinct, count, where) in CASES.items():
        if config.quick and name not in FIRST_ONLY:
            continue
        command = [sys.executable, "-m", "near_core.lab.bench.scale", str(folder), str(distinct), str(count), where,
                   "512" if config.quick else "1080p", str(config.threads), str(config.repeat(3))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[3])
        if done.returncode:
            raise NearError(f"The case {name} failed.", "See above.")
        yield name, json.loads(done.stdout.splitlines()[-1]) | {"goals": GOALS.get(name, {})}


def _measure_case(folder: Path, distinct: int, count: int, where: str, size: tuple[int, int], threads: int, runs: int
                  ) -> dict[str, float]:
    """Seconds of the first picture, of a new map, of a moved camera; the process's highest memory."""
    made = [asset.load(folder / f"{n}.near") for n in range(min(distinct, SHAPES))]
    crowd = place(_multiply(made, distinct), count, where)
    renderer, lights = Renderer(), [make_light(0), make_light(1)]

    def draw(number: int, light: int = 0) -> None:
        renderer.render(crowd, look(number, count, where, size), lights[light], Settings(threads=threads))

    row = {"assets": distinct, "instances": count, "size": size, "first": time_call(draw, 0),
           "new_map": time_call(lambda n: draw(n, 1), 0),
           "moved": statistics.median(time_call(lambda n: draw(n, 1), n) for n in range(1, 1 + runs))}
    return row | {"memory_gb": read_peak_memory()}


def _multiply(made: list[NeuralAsset], count: int) -> list[NeuralAsset]:
    """As many assets, of which none shares anything with another."""
    return [made[n] if n < len(made) else asset.from_bytes(asset.to_bytes(replace(
        made[n % len(made)], name=f"{made[n % len(made)].name} {n}"))) for n in range(count)]


def place(assets: list[NeuralAsset], count: int, where: str) -> list[Instance]:
    """Instances in a crowd; "tiny": a hundredth as large; "hidden": inside of one as it is."""
    crowd = make_crowd(assets, count)
    if where == "tiny":
        return [replace(each, matrix=each.matrix @ np.diag([0.01, 0.01, 0.01, 1])) for each in crowd]
    if where == "hidden":
        inside = np.diag([*[0.2 / count ** 0.5] * 3, 1])
        return [Instance(assets[0], np.eye(4)), *(replace(each, matrix=inside @ each.matrix) for each in crowd[1:])]
    return crowd


def look(number: int, count: int, where: str, size: tuple[int, int]) -> camera.Camera:
    """Camera number n of a walk around the crowd; "behind": it looks the other way."""
    view = make_crowd_view(number, 1 if where == "hidden" else count, size)
    turned = np.diag([-1.0, 1, -1, 1]) @ view.world_to_camera
    return replace(view, world_to_camera=turned) if where == "behind" else view


if __name__ == "__main__":
    folder_, distinct_, count_, where_, size_, threads_, runs_ = sys.argv[1:]
    print(json.dumps(_measure_case(Path(folder_), int(distinct_), int(count_), where_, SIZES[size_], int(threads_),
                                   int(runs_))))
