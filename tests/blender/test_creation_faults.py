"""Whatever befalls a worker that makes an asset, Blender lives, the message is right, the next asset is right and
nothing is left over.

`pytest -m slow tests/blender/test_creation_faults.py` kills a hundred of them at random moments.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from asking import children, halt, is_gone, pid_of
from PIL import Image
from test_faults import HELLO, Babbler, frame, strike_often

from near_blender.client import worker_process
from near_core import errors, mesh
from near_core.create.hints import Hints

ROOT = Path(__file__).resolve().parents[2]
BOX = mesh.Mesh(np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
                np.int32([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
SMALL = replace(BOX, vertices=BOX.vertices / 10)  # made at once
KINDS = ["mesh", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("matte", "photo"))]
MEGABYTE = 2**20

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses signals, prlimit and /proc")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A small one: its networks see 128 pixels of any."""
    path = tmp_path_factory.mktemp("photo") / "cup.png"
    with Image.open(ROOT / "near_blender/assets/coffee.jpg") as picture:
        picture.resize((160, 120)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def make(photo):
    """kind -> what asks a worker for one, and what of its answer is always the same."""
    draft = {"name": "Box", "detail": "draft"}
    return {"mesh": (lambda worker: worker.submit("create_mesh", mesh=SMALL, options=draft),
                     lambda answer: answer["asset"]),
            "megabyte": (lambda worker: worker.submit("create_mesh", mesh=BOX, options=draft),
                         lambda answer: answer["asset"]),
            "matte": (lambda worker: worker.submit("find_matte", path=photo, hints=Hints(), matting="near"),
                      lambda answer: answer["matte"]),
            "photo": (lambda worker: worker.submit("create_image", photos=[photo], options={"name": "Cup"}),
                      lambda answer: answer["asset"])}


@pytest.fixture(scope="module")
def truths(worker, make):
    """kind -> what is made of it, once it was asked for."""
    class Truths(dict):
        def __missing__(self, kind):
            ask, take = make[kind]
            self[kind] = take(ask(worker).result())
            return self[kind]
    return Truths()


def assert_right(worker, make, truths, kind: str) -> None:
    ask, take = make[kind]
    assert np.array_equal(take(ask(worker).result()), truths[kind])


def test_killed_at_random_moments(worker, make):
    strike_often(worker, *make["mesh"], 1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind, count", [("mesh", 70), ("matte", 22), ("photo", 8)])
def test_killed_at_a_hundred_random_moments(home, worker, make, kind, count):
    hit = strike_often(worker, *make[kind], count, int(os.environ.get("NEAR_SEED", 1)))
    print(f"{hit} of {count} were on their way")
    assert hit > count / 2 and pid_of(worker) and len(children()) == 1
    assert len(list(home.iterdir())) == 1, "the folder of the one that runs"


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_was_stopped_goes_on(worker, make, truths, kind):
    truth, pid, (ask, take) = truths[kind], pid_of(worker), make[kind]
    halt(pid)
    job = ask(worker)
    time.sleep(0.2)
    assert not job.done
    os.kill(pid, signal.SIGCONT)
    assert np.array_equal(take(job.result()), truth) and job.warning == "" and pid_of(worker) == pid


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", [HELLO + HELLO[:9] + b"\0" * 60,
                                  HELLO + frame({"event": "progress", "id": 1, "phase": 5, "fraction": 0.5}),
                                  HELLO + frame({"event": "done", "id": 1, "asset": "none", "matte": 0})])
def test_a_process_that_babbles_is_replaced(home, make, truths, kind, said):
    truth, worker, (ask, take) = truths[kind], Babbler(said), make[kind]
    try:
        job = ask(worker)
        assert job.wait(300), "nobody waits for ever"
        assert np.array_equal(take(job.result()), truth) and "crashed" in job.warning
    finally:
        worker.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spare", [24, *(pytest.param(spare, marks=pytest.mark.slow) for spare in (1, 8, 60, 120))])
def test_too_little_memory_is_said(worker, make, truths, kind, spare):
    """A process that has little left says so, or ends and is replaced."""
    truth, pid, (ask, take) = truths[kind], pid_of(worker), make[kind]
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used + spare * MEGABYTE, resource.RLIM_INFINITY))
    job = ask(worker)
    try:
        assert np.array_equal(take(job.result()), truth)
    except errors.NearError as error:
        assert "memory" in str(error) and "NeAR failed" not in str(error), error
    if pid_of(worker) == pid:
        resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert_right(worker, make, truths, kind)


@pytest.mark.parametrize("kind", ["megabyte", pytest.param("photo", marks=pytest.mark.slow)])
def test_a_full_disk_is_said(home, make, truths, kind):
    """As full as the file is that a process has from its start."""
    truth, worker, (ask, take) = truths[kind], worker_process.WorkerProcess(), make[kind]
    try:
        pid = pid_of(worker)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MEGABYTE, resource.RLIM_INFINITY))
        with pytest.raises(errors.NearError, match="no room for.*File Paths"):
            ask(worker).result()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert np.array_equal(take(ask(worker).result()), truth) and pid_of(worker) == pid
    finally:
        worker.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_ends_with_the_add_on(home, make, kind):
    """Whoever disables it, or quits, while something is made."""
    worker = worker_process.WorkerProcess()
    pid = pid_of(worker)
    job = make[kind][0](worker)
    worker.stop()
    assert job.wait(5)
    with contextlib.suppress(errors.Cancelled):
        job.result()
    assert is_gone(pid)


BLENDER = f"""
import hashlib, sys, tempfile
sys.path[:0] = [{str(ROOT)!r}]
tempfile.tempdir = sys.argv[1]
import bpy, near_blender
from near_blender import client
near_blender.register()
job = client.create_from_image([sys.argv[2]], name="Cup")
print("ready", client._embedded.creating.check(120)["pid"], flush=True)
if sys.stdin.readline() == "wait\\n":
    print(hashlib.sha256(job.result()["asset"]).hexdigest(), flush=True)
near_blender.unregister()
"""


def start_blender(home, photo) -> subprocess.Popen:
    """Another Blender, which makes an asset of a photo; it quits after a line of input, "wait": when that is made."""
    return subprocess.Popen([sys.executable, "-c", BLENDER, home, photo], stdin=subprocess.PIPE, text=True,
                            stdout=subprocess.PIPE)


def worker_of(blender) -> int:
    while not (line := blender.stdout.readline()).startswith("ready"):
        assert line, "Blender ended"
    return int(line.split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["quit", "SIGTERM", "SIGKILL"])
def test_closed_while_an_asset_is_made(home, photo, how):
    """No process is left, and no file where Blender could still clear them away."""
    blender = start_blender(home, photo)
    pid = worker_of(blender)
    time.sleep(0.5)
    if how == "quit":
        blender.communicate("\n", timeout=30)
    else:
        blender.send_signal(getattr(signal, how))
        blender.wait(30)
    blender.stdin.close(), blender.stdout.close()
    ended = is_gone(pid)
    left = list(home.glob(f"near-{blender.pid}-*"))
    for folder in left:
        shutil.rmtree(folder)
    assert ended and (how != "quit" or not left), left


@pytest.mark.slow
def test_two_blenders_at_once_and_one_killed(home, photo):
    """The other makes its asset as a third does alone; the worker of the killed one ends with it, and its files go on
    the next day."""
    first, second = start_blender(home, photo), start_blender(home, photo)
    pids = worker_of(first), worker_of(second)
    assert pids[0] != pids[1] and len(list(home.glob("near-*"))) >= 2
    first.kill()
    first.wait()
    for folder in home.glob(f"near-{first.pid}-*"):
        os.utime(folder, (0, 0))
    made = second.communicate("wait\n")[0].split()[-1]
    third = start_blender(home, photo)
    worker_of(third)
    assert third.communicate("wait\n")[0].split()[-1] == made
    for process in (first, second, third):
        process.stdout.close()
        process.stdin.close()
    assert all(map(is_gone, pids))
    assert not [path for path in home.glob("near-*") if f"-{os.getpid()}-" not in path.name]
