"""The verb bench: how long things take and how much memory they need, on this machine, medians of several runs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import __version__, asset, files, mesh
from ..._kernels import ggx, library, splat
from ...asset.octants import surfels_of
from ...create import create
from ...errors import NearError
from ...light import transport
from ...models.mini import runtime
from ...render.gaussians import from_surfels
from ...render.renderer import Renderer
from ...scene import Environment, Instance, Settings, camera
from ...scene.environment import turn_z
from ...worker import protocol
from . import lock

SAMPLES = Path(__file__).resolve().parents[3] / "near_blender" / "assets"
SIZES = {"512": (512, 512), "1080p": (1920, 1080)}
# what the project promises on two cores; seconds, and GB for memory
GOALS = {"camera_512": 0.15, "camera_1080p": 0.4, "rotated_world_extra": 0.04, "new_map": 0.3, "mesh_to_asset": 5.0,
         "photo_to_asset": 20.0, "worker_ready": 3.0, "worker_memory_gb": 1.5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `near_core bench`."""
    parser.add_argument("--json", type=Path, help="where the numbers go")
    parser.add_argument("--runs", type=int, default=7, help="of each measurement; the median counts")
    parser.add_argument("--threads", type=int, default=0, help="0 = all")
    parser.add_argument("--shading", choices=("auto", "transport", "split-sum"), default="auto")
    parser.add_argument("--only", choices=("frames", "create", "worker", "kernels"), action="append",
                        help="may be given again; default: everything")


def run(args: argparse.Namespace) -> int:
    """Measures, prints a table and writes it as JSON."""
    if not (SAMPLES / "keg.glb").is_file():
        raise NearError("The sample mesh is not there.", "Run bench in a checkout of the project.")
    wanted = args.only or ["frames", "create", "worker", "kernels"]
    result: dict = {"machine": _machine(args.threads), "measured": {}}
    with lock.exclusive():
        small, large = (create.create_from_mesh(shape, name=name) for name, shape in _meshes().items())
        for name, function in (("frames", _frames), ("create", _create), ("worker", _worker), ("kernels", _kernels)):
            if name in wanted:
                print(f"measuring {name}", file=sys.stderr, flush=True)
                result["measured"] |= function(args, small, large)
    result["goals"] = GOALS
    print("\n".join(_line(name, value) for name, value in result["measured"].items()))
    if args.json:
        files.write(args.json, json.dumps(result, indent=1))
    return 0


def _line(name: str, value: float) -> str:
    goal = next((goal for key, goal in GOALS.items() if name == key or name.startswith(f"{key}_n")), None)
    verdict = "" if goal is None else f"   goal {goal:g}: {'met' if value <= goal else 'MISSED'}"
    return f"{name:<34}{value:10.4f}{verdict}"


def _machine(threads: int) -> dict:
    model = ""
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"cpu": model or platform.processor(), "cores": os.cpu_count(), "threads": threads or os.cpu_count(),
            "isa": library.isa(), "python": platform.python_version(), "near": __version__,
            "networks": list(runtime.NearMini().graphs)}


def _meshes() -> dict[str, mesh.Mesh]:
    """The keg made smaller, about 10,000 voxels, and with the bottom of a pedestal under it, about 20,000."""
    keg, _, _ = mesh.normalized(mesh.load(SAMPLES / "keg.glb"))
    angle = np.linspace(0, 2 * np.pi, 65)[:-1]
    ring = np.stack([0.43 * np.cos(angle), 0.43 * np.sin(angle), np.full(64, keg.vertices[:, 2].min() - 0.02)], 1)
    vertices = np.concatenate([ring, ring.mean(0, keepdims=True)]).astype(np.float32)
    faces = np.stack([np.arange(64), (np.arange(64) + 1) % 64, np.full(64, 64)], 1).astype(np.int32)
    floor = mesh.Mesh(vertices, faces, material_index=np.full(64, len(keg.materials), np.int32))
    plain = mesh.Material()
    return {"small": replace(keg, vertices=keg.vertices * np.float32(0.75)),
            "large": mesh.merged([keg, floor], (*keg.materials, plain))}


def _median(args: argparse.Namespace, function: Callable[[int], object]) -> float:
    """Seconds of function(0), function(1), …: the median after one run that does not count."""
    return statistics.median([_seconds(function, number) for number in range(args.runs + 1)][1:])


def _extra(args: argparse.Namespace, plain: Callable[[int], object], more: Callable[[int], object]) -> float:
    """Seconds that more(n) takes longer than plain(n), right after it: the median; the first pair does not count."""
    pairs = np.array([[_seconds(plain, number), _seconds(more, number)] for number in range(2 * args.runs + 1)])
    return float(np.median(pairs[1:, 1] - pairs[1:, 0]))


def _seconds(function: Callable[[int], object], number: int) -> float:
    start = time.perf_counter()
    function(number)
    return time.perf_counter() - start


def _light(seed: int) -> Environment:
    """A soft sky with a sun; another seed, another map."""
    rng = np.random.default_rng(seed)
    sky = np.repeat(np.linspace(1, 0.2, 256, dtype=np.float32)[:, None], 512, 1)[..., None] * rng.uniform(0.5, 1, 3)
    sky = sky.astype(np.float32)
    row, column = rng.integers(20, 100), rng.integers(0, 500)
    sky[row:row + 4, column:column + 4] = 500
    return Environment(sky)


def _view(number: int, size: tuple[int, int]) -> camera.Camera:
    return camera.orbit(20 + 7 * number, 20, 2, 40 * max(1, size[0] / size[1]) ** 0.8, *size)


def _frames(args: argparse.Namespace, *assets: asset.NeuralAsset) -> dict:
    """Seconds per picture with a new camera, a turned World and a new map."""
    measured = {}
    maps = [_light(seed) for seed in range(args.runs + 1)]
    for neural in assets:
        count, renderer, instances = len(neural.coords), Renderer(), [Instance(neural, np.eye(4))]
        draw = lambda view, light, quality="final": renderer.render(instances, view, light, Settings(  # noqa: B023
            quality=quality, shading=args.shading, passes=("Combined",), threads=args.threads))
        start = time.perf_counter()
        draw(_view(0, SIZES["512"]), maps[0])
        measured[f"first_picture_n{count}"] = time.perf_counter() - start
        for name, size in SIZES.items():
            measured[f"camera_{name}_n{count}"] = _median(args, lambda n: draw(_view(n, size), maps[0]))  # noqa: B023
        measured[f"camera_512_draft_n{count}"] = _median(
            args, lambda n: draw(_view(n, SIZES["512"]), maps[0], "draft"))  # noqa: B023
        turned = lambda n: Environment(maps[0].map, turn_z(10 * n + 5), _cache=maps[0]._cache)  # noqa: E731
        for name, quality in (("", "final"), ("_draft", "draft")):
            measured[f"rotated_world_extra{name}_n{count}"] = _extra(
                args, lambda n: draw(_view(n, SIZES["512"]), maps[0], quality),  # noqa: B023
                lambda n: draw(_view(n, SIZES["512"]), turned(n), quality))  # noqa: B023
        measured[f"new_map_n{count}"] = _median(args, lambda n: draw(_view(n, SIZES["512"]), maps[n]))  # noqa: B023
    return measured


def _create(args: argparse.Namespace, *assets: asset.NeuralAsset) -> dict:
    """Seconds from a file to an asset."""
    few = argparse.Namespace(runs=min(args.runs, 3))
    measured = {"mesh_to_asset": _median(few, lambda n: create.create_from_mesh(
        mesh.load(SAMPLES / "keg.glb"), name="keg", normalize=True))}
    if "intrinsics" in runtime.NearMini().graphs:
        measured["photo_to_asset"] = _median(few, lambda n: create.create_from_image(
            [SAMPLES / "coffee.jpg"], name="coffee", elevation=45))
    return measured


def _worker(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
    """Seconds until a fresh worker says hello and has drawn a picture, and its highest memory after one at 1080p."""
    ready, drawn, memory = [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "answers").touch()
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "near_core.worker", folder, str(os.getpid())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])})
            channel = protocol.Channel(process.stdout, process.stdin, incoming=Path(folder) / "answers",
                                       outgoing=Path(folder) / "requests")
            _until(channel, "hello")
            ready.append(time.perf_counter() - start)
            drawn.append(_draw_remotely(channel, large) - start)
            memory.append(_peak_memory(process.pid))
            channel.send({"op": "quit"})
            process.wait(10)
    return {"worker_ready": statistics.median(ready), "worker_first_picture": statistics.median(drawn),
            "worker_memory_gb": max(memory)}


def _draw_remotely(channel: protocol.Channel, neural: asset.NeuralAsset) -> float:
    """Has the worker draw at 1080p; returns when the picture was here, on the clock of perf_counter."""
    light = _light(0)
    channel.send({"op": "put", "kind": "asset", "hash": "a", "name": "", "data": asset.to_bytes(neural)})
    channel.send({"op": "put", "kind": "map", "hash": "m", "name": "", "data": light.map})
    channel.send({"op": "render", "id": 1, "channel": "final", "instances": [{"asset": "a", "matrix": np.eye(4)}],
                  "camera": _view(0, SIZES["1080p"]), "settings": Settings(), "backdrop": None,
                  "environment": {"map": "m", "world_to_map": np.eye(3), "strength": 1.0}})
    _until(channel, "done")
    return time.perf_counter()


def _until(channel: protocol.Channel, name: str) -> None:
    while (event := channel.receive()) is not None:
        if event["event"] == name:
            return
        if event["event"] in ("error", "missing"):
            raise NearError(f"The worker failed: {event.get('what', event)}", "Run `near_core render` to see more.")
    raise NearError("The worker ended.", "Run `near_core info`.")


def _peak_memory(pid: int) -> float:
    """GB of a process at its highest, 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((float(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)


def _kernels(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
    """Seconds of the parts of a frame, for the larger asset."""
    surfels, threads = surfels_of(large, runtime.NearMini()), args.threads
    count, light = len(surfels), _light(0)
    prepared, prepared_light = transport.prepare_transport(surfels, threads), transport.prepare_light(light)
    shape = from_surfels(surfels, np.eye(4))
    measured = {f"kernel_hit_table_m{count}": _median(args, lambda n: transport.prepare_transport(surfels, threads)),
                "kernel_light": _median(args, lambda n: transport.prepare_light(light)),
                "kernel_pyramid": _median(args, lambda n: ggx.pyramid(light.map, threads=threads))}
    for suns in (True, False):
        illuminate = lambda n: transport.illuminate(prepared, prepared_light, turn_z(n),  # noqa: E731
                                                    suns=suns, threads=threads)  # noqa: B023
        measured[f"kernel_illuminate{'_suns' if suns else ''}_m{count}"] = _median(args, illuminate)
    features = np.ones((count, 13), np.float32)
    for name, size in SIZES.items():
        view = _view(0, size)
        project = lambda: splat.project(  # noqa: E731
            shape.xyz, shape.covariance, shape.opacity, view.world_to_camera, view.intrinsics, *size,  # noqa: B023
            low_pass=0.1, threads=threads)
        projection = project()
        measured[f"kernel_project_{name}_m{count}"] = _median(args, lambda n: project())  # noqa: B023
        measured[f"kernel_rasterize_{name}_m{count}"] = _median(
            args, lambda n: splat.rasterize(projection, features, *size, threads=threads))  # noqa: B023
    return measured
