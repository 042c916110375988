"""What an artist waits for: of the worker process, from the request to the picture, and of making assets."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import asset, mesh
from ...asset import NeuralAsset
from ...create import create
from ...create.shot import Shot
from ...errors import NearError
from ...models.mini import runtime
from ...scene import AssetLook, Settings
from ...scene.environment import turn_z
from ...worker import protocol
from .config import SIZES, BenchConfig
from .inputs import SAMPLES, make_light, make_meshes, make_view
from .timing import read_peak_memory, time_call

ROOT = Path(__file__).resolve().parents[3]
# what the project promises on two cores: seconds of the median, and GB
GOALS = {"worker starts": 3.0, "camera, final": 0.15, "camera, 1080p": 0.4, "new map, final": 0.3,
         "mesh to asset": 5.0, "photo to asset": 20.0}


class FreshWorker:
    """A fresh worker, as Blender starts it, as long as the `with` block."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp())  # the worker deletes it
        (folder / "answers").touch()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "near_core.worker", str(folder), str(os.getpid())], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
        protocol.read_until_start(self._process.stdout)
        self._channel = protocol.Channel(self._process.stdout, self._process.stdin, incoming=folder / "answers",
                                         outgoing=folder / "requests")
        self._wait_for("hello")

    def __enter__(self) -> FreshWorker:
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.send({"op": "quit"})
        self._process.wait(10)

    def put(self, kind: str, name: str, data: Any) -> None:
        """Has it keep something that pictures name."""
        self._channel.send({"op": "put", "kind": kind, "hash": name, "name": "", "data": data})

    def draw(self, size: tuple[int, int], number: int = 0, turn: float = 0.0, asset: str = "asset", light: str = "map",
             look: AssetLook = AssetLook(), quality: str = "final") -> None:
        """A picture, until it is here: from camera number n, of an asset under a light that were put, turned by degrees
        about Z."""
        self._channel.send({
            "op": "render", "id": 1, "channel": "final", "camera": make_view(number, size), "backdrop": None,
            "instances": [{"asset": asset, "matrix": np.eye(4), "look": look}],
            "settings": Settings(quality, passes=("Combined",)),
            "environment": {"map": light, "world_to_map": turn_z(turn), "strength": 1.0}})
        self._wait_for("done")

    def _wait_for(self, name: str) -> None:
        while (event := self._channel.receive()) is not None:
            if event["event"] == name:
                return
            if event["event"] in ("error", "missing"):
                raise NearError(f"The worker failed: {event.get('what', event)}", "Run `near_core render` to see more.")
        raise NearError("The worker ended.", "Run `near_core info`.")

    @property
    def memory_gb(self) -> float:
        """Its highest so far."""
        return read_peak_memory(self._process.pid)


def measure(config: BenchConfig) -> Iterator[tuple[str, dict]]:
    """A row for everything that is waited for: seconds, p50 and p95."""
    neural = create.create_from_mesh(make_meshes()["large"], name="large")
    data, few = _read_bytes(neural), config.repeat(5)
    yield "worker starts", _describe([_start(data)[0] for _ in range(few)], "worker starts")
    yield "first picture of a fresh worker", _describe([_start(data)[1] for _ in range(few)])
    with FreshWorker() as worker:
        worker.put("asset", "asset", data)
        worker.put("map", "map", make_light(0).map)
        worker.draw(SIZES["512"])
        worker.draw(SIZES["512"], quality="draft")
        for name, act in list_actions(worker, neural).items():
            act(1000)
            times = [time_call(act, number) for number in range(1, 1 + config.repeat(20))]
            yield name, _describe(times, name) | {"memory_gb": worker.memory_gb}
    yield "mesh to asset", _describe([time_call(lambda n: create.create_from_mesh(
        mesh.load(SAMPLES / "keg.glb"), name="keg", normalize=True)) for _ in range(few)], "mesh to asset")
    if "intrinsics" in runtime.NearMini().graphs and not config.quick:
        photo = Shot(SAMPLES / "coffee.jpg", elevation=45, fov=40)
        yield "photo to asset", _describe([time_call(lambda n: create.create_from_image([photo], name="coffee"))
                                           for _ in range(few)], "photo to asset")


def list_actions(worker: FreshWorker, neural: NeuralAsset) -> dict[str, Callable[[int], None]]:
    """What an artist changes, the n-th time each, and the picture of 512 x 512 after it."""
    size = SIZES["512"]

    def change_map(number: int) -> None:
        worker.put("map", f"m{number}", make_light(number).map)
        worker.draw(size, light=f"m{number}")

    def edit(number: int) -> None:
        made = replace(neural, name=f"edition {number}")  # another one to the worker
        worker.put("asset", f"e{number}", _read_bytes(made))
        worker.draw(size, asset=f"e{number}")

    return {"camera, final": lambda n: worker.draw(size, n),
            "camera, draft": lambda n: worker.draw(size, n, quality="draft"),
            "camera, 1080p": lambda n: worker.draw(SIZES["1080p"], n),
            "World turned, final": lambda n: worker.draw(size, turn=3 * n),
            "World turned, draft": lambda n: worker.draw(size, turn=3 * n, quality="draft"),
            "new map, final": change_map,
            "look, final": lambda n: worker.draw(size, look=AssetLook(hue=n / 2048)),
            "asset edited, final": edit}


def _read_bytes(neural: NeuralAsset) -> np.ndarray:
    return np.frombuffer(asset.to_bytes(neural), np.uint8)


def _start(data: np.ndarray) -> tuple[float, float]:
    """Seconds from nothing to a worker's hello, and to its first picture, at 1080p."""
    start = time.perf_counter()
    with FreshWorker() as worker:
        ready = time.perf_counter() - start
        worker.put("asset", "asset", data)
        worker.put("map", "map", make_light(0).map)
        worker.draw(SIZES["1080p"])
        return ready, time.perf_counter() - start


def _describe(times: list[float], name: str = "") -> dict:
    row = {"p50": float(np.median(times)), "p95": float(np.quantile(times, 0.95)), "runs": len(times)}
    return row | ({"goal": GOALS[name]} if name in GOALS else {})
