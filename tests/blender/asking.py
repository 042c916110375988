"""What tests ask a worker for, a small picture of a ball, and what they let befall it and Blender."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from near_blender.client import worker_process
from near_core import asset as assets
from near_core.scene import Settings, camera, environment

SKY = environment.uniform((1, 1, 1))


def submit(worker: worker_process.WorkerProcess, ball: assets.NeuralAsset, size: int = 32,
           **fields) -> worker_process.JobHandle:
    """Asks for size x size pixels."""
    light = {"map": SKY.hash, "world_to_map": SKY.world_to_map, "strength": 1.0}
    needs = {ball.hash: lambda: {"kind": "asset", "data": assets.to_bytes(ball), "name": "Ball"},
             SKY.hash: lambda: {"kind": "map", "data": SKY.map, "name": "World"}}
    return worker.submit("render", instances=[{"asset": ball.hash, "matrix": np.eye(4)}], environment=light,
                         backdrop=None, camera=camera.orbit(0, 0, 3, 40, size, size), settings=Settings(), needs=needs,
                         **fields)


def pid_of(worker: worker_process.WorkerProcess) -> int:
    """Of the running process, which is started where there is none."""
    return worker.check(120)["pid"]


def halt(pid: int) -> None:
    """Stops a process until it gets SIGCONT. Its threads may go on for a moment, and answer: they are waited for."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 60
    while time.monotonic() < until and _list_states(pid) - set("TZX"):
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    """Whether a process that was ended goes: a busy machine buries it late."""
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.005)
    return not Path(f"/proc/{pid}").exists()


def kill(worker: worker_process.WorkerProcess) -> None:
    """Kills the process that runs, if one does, and waits until that is seen: a job that comes while it dies would be
    taken along."""
    if pid := worker.hello.get("pid"):
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 60
        while worker.hello.get("pid") == pid:
            assert time.monotonic() < until, "a killed worker counts as one that runs"
            time.sleep(0.005)


@contextlib.contextmanager
def full_disk(kept: int) -> Iterator[None]:
    """Meanwhile this process writes no file that is larger than so many bytes. Linux."""
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _list_states(pid: int) -> set[str]:
    """The states of a process's threads, as Linux calls them: T is stopped."""
    told = map(_read, Path(f"/proc/{pid}/task").glob("*/stat"))
    return {each.rpartition(b")")[2].split()[0].decode() for each in told if each}


def _read(path: Path) -> bytes:
    """What Linux tells of a process or thread, nothing once that has ended."""
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def children() -> list[int]:
    """Workers that this process has started and that still run."""
    pids = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in _read(path).split()]
    return [pid for pid in pids if b"near_core.worker" in _read(Path(f"/proc/{pid}/cmdline"))]
