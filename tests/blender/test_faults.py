"""Whatever befalls a worker, Blender lives, the message is right, the next picture is right and nothing is left over.

`pytest -m slow tests/blender/test_faults.py` kills a hundred renders at random moments.
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
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import stage
from asking import children, halt, is_gone, kill, pid_of, submit

import near_blender
from near_blender.client import client, worker_process
from near_blender.engine import engine
from near_core import errors
from near_core.worker.protocol import START
from tests.attacks import mutations

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses signals, prlimit and /proc")


@pytest.fixture(scope="module")
def truth(worker, ball):
    return submit(worker, ball, size=64).result()["passes"]["Combined"]


def assert_right(worker, ball, truth) -> None:
    assert np.array_equal(submit(worker, ball, size=64).result()["passes"]["Combined"], truth)


class Babbler(worker_process.WorkerProcess):
    """A worker whose first process says what it was given instead of answers. size: bytes of its file of arrays."""

    def __init__(self, said: bytes, size: int = 0):
        super().__init__()
        self.said: bytes | None = START + said
        self.size = size

    def _command(self, folder):
        if self.said is None:
            return super()._command(folder)
        os.truncate(folder / "answers", self.size)
        script = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1])); sys.stdout.flush(); sys.stdin.read()"
        command, self.said = [sys.executable, "-c", script, self.said.hex()], None
        return command


def frame(message, offsets=()) -> bytes:
    text = json.dumps({"message": message, "offsets": list(offsets)}).encode()
    return struct.pack("<I", len(text)) + text


HELLO = frame({"event": "hello", "pid": 1})


@pytest.mark.parametrize("said", [
    b"Segmentation fault\n", b"\xff" * 64, frame(5), frame({"id": 1}), HELLO + frame({"event": "done", "id": []}),
    HELLO + frame({"event": "nonsense", "id": 1}), HELLO + frame({"event": "done", "id": 9}),
    HELLO + frame({"a": {"$array": ["<f4", [9]]}}, [0]), HELLO + HELLO[:9] + b"\0" * 60])
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


class Struck(worker_process.WorkerProcess):
    """A worker whose first process is killed at its message of that number, before that is sent or right after."""

    def __init__(self, number: int, before: bool):
        super().__init__()
        self.left, self.before = number, before

    def _tell(self, message):
        self.left -= 1
        if self.left == 0 and self.before:
            self.strike()
        super()._tell(message)
        if self.left == 0 and not self.before:
            self.strike()

    def strike(self):
        self._process.kill()
        self._process.wait()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (2, 3))])
def test_killed_exactly_while_it_is_asked(home, ball, truth, number, before):
    """At the asset, the map and the request itself, as a viewport sends them, too."""
    worker = Struck(number, before)
    try:
        job = submit(worker, ball, size=64)
        assert job.wait(120), "nobody waits for ever"
        assert np.array_equal(job.result()["passes"]["Combined"], truth) and job.crashes == 1
        assert_right(worker, ball, truth)
    finally:
        worker.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two words", "\u00e4\u00f6\u00fc \u65e5\u672c", "'$HOME;\"&%s{x}*[a]", "long" * 50])
def test_a_folder_of_any_name_takes_the_files(ball, truth, tmp_path, monkeypatch, name):
    folder = tmp_path / name
    if name.startswith("long"):
        folder = folder.joinpath(*[name] * 4)
    folder.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    worker = worker_process.WorkerProcess()
    try:
        assert_right(worker, ball, truth)
        assert len(list(folder.iterdir())) == 1
    finally:
        worker.stop()
    assert not list(folder.iterdir())


def test_one_that_was_stopped_goes_on(worker, ball, truth):
    pid = pid_of(worker)
    halt(pid)
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


@pytest.mark.parametrize("spare", [512, 1536])  # MB: there is no room for a file of 1024, or for what is copied of it
def test_an_answer_that_takes_more_memory_than_there_is_counts_as_none(home, ball, truth, spare):
    answer = {"event": "done", "id": 1, "passes": {"Combined": {"$array": ["<f4", [2**28]]}}}
    worker = Babbler(HELLO + frame(answer, [0]), 2**30)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare * 2**20, resource.RLIM_INFINITY))
    try:
        job = submit(worker, ball, size=64)
        assert job.wait(120), "nobody waits for ever"
        assert np.array_equal(job.result()["passes"]["Combined"], truth) and "crashed" in job.warning
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        worker.stop()


def test_a_full_disk_is_said(worker, ball, truth):
    pid = pid_of(worker)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2 * 2**20, resource.RLIM_INFINITY))
    with pytest.raises(errors.NearError, match="no room for.*File Paths"):
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


def strike(worker, ask, take, longest: float, truth, rng: random.Random) -> bool:
    """Kills the process at a random moment of a job, and looks at what comes of it; whether it was hit. ask: asks for a
    job. take: what of its answer is always the same. longest: seconds from the start of the job."""
    job = ask(worker)
    time.sleep(rng.random() ** 2 * longest)
    kill(worker)
    assert np.array_equal(take(job.result()), truth)
    assert "crashed" in job.warning or job.crashes == 0
    return job.crashes > 0


def strike_often(worker, ask, take, count: int, seed: int) -> int:
    """Kills so many jobs; how many of them were on their way."""
    rng, truth, start = random.Random(seed), take(ask(worker).result()), time.monotonic()
    ask(worker).result()
    took = time.monotonic() - start
    return sum(strike(worker, ask, take, took, truth, rng) for _ in range(count))


def ask_picture(ball):
    """As strike_often takes it."""
    return lambda worker: submit(worker, ball, size=64), lambda answer: answer["passes"]["Combined"]


def test_killed_at_random_moments(worker, ball):
    strike_often(worker, *ask_picture(ball), 2, 0)


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(home, worker, ball):
    hit = strike_often(worker, *ask_picture(ball), 100, int(os.environ.get("NEAR_SEED", 1)))
    print(f"{hit} of 100 were on their way")
    assert hit > 50 and pid_of(worker) and len(children()) == 1
    assert len(list(home.iterdir())) == 1, "the folder of the one that runs"


def test_a_job_ends_with_the_add_on(home, ball):
    """Whoever disables it, or quits, while something is drawn."""
    worker = worker_process.WorkerProcess()
    pid = pid_of(worker)
    job = submit(worker, ball, size=64)
    worker.stop()
    assert job.wait(5)
    with contextlib.suppress(errors.Cancelled):
        job.result()
    assert is_gone(pid)


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

    halt(pid)  # so that it would never end
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


def test_killed_worker_is_started_again(ball, tmp_path):
    try:
        scene = stage.make_stage()
        stage.add_asset(ball)
        before = stage.render(scene, tmp_path)["Combined"]
        pid = client.get_worker().check()["pid"]
        scene.render.resolution_percentage = 400
        killer = threading.Timer(0.15, os.kill, (pid, signal.SIGKILL))
        killer.start()
        stage.render(scene, tmp_path)
        killer.join()
        scene.render.resolution_percentage = 100
        after = stage.render(scene, tmp_path)["Combined"]
        assert client.get_worker().check()["pid"] != pid
        assert np.abs(after - before).max() < 1e-5
    finally:
        client.stop_workers()
