"""Whatever befalls a worker, Blender lives, the message is right, the next picture is right and nothing is left over.

`pytest -m slow tests/blender/test_faults.py` kills a hundred renders and a hundred creations at random moments.
"""

import contextlib
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
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import stage
from asking import pid_of, submit

import near_blender
from near_blender import client, engine, worker_process
from near_core import errors, mesh
from near_core.worker.protocol import START
from tests.attacks import mutations

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "near_blender/assets/coffee.jpg"
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


@pytest.mark.slow
def test_damaged_answers_of_all_kinds(home, ball, truth):
    """Whatever a process says after its greeting, the job is done by another one, or ends in words."""
    rng = np.random.default_rng(int(os.environ.get("NEAR_SEED", 1)))
    answers = ({"event": "progress", "id": 1, "phase": "Light", "fraction": 0.5},
               {"event": "preview", "id": 1, "matte": [[1.0]], "crop": [[1.0]]},
               {"event": "missing", "id": 1, "hashes": ["a"]}, {"event": "cancelled", "id": 1},
               {"event": "error", "id": 1, "what": "No.", "fix": {"$message": ["{a} {b:,}", {"a": "x", "b": 1}]}},
               {"event": "done", "id": 1, "passes": {"Combined": {"$array": ["<f4", [2, 2]]}}, "warning": "x"})
    for number in range(60):
        damaged = mutations.change_frame(frame(answers[number % len(answers)], [0]), rng)
        worker = Babbler(HELLO + damaged + b"\xff" * 8)  # then it is heard that it babbles
        try:
            job = submit(worker, ball, size=64)
            assert job.wait(120), damaged
            with contextlib.suppress(errors.NearError, errors.Cancelled):
                found = job.result().get("passes", {}).get("Combined")
                assert np.array_equal(found, truth) or job.crashes == 0
            assert_right(worker, ball, truth)
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


def ask(worker, ball, kind: str):
    """A job of a kind, and what of its answer is always the same."""
    if kind == "picture":
        return submit(worker, ball, size=64), lambda answer: answer["passes"]["Combined"]
    if kind == "mesh":
        return worker.submit("create_mesh", mesh=BOX, options={"name": "Box"}), lambda answer: answer["asset"]
    return (worker.submit("create_image", photos=[str(PHOTO)], options={"name": "Cup"}), lambda answer: answer["asset"])


def strike(worker, ball, kind: str, longest: float, truth, rng: random.Random) -> bool:
    """Kills the process at a random moment of a job, and looks at what comes of it; whether it was hit. longest:
    seconds from the start of the job."""
    job, take = ask(worker, ball, kind)
    time.sleep(rng.random() ** 2 * longest)
    if pid := worker.hello.get("pid"):
        os.kill(pid, signal.SIGKILL)
    assert np.array_equal(take(job.result()), truth)
    assert "crashed" in job.warning or job.crashes == 0
    again, take = ask(worker, ball, kind)  # which may meet the end of a process that had answered before it was hit
    assert np.array_equal(take(again.result()), truth)
    return job.crashes > 0


def strike_often(worker, ball, counts: dict[str, int], seed: int) -> dict[str, int]:
    """Kills so many jobs of each kind; how many of them were on their way."""
    rng, hit = random.Random(seed), dict.fromkeys(counts, 0)
    for kind, count in counts.items():
        job, take = ask(worker, ball, kind)
        truth = take(job.result())
        start = time.monotonic()
        ask(worker, ball, kind)[0].result()
        took = time.monotonic() - start
        for _ in range(count):
            hit[kind] += strike(worker, ball, kind, took, truth, rng)
    return hit


def test_killed_at_random_moments(worker, ball):
    strike_often(worker, ball, {"picture": 2, "mesh": 1}, 0)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [{"picture": 100}, {"mesh": 85, "photo": 15}])
def test_killed_at_a_hundred_random_moments(home, worker, ball, counts):
    hit = strike_often(worker, ball, counts, int(os.environ.get("NEAR_SEED", 1)))
    print(f"{hit} of {counts} were on their way")
    assert sum(hit.values()) > 50 and len(children()) == 1
    assert len(list(home.iterdir())) == 1, "the folder of the one that runs"


def test_a_job_ends_with_the_add_on(home, ball):
    """Whoever disables it, or quits, while something is drawn or made."""
    for kind in ("picture", "photo"):
        worker = worker_process.WorkerProcess()
        pid = pid_of(worker)
        job, _ = ask(worker, ball, kind)
        worker.stop()
        assert job.wait(5)
        with contextlib.suppress(errors.Cancelled):
            job.result()
        assert not Path(f"/proc/{pid}").exists()


def test_who_disables_the_add_on_waits_for_what_is_drawn(ball):
    """Blender draws on a thread of its own, and ends where the engine goes meanwhile."""
    stage.make_stage()
    stage.add_asset(ball)
    pid, waited = pid_of(client.get_worker()), []

    def disable() -> None:
        while not engine._drawn:
            time.sleep(0.01)
        engine.stop_drawing()
        waited.append(not engine._drawn)

    os.kill(pid, signal.SIGSTOP)  # so that it would never end
    thread = threading.Thread(target=disable)
    thread.start()
    try:
        for _ in range(2):  # and the next picture of an animation does not begin
            with pytest.raises(RuntimeError, match="The add-on was disabled"):
                bpy.ops.render.render()
            thread.join()
            assert waited == [True]
    finally:
        near_blender.unregister()
        near_blender.register()
    try:
        bpy.ops.render.render()
    finally:
        client.stop_workers()


BLENDER = f"""
import sys, tempfile
sys.path[:0] = [{str(ROOT)!r}]
tempfile.tempdir = sys.argv[1]
import bpy, near_blender
from near_blender import client
near_blender.register()
worker = client.get_worker()
if sys.argv[2:]:
    client.create_from_image([sys.argv[2]], name="Cup")
    worker = client._embedded.creating
print("ready", worker.check(120)["pid"], flush=True)
sys.stdin.readline()
near_blender.unregister()
"""


def start_blender(home, *photo) -> subprocess.Popen:
    """Another Blender, which makes an asset of a photo, if there is one; it quits after a line of input."""
    return subprocess.Popen([sys.executable, "-c", BLENDER, home, *photo], stdin=subprocess.PIPE, text=True,
                            stdout=subprocess.PIPE)


def worker_of(blender) -> int:
    while not (line := blender.stdout.readline()).startswith("ready"):
        assert line, "Blender ended"
    return int(line.split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["quit", "SIGTERM", "SIGKILL"])
def test_closed_while_an_asset_is_made(home, how):
    """No process is left, and no file where Blender could still clear them away."""
    blender = start_blender(home, PHOTO)
    pid = worker_of(blender)
    time.sleep(0.5)
    if how == "quit":
        blender.communicate("\n", timeout=30)
    else:
        blender.send_signal(getattr(signal, how))
        blender.wait(30)
    blender.stdin.close(), blender.stdout.close()
    until = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    left = list(home.glob(f"near-{blender.pid}-*"))
    for folder in left:
        shutil.rmtree(folder)
    assert not Path(f"/proc/{pid}").exists() and (how != "quit" or not left), left


@pytest.mark.slow
def test_two_blenders_at_once_and_one_killed(home, tmp_path):
    """Each has its worker; that of the killed one ends with it, and its files are cleared away on the next day."""
    first, second = start_blender(home), start_blender(home)
    pids = worker_of(first), worker_of(second)
    assert pids[0] != pids[1] and len(list(home.glob("near-*"))) >= 2
    first.kill()
    first.wait()
    for folder in home.glob(f"near-{first.pid}-*"):
        os.utime(folder, (0, 0))
    second.communicate("\n")
    third = start_blender(home)
    worker_of(third)
    third.communicate("\n")
    for process in (first, second, third):
        process.stdout.close()
        process.stdin.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not [path for path in home.glob("near-*") if f"-{os.getpid()}-" not in path.name]
    shutil.rmtree(tmp_path)
