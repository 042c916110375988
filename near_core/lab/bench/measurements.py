"""Measurements: frames, creation, the worker, kernels. Each returns names and medians, in seconds but for memory."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ... import asset, mesh
from ..._kernels import ggx, splat
from ...asset import levels
from ...asset.octants import choose_surfels
from ...create import create
from ...errors import NearError
from ...light import transport
from ...models.mini import runtime
from ...render.config import SplattingConfig
from ...render.gaussians import from_level
from ...render.renderer import Renderer
from ...render.splatting import project
from ...scene import Instance, Settings, camera
from ...scene.environment import turn_z
from ...worker import protocol
from .inputs import SAMPLES, SIZES, make_crowd, make_crowd_view, make_light, make_variants, make_view


def _median(args: argparse.Namespace, function: Callable[[int], object]) -> float:
    """Seconds of function(0), function(1), …: the median after one run that does not count."""
    return statistics.median([_time(function, number) for number in range(args.runs + 1)][1:])


def _median_difference(args: argparse.Namespace, plain: Callable[[int], object],
                       more: Callable[[int], object]) -> float:
    """Seconds that more(n) takes longer than plain(n), right after it: the median; the first pair does not count."""
    pairs = np.array([[_time(plain, number), _time(more, number)] for number in range(2 * args.runs + 1)])
    return float(np.median(pairs[1:, 1] - pairs[1:, 0]))


def _time(function: Callable[[int], object], number: int) -> float:
    start = time.perf_counter()
    function(number)
    return time.perf_counter() - start


def measure_frames(args: argparse.Namespace, *assets: asset.NeuralAsset) -> dict:
    """Seconds per picture with a new camera, a turned World and a new map."""
    measured = {}
    maps = [make_light(seed) for seed in range(args.runs + 1)]
    for neural in assets:
        count, renderer, instances = len(neural.coords), Renderer(), [Instance(neural, np.eye(4))]
        draw = lambda view, light, quality="final": renderer.render(instances, view, light, Settings(  # noqa: B023
            quality=quality, shading=args.shading, passes=("Combined",), threads=args.threads))
        start = time.perf_counter()
        draw(make_view(0, SIZES["512"]), maps[0])
        measured[f"first_picture_n{count}"] = time.perf_counter() - start
        for name, size in SIZES.items():
            measured[f"camera_{name}_n{count}"] = _median(
                args, lambda n: draw(make_view(n, size), maps[0]))  # noqa: B023
        measured[f"camera_512_draft_n{count}"] = _median(
            args, lambda n: draw(make_view(n, SIZES["512"]), maps[0], "draft"))  # noqa: B023
        turned = lambda n: maps[0].turn(turn_z(10 * n + 5), 1.0)
        for name, quality in (("", "final"), ("_draft", "draft")):
            measured[f"rotated_world_extra{name}_n{count}"] = _median_difference(
                args, lambda n: draw(make_view(n, SIZES["512"]), maps[0], quality),  # noqa: B023
                lambda n: draw(make_view(n, SIZES["512"]), turned(n), quality))  # noqa: B023
        measured[f"new_map_n{count}"] = _median(args, lambda n: draw(make_view(n, SIZES["512"]), maps[n]))  # noqa: B023
    return measured


def measure_crowd(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
    """Seconds for 26 instances of ten assets at 640 x 360 and 1,000 at 1080p: with nothing known, with a new map,
    with a moved camera; and the process's highest memory."""
    variants, lights, measured = make_variants(10), [make_light(0), make_light(1)], {}
    for count, size in ((26, "360p"), (1000, "1080p")):
        renderer, crowd = Renderer(), make_crowd(variants, count)
        draw = lambda n, light: renderer.render(  # noqa: B023
            crowd, make_crowd_view(n, count, SIZES[size]), light, Settings(  # noqa: B023
                shading=args.shading, passes=("Combined",), threads=args.threads))
        measured[f"crowd_{count}_first"] = _time(lambda n: draw(n, lights[0]), 0)  # noqa: B023
        measured[f"crowd_{count}_new_map"] = _time(lambda n: draw(n, lights[1]), 0)  # noqa: B023
        measured[f"crowd_{count}_moved"] = statistics.median(
            _time(lambda n: draw(n, lights[1]), n) for n in (1, 2, 3))  # noqa: B023
    return measured | {"crowd_memory_gb": _read_peak_memory(os.getpid())}


def measure_moved_camera(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
    """Seconds for three assets that fill a picture of 640 x 360, once all but the camera is known."""
    crowd, light, renderer = make_crowd([small, large], 3), make_light(0), Renderer()
    settings = Settings(shading=args.shading, threads=args.threads)
    return {"moved_camera_360p": _median(args, lambda n: renderer.render(
        crowd, camera.orbit(20 + 3 * n, 25, 4, 40, *SIZES["360p"]), light, settings))}


def measure_creation(args: argparse.Namespace, *assets: asset.NeuralAsset) -> dict:
    """Seconds from a file to an asset."""
    few = argparse.Namespace(runs=min(args.runs, 3))
    measured = {"mesh_to_asset": _median(few, lambda n: create.create_from_mesh(
        mesh.load(SAMPLES / "keg.glb"), name="keg", normalize=True))}
    if "intrinsics" in runtime.NearMini().graphs:
        measured["photo_to_asset"] = _median(few, lambda n: create.create_from_image(
            [SAMPLES / "coffee.jpg"], name="coffee", elevation=45))
    return measured


def measure_worker(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
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
            _wait_for(channel, "hello")
            ready.append(time.perf_counter() - start)
            drawn.append(_draw_remotely(channel, large) - start)
            memory.append(_read_peak_memory(process.pid))
            channel.send({"op": "quit"})
            process.wait(10)
    return {"worker_ready": statistics.median(ready), "worker_first_picture": statistics.median(drawn),
            "worker_memory_gb": max(memory)}


def _draw_remotely(channel: protocol.Channel, neural: asset.NeuralAsset) -> float:
    """Has the worker draw at 1080p; returns when the picture was here, on the clock of perf_counter."""
    light = make_light(0)
    channel.send({"op": "put", "kind": "asset", "hash": "a", "name": "", "data": asset.to_bytes(neural)})
    channel.send({"op": "put", "kind": "map", "hash": "m", "name": "", "data": light.map})
    channel.send({"op": "render", "id": 1, "channel": "final", "instances": [{"asset": "a", "matrix": np.eye(4)}],
                  "camera": make_view(0, SIZES["1080p"]), "settings": Settings(), "backdrop": None,
                  "environment": {"map": "m", "world_to_map": np.eye(3), "strength": 1.0}})
    _wait_for(channel, "done")
    return time.perf_counter()


def _wait_for(channel: protocol.Channel, name: str) -> None:
    while (event := channel.receive()) is not None:
        if event["event"] == name:
            return
        if event["event"] in ("error", "missing"):
            raise NearError(f"The worker failed: {event.get('what', event)}", "Run `near_core render` to see more.")
    raise NearError("The worker ended.", "Run `near_core info`.")


def _read_peak_memory(pid: int) -> float:
    """GB of a process at its highest, 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((float(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)


def measure_kernels(args: argparse.Namespace, small: asset.NeuralAsset, large: asset.NeuralAsset) -> dict:
    """Seconds of the parts of a frame, for the larger asset."""
    surfels, threads = choose_surfels(large, runtime.NearMini()), args.threads
    count, light = len(surfels), make_light(0)
    prepared, prepared_light = transport.prepare_transport(surfels, threads), transport.prepare_light(light)
    shape = from_level(levels.start(surfels))
    measured = {f"kernel_hit_table_m{count}": _median(args, lambda n: transport.prepare_transport(surfels, threads)),
                "kernel_light": _median(args, lambda n: transport.prepare_light(light)),
                "kernel_pyramid": _median(args, lambda n: ggx.build_pyramid(light.map, threads=threads))}
    for suns in (True, False):
        illuminate = lambda n: transport.illuminate(prepared, prepared_light, turn_z(n),
                                                    suns=suns, threads=threads)  # noqa: B023
        measured[f"kernel_illuminate{'_suns' if suns else ''}_m{count}"] = _median(args, illuminate)
    features = np.ones((count, 13), np.float32)
    for name, size in SIZES.items():
        view = make_view(0, size)
        projection = project(shape, view, SplattingConfig().low_pass, threads)
        measured[f"kernel_project_{name}_m{count}"] = _median(
            args, lambda n: project(shape, view, SplattingConfig().low_pass, threads))  # noqa: B023
        measured[f"kernel_rasterize_{name}_m{count}"] = _median(
            args, lambda n: splat.rasterize(projection, features, *size, threads=threads))  # noqa: B023
    return measured


MEASUREMENTS = {"frames": measure_frames, "crowd": measure_crowd, "moved": measure_moved_camera,
                "create": measure_creation, "worker": measure_worker,
                "kernels": measure_kernels}
