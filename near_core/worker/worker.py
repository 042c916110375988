"""The worker: the child process of Blender in which assets are created and pictures computed.

    python -m near_core.worker FOLDER PARENT_PID

It talks through its standard input and output (protocol.Channel; libraries that print go to standard error) and ends
with its parent. Requests, each a dict with `op`:

    choose    model                                       keywords of engine.Engine; before the first request
    put       kind "asset" | "map", hash, data, name      keeps the bytes of a .near file or a light map
    render    id, channel, instances, camera, environment, backdrop, settings
    create_mesh    id, mesh, options                      options are the keywords of near_core.create's functions
    create_image   id, photos, options
    check_checkpoint   id, folder, companions             whether the networks of a folder fit
    fetch_checkpoint   id, name, folder                   as near_core.checkpoints
    verify_checkpoint  id, folder
    set_up_python      id, folder, build                  as near_core.interpreter
    probe_python       id, executable
    remove             id, folder, kind                   "checkpoint" or "python"
    cancel    id
    quit

Events, each a dict with `event`: "hello" once at the start, then with the request's id "progress" (phase, fraction),
"preview" (matte, crop) and in the end one of "done", "error" (what, fix), "missing" (hashes to put again), "cancelled".
A request that names a channel replaces earlier ones of the same channel: the newest wins.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, asset
from ..errors import Cancelled, NearError
from ..scene import Instance, environment
from . import protocol

KEPT = 1 << 30  # bytes of assets and light maps held for the next request
REPORT_EVERY = 0.05  # seconds between progress events


@dataclass
class Job:
    """A request on its way."""

    request: dict[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def urgency(self) -> int:
        """Jobs with a smaller number go first: what is waited for before what is only looked at."""
        return 1 if str(self.request.get("channel")).startswith("viewport") else 0


class Store:
    """Bytes by hash, the longest unused thrown away first."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, np.ndarray] = OrderedDict()
        self._names: dict[str, str] = {}
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def put(self, key: str, data: np.ndarray, name: str) -> None:
        with self._lock:
            self._items[key], self._names[key] = data, name
            while sum(item.nbytes for item in self._items.values()) > KEPT and len(self._items) > 1:
                old, _ = self._items.popitem(last=False)
                self._made.pop(old, None)

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._items

    def asset(self, key: str) -> asset.NeuralAsset:
        """The asset of stored .near bytes. Raises NearError where they are damaged."""
        return self._get(key, lambda data, name: asset.from_bytes(memoryview(data), name))

    def map(self, key: str) -> environment.Environment:
        """The stored light map, (H, W, 3) float32 and sanitized, as an environment that faces +X at strength 1."""
        return self._get(key, lambda data, name: environment.Environment(data))

    def _get(self, key: str, make) -> Any:
        with self._lock:
            self._items.move_to_end(key)
            data, name = self._items[key], self._names[key]
        if key not in self._made:
            self._made[key] = make(data, name)
        return self._made[key]


class Worker:
    """Takes requests from a channel and answers them, one at a time."""

    def __init__(self, channel: protocol.Channel):
        self._channel = channel
        self._store = Store()
        self._pending: list[Job] = []
        self._running: Job | None = None
        self._arrived = threading.Condition()
        self._engine: Any = None
        self._model: dict[str, Any] = {}

    def run(self) -> None:
        """Works until the process ends."""
        self._channel.send({"event": "hello", **describe_runtime()})
        while True:
            with self._arrived:
                self._running = None
                self._arrived.wait_for(lambda: self._pending)
                job = min(self._pending, key=lambda j: j.urgency)
                self._pending.remove(job)
                self._running = job
            self._answer(job)

    def read(self) -> None:
        """Reads requests until the parent is gone."""
        while (request := self._channel.receive()) is not None and request["op"] != "quit":
            if request["op"] == "put":
                self._store.put(request["hash"], request["data"], request["name"])
            elif request["op"] == "choose":
                self._model = request["model"]
            elif request["op"] == "cancel":
                self._cancel(lambda job: job.request["id"] == request["id"])  # noqa: B023 (called at once)
            else:
                self._accept(Job(request))

    def _accept(self, job: Job) -> None:
        channel = job.request.get("channel")
        if channel is not None:
            self._cancel(lambda other: other.request.get("channel") == channel)
        with self._arrived:
            self._pending.append(job)
            self._arrived.notify()

    def _cancel(self, chosen) -> None:
        with self._arrived:
            dropped = [job for job in self._pending if chosen(job)]
            self._pending = [job for job in self._pending if not chosen(job)]
            if self._running is not None and chosen(self._running):
                self._running.cancelled.set()
        for job in dropped:
            self._channel.send({"event": "cancelled", "id": job.request["id"]})

    def _answer(self, job: Job) -> None:
        request, start = job.request, time.perf_counter()
        try:
            answer = {"event": "done", **OPERATIONS[request["op"]](self, job), "seconds": time.perf_counter() - start}
        except Cancelled:
            answer = {"event": "cancelled"}
        except NearError as error:
            answer = {"event": "error", "what": error.what, "fix": error.fix}
        except MemoryError:
            answer = {"event": "error", "what": "There is not enough memory for this.",
                      "fix": "Close other programs or choose a smaller picture."}
        except Exception as error:  # a bug of ours: the log gets the traceback, the person a sentence
            traceback.print_exc()
            answer = {"event": "error", "what": f"NeAR failed ({type(error).__name__}: {error}).",
                      "fix": "Copy the log with Check Setup in the add-on's preferences and report it."}
        self._channel.send({**answer, "id": request["id"]})

    def _progress(self, job: Job):
        last = 0.0

        def progress(phase: str, fraction: float) -> None:
            nonlocal last
            if job.cancelled.is_set():
                raise Cancelled
            now = time.monotonic()
            if now - last > REPORT_EVERY:
                last = now
                self._channel.send({"event": "progress", "id": job.request["id"], "phase": phase,
                                    "fraction": float(fraction)})
        return progress

    def render(self, job: Job) -> dict[str, Any]:
        """The passes of one picture, and which hashes are missing where it cannot be drawn."""
        request = job.request
        lights = [light for light in (request["environment"], request["backdrop"]) if light is not None]
        wanted = [i["asset"] for i in request["instances"]] + [light["map"] for light in lights]
        missing = sorted({key for key in wanted if key not in self._store})
        if missing:
            return {"event": "missing", "hashes": missing}
        from ..render.composite import put_behind
        engine = self._opened()
        instances = [Instance(self._store.asset(i["asset"]), i["matrix"]) for i in request["instances"]]
        passes = engine.render(instances, request["camera"], self._light(request["environment"]),
                               request["settings"], self._progress(job))
        if request["backdrop"] is not None:
            sky = self._light(request["backdrop"]).lookup(request["camera"].pixel_directions())
            put_behind(passes["Combined"], sky)
        return {"passes": passes, "warning": " ".join(engine.notes)}

    def _opened(self) -> Any:
        if self._engine is None:
            from ..engine import Engine
            self._engine = Engine(**self._model)
        return self._engine

    def check_checkpoint(self, job: Job) -> dict[str, Any]:
        """Whether the networks of a folder fit their weights. Answers with name, class and bytes of each, and with what
        making assets from photos lacks ("" where nothing does)."""
        try:
            from ..models.near.checkpoint import open_checkpoint
        except ImportError as error:
            raise NearError(f"Checking a checkpoint needs the Python package {error.name}.",
                            "Use Set Up first, or choose a Python that has it.") from error
        checkpoint = open_checkpoint(job.request["folder"], job.request["companions"])
        networks, lacks = checkpoint.survey(self._progress(job)), ""
        try:
            checkpoint.require_creation(structure=True)
        except NearError as error:
            lacks = str(error)
        return {"networks": networks, "lacks": lacks}

    def _light(self, light: dict[str, Any]) -> environment.Environment:
        kept = self._store.map(light["map"])
        return environment.Environment(kept.map, light["world_to_map"], light["strength"], kept._cache)

    def create_mesh(self, job: Job) -> dict[str, Any]:
        """The bytes of the asset of a mesh."""
        from ..create.create import create_from_mesh
        made = create_from_mesh(job.request["mesh"], progress=self._progress(job), **job.request["options"])
        return {"asset": asset.to_bytes(made)}

    def create_image(self, job: Job) -> dict[str, Any]:
        """The bytes of the asset of photos; sends the matte and the crop as soon as they are known."""
        engine = self._opened()

        def on_preview(matte: np.ndarray, crop: np.ndarray) -> None:
            self._channel.send({"event": "preview", "id": job.request["id"], "matte": matte, "crop": crop})

        made = engine.create_from_image(job.request["photos"], self._progress(job), on_preview=on_preview,
                                        **job.request["options"])
        return {"asset": asset.to_bytes(made), "warning": " ".join(engine.notes)}

    def fetch_checkpoint(self, job: Job) -> dict[str, Any]:
        """Downloads a checkpoint."""
        from ..published import checkpoints
        checkpoints.fetch(job.request["name"], job.request["folder"], self._progress(job))
        return {}

    def verify_checkpoint(self, job: Job) -> dict[str, Any]:
        """Reads a downloaded checkpoint again."""
        from ..published import checkpoints
        checkpoints.verify(job.request["folder"], self._progress(job))
        return {}

    def set_up_python(self, job: Job) -> dict[str, Any]:
        """Makes a Python with torch; answers with what interpreter.probe finds."""
        from ..published import interpreter
        build = interpreter.builds()[job.request["build"]]
        return interpreter.set_up(job.request["folder"], build, self._progress(job), job.request.get("packages"))

    def probe_python(self, job: Job) -> dict[str, Any]:
        """What an interpreter has."""
        from ..published import interpreter
        return interpreter.probe(job.request["executable"])

    def remove(self, job: Job) -> dict[str, Any]:
        """Deletes a downloaded checkpoint or the Python that was set up."""
        from ..published import checkpoints, interpreter
        {"checkpoint": checkpoints.remove, "python": interpreter.remove}[job.request["kind"]](job.request["folder"])
        return {}


OPERATIONS = {operation.__name__: operation for operation in (
    Worker.render, Worker.create_mesh, Worker.create_image, Worker.check_checkpoint, Worker.fetch_checkpoint,
    Worker.verify_checkpoint, Worker.set_up_python, Worker.probe_python,
    Worker.remove)}


def describe_runtime() -> dict[str, Any]:
    """What this process runs on: versions, and what is wrong with onnxruntime ("" where nothing is)."""
    problem, version, providers = "", "", []
    try:
        import onnxruntime
        version, providers = onnxruntime.__version__, onnxruntime.get_available_providers()
    except Exception as error:  # whatever another add-on's copy does on import, Check Setup shows it
        problem = f"{type(error).__name__}: {error}"
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = ""
    return {"version": __version__, "python": platform.python_version(), "numpy": np.__version__, "torch": torch,
            "onnxruntime": version, "providers": providers, "onnxruntime_problem": problem, "pid": os.getpid()}


def die_with(parent: int) -> None:
    """Ends this process when the one that started it dies (Linux; elsewhere the closed pipe does it)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # 1 = PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before we asked
        os._exit(0)


def main(folder: str, parent: str) -> None:
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in a terminal is meant for Blender, which will tell us
    read, write = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    home = Path(folder)
    worker = Worker(protocol.Channel(read, write, incoming=home / "requests", outgoing=home / "answers"))

    def read_until_end() -> None:
        try:
            worker.read()
        except BaseException:
            traceback.print_exc()
        finally:
            shutil.rmtree(home, ignore_errors=True)
            os._exit(0)  # at once, whatever is being computed

    threading.Thread(target=read_until_end, daemon=True).start()
    worker.run()

