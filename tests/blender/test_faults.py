"""Whatever befalls a worker, Blender lives, the message is right, the next picture is right and nothing is left over.

`pytest -m slow tests/blender/test_faults.py` kills a hundred renders and creations at random moments.
"""

import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from asking import pid_of, submit

from near_blender import worker_process
from near_core import errors, mesh
from near_core.worker.protocol import START

ROOT = Path(__file__).resolve().parents[2]
BOX = mesh.Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
                np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses signals, prlimit and /proc")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for temporary files of these tests alone; nothing may be left in it."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temporary"))
    others = children()
    yield Path(tempfile.tempdir)
    left = list(Path(tempfile.tempdir).iterdir())
    tempfile.tempdir = before
    assert not left and set(children()) <= set(others)


@pytest.fixture(scope="module")
def worker(home):
    worker = worker_process.WorkerProcess()
    yield worker
    worker.stop()


@pytest.fixture(scope="module")
def truth(worker, ball):
    return submit(worker, ball, size=64).result()["passes"]["Combined"]


def children() -> list[int]:
    """Workers that this process has started and that still run."""
    tasks = Path("/proc/self/task").glob("*/children")
    pids = [int(pid) for path in tasks for pid in path.read_text().split()]
    return [pid for pid in pids if b"near_core.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def assert_right(worker, ball, truth) -> None:
    assert np.array_equal(submit(worker, ball, size=64).result()["passes"]["Combined"], truth)


class Babbler(worker_process.WorkerProcess):
    """A worker whose first process says what it was given instead of answers."""

    def __init__(self, said: bytes):
        super().__init__()
        self.said: bytes | None = START + said

    def _command(self, folder):
        if self.said is None:
            return super()._command(folder)
        script = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1])); sys.stdout.flush(); sys.stdin.read()"
        command, self.said = [sys.executable, "-c", script, self.said.hex()], None
        return command


def frame(message, offsets=()) -> bytes:
    text = json.dumps({"message": message, "offsets": list(offsets)}).encode()
    return struct.pack("<I", len(text)) + text


HELLO = frame({"event": "hello", "pid": 1})


@pytest.mark.parametrize("said", [
    b"Segmentation fault\n", b"\xff" * 64, frame(5), frame({"id": 1}), HELLO + frame({"event": "done", "id": []}),
    HELLO + frame({"event": "nonsense", "id": 1}), HELLO + frame({"a": {"$array": ["<f4", [9]]}}, [0]),
    HELLO + HELLO[:9] + b"\0" * 60])
def test_a_process_that_babbles_is_replaced(home, ball, truth, said):
    worker = Babbler(said)
    try:
        job = submit(worker, ball, size=64)
        assert job.wait(120), "nobody waits for ever"
        assert np.array_equal(job.result()["passes"]["Combined"], truth) and "crashed" in job.warning
    finally:
        worker.stop()


def test_one_that_was_stopped_goes_on(worker, ball, truth):
    pid = pid_of(worker)
    os.kill(pid, signal.SIGSTOP)
    job = submit(worker, ball, size=64)
    time.sleep(0.2)
    assert not job.done
    os.kill(pid, signal.SIGCONT)
    assert np.array_equal(job.result()["passes"]["Combined"], truth) and job.warning == "" and pid_of(worker) == pid


def test_too_little_memory_is_said(worker, ball, truth):
    pid = pid_of(worker)
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used + 64 * 2**20, resource.RLIM_INFINITY))
    job = submit(worker, ball, size=4000)
    with pytest.raises(errors.NearError, match="not enough memory.*smaller picture"):
        job.result()
    if pid_of(worker) == pid:
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert_right(worker, ball, truth)


def test_a_full_disk_is_said(worker, ball, truth):
    pid = pid_of(worker)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2 * 2**20, resource.RLIM_INFINITY))
    with pytest.raises(errors.NearError, match="no room for.*TMPDIR"):
        submit(worker, ball, size=700).result()
    assert_right(worker, ball, truth)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_what_a_killed_blender_left_is_cleared_away(home, worker):
    gone = subprocess.Popen(["true"])
    gone.wait()
    left, fresh, busy = (home / f"near-{owner}" for owner in (f"{gone.pid}-a", f"{gone.pid}-b", f"{os.getppid()}-c"))
    for folder in (left, fresh, busy):
        folder.mkdir()
        (folder / "answers").touch()
    for folder in (left, busy):
        os.utime(folder, (0, 0))
    worker.stop()
    pid_of(worker)
    assert not left.exists() and fresh.exists() and busy.exists()
    shutil.rmtree(fresh)
    shutil.rmtree(busy)


def strike(worker, ball, truth, rng: random.Random) -> None:
    """Kills the process at a random moment of a picture or a creation, and looks at what comes of it."""
    creates = rng.random() < 0.3
    job = worker.submit("create_mesh", mesh=BOX, options={"name": "Box"}) if creates else submit(worker, ball, size=64)
    time.sleep(rng.random() ** 2 * (1.0 if creates else 0.2))
    if pid := worker.hello.get("pid"):
        os.kill(pid, signal.SIGKILL)
    answer = job.result()
    assert len(answer["asset"]) if creates else np.array_equal(answer["passes"]["Combined"], truth)
    assert "crashed" in job.warning or job.crashes == 0
    assert_right(worker, ball, truth)


def test_killed_at_random_moments(worker, ball, truth):
    rng = random.Random(0)
    for _ in range(3):
        strike(worker, ball, truth, rng)


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(worker, ball, truth):
    rng = random.Random(int(os.environ.get("NEAR_SEED", 1)))
    for _ in range(100):
        strike(worker, ball, truth, rng)
    assert len(children()) == 1


@pytest.mark.slow
def test_two_blenders_at_once_and_one_killed(home, tmp_path):
    """Each has its worker; that of the killed one ends with it, and its files are cleared away on the next day."""
    script = """
import sys, tempfile
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests/blender"]
tempfile.tempdir = sys.argv[2]
import bpy, near_blender
from near_blender import client
near_blender.register()
print("ready", client.get_worker().check(120)["pid"], flush=True)
sys.stdin.readline()
near_blender.unregister()
"""
    def start():
        return subprocess.Popen([sys.executable, "-c", script, ROOT, home], stdin=subprocess.PIPE, text=True,
                                stdout=subprocess.PIPE)

    def worker_of(blender) -> int:
        while not (line := blender.stdout.readline()).startswith("ready"):
            assert line, "Blender ended"
        return int(line.split()[1])

    first, second = start(), start()
    pids = worker_of(first), worker_of(second)
    assert pids[0] != pids[1] and len(list(home.glob("near-*"))) >= 2
    first.kill()
    first.wait()
    for folder in home.glob(f"near-{first.pid}-*"):
        os.utime(folder, (0, 0))
    second.communicate("\n")
    third = start()
    worker_of(third)
    third.communicate("\n")
    for process in (first, second, third):
        process.stdout.close()
        process.stdin.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not [path for path in home.glob("near-*") if f"-{os.getpid()}-" not in path.name]
    shutil.rmtree(tmp_path)
