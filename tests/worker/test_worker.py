"""The worker as a process: what it answers, how it is stopped, and that it never outlives its parent."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from near_core import asset
from near_core.asset import CELL
from near_core.engine import Engine
from near_core.errors import NearError
from near_core.models.onnx import load_onnxruntime
from near_core.render import light_groups
from near_core.render.composite import put_sky_behind
from near_core.render.renderer import Renderer
from near_core.scene import PLAIN, Instance, Settings, camera, environment
from near_core.worker import protocol, worker
from tests.attacks import requests
from tests.machine import slowness
from tests.surfaces import dress, lay_ball

ROOT = Path(__file__).resolve().parents[2]
AS_WINDOWS = """
import os, signal, sys
from near_core._kernels import library
from near_core.worker import worker
library.load()  # this machine's
sys.platform = "win32"
for module, names in ((os, "posix_fallocate fork kill getppid setpriority"), (signal, "SIGKILL SIGHUP SIGCONT")):
    for name in names.split():
        delattr(module, name)
worker.main(*sys.argv[1:3])
"""


@pytest.fixture(scope="module")
def ball() -> asset.NeuralAsset:
    """A grey sphere of radius 0.4."""
    area = 4 * np.pi * 0.4 ** 2 / 20_000 / CELL ** 2
    return dress(lay_ball(20_000, 0.4, color=0.5, area=area), model="near-mini")


class Client:
    """The least that can talk to a worker."""

    def __init__(self, folder: Path, start: tuple[str, str] = ("-m", "near_core.worker")):
        (folder / "answers").touch()
        self.process = subprocess.Popen([sys.executable, *start, str(folder), str(os.getpid())],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        protocol.read_until_start(self.process.stdout)
        self.channel = protocol.Channel(self.process.stdout, self.process.stdin, folder / "answers",
                                        folder / "requests")
        self.hello = self.channel.receive()

    def put(self, ball: asset.NeuralAsset, light: environment.Environment) -> None:
        data = asset.to_bytes(ball)
        self.channel.send({"op": "put", "kind": "asset", "hash": ball.hash, "data": data, "name": "Ball"})
        self.channel.send({"op": "put", "kind": "map", "hash": light.hash, "data": light.map, "name": "World"})

    def render(self, number: int, ball, light, size: int = 64, backdrop=None, **fields) -> None:
        sky = {"map": light.hash, "world_to_map": light.world_to_map, "strength": light.strength}
        self.channel.send({"op": "render", "id": number, "instances": [{"asset": ball.hash, "matrix": np.eye(4)}],
                           "camera": camera.orbit(30, 20, 2, 40, size, size), "environment": sky,
                           "backdrop": sky if backdrop else None, "settings": Settings(background=bool(backdrop)),
                           **fields})

    @contextlib.contextmanager
    def asking_at_once(self) -> Iterator[None]:
        """What is asked meanwhile is heard together."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    def finish(self, number: int) -> dict:
        """The event that ends request `number`."""
        while (event := self.channel.receive()) is not None:
            if event.get("id") == number and event["event"] != "progress":
                return event
        raise EOFError


@pytest.fixture
def client(tmp_path):
    client = Client(tmp_path)
    yield client
    client.process.stdin.close()
    assert client.process.wait(60) == 0, "the worker must end when its input does"
    client.channel.close()
    client.process.stdout.close()


@pytest.fixture
def light() -> environment.Environment:
    return environment.uniform((1.0, 0.5, 0.25))


def test_hello_tells_versions(client):
    assert client.hello["event"] == "hello"
    assert client.hello["onnxruntime"] == load_onnxruntime().__version__ and not client.hello["onnxruntime_problem"]


def test_without_what_windows_lacks_it_works_and_clears_up(tmp_path, ball, light):
    home = tmp_path / "home"
    home.mkdir()
    client = Client(home, ("-c", AS_WINDOWS))
    client.put(ball, light)
    client.render(1, ball, light, 16)
    assert client.finish(1)["event"] == "done"
    client.channel.send({"op": "quit"})
    assert client.process.wait(60) == 0 and not home.exists()
    client.process.stdin.close()
    client.process.stdout.close()


def test_render_gives_the_same_passes_as_in_this_process(client, ball, light):
    client.put(ball, light)
    client.render(1, ball, light)
    passes = client.finish(1)["passes"]
    here = Renderer().render([Instance(asset.from_bytes(asset.to_bytes(ball)), np.eye(4))],
                             camera.orbit(30, 20, 2, 40, 64, 64), light)
    assert passes.keys() == here.keys()
    for name, values in here.items():
        assert np.allclose(passes[name], values, atol=1e-5), name


def test_render_gives_the_same_passes_with_all_that_a_request_may_name(client):
    kept, fields = requests.list_things()
    for message in kept:
        client.channel.send(message)
    client.channel.send({**fields, "op": "render"})
    passes = client.finish(fields["id"])["passes"]
    named, engine = {each["hash"]: each["data"] for each in kept} | {None: None}, Engine()
    sky, instances = environment.Environment(named["m"]), []
    for each in fields["instances"]:
        made, size = engine.pose(asset.from_bytes(named[each["asset"]].tobytes()), named[each.get("deformation")])
        instances.append(Instance(
            made, each["matrix"] @ np.diag([size, size, size, 1]), named[each["probe"]],
            frozenset(each.get("unlit_by", ())), each.get("look", PLAIN), each.get("shadow", True), each["name"],
            each.get("group", "")))
    bare = replace(fields["settings"], background=False)
    here = engine.render(instances, fields["camera"], sky, bare, lamps=fields["lamps"],
                         occluders=named["o"], shutter=fields["shutter"], lens=fields["lens"])
    put_sky_behind(here, sky, fields["camera"], fields["settings"])
    light_groups.show_world(here, fields["settings"].group)
    assert passes.keys() == here.keys()
    for name, values in here.items():
        np.testing.assert_allclose(passes[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_backdrop_is_put_behind(client, ball, light):
    client.put(ball, light)
    client.render(1, ball, light, backdrop=True)
    combined = client.finish(1)["passes"]["Combined"]
    assert (combined[..., 3] == 1).all() and np.allclose(combined[0, 0, :3], (1.0, 0.5, 0.25), atol=1e-3)


def test_unknown_hashes_are_asked_for(client, ball, light):
    client.render(1, ball, light)
    event = client.finish(1)
    assert event["event"] == "missing" and set(event["hashes"]) == {ball.hash, light.hash}


def test_damaged_asset_is_an_error_with_a_name(client, ball, light):
    client.put(ball, light)
    client.channel.send({"op": "put", "kind": "asset", "hash": ball.hash, "data": asset.to_bytes(ball)[:-40],
                         "name": "The asset of Cup"})
    client.render(1, ball, light)
    event = client.finish(1)
    assert event["event"] == "error" and "The asset of Cup" in event["what"] and event["fix"]
    client.put(ball, light)
    client.render(2, ball, light)
    assert client.finish(2)["event"] == "done", "an error must not end the worker"


def test_newest_of_a_channel_wins(client, ball, light):
    client.put(ball, light)
    with client.asking_at_once():
        for number in range(1, 6):
            client.render(number, ball, light, size=1000, channel="viewport 1")
        client.render(6, ball, light, channel="viewport 2")
    ends = {}
    while len(ends) < 6:
        event = client.channel.receive()
        if event["event"] != "progress":
            ends[event["id"]] = event["event"]
    assert ends == {1: "cancelled", 2: "cancelled", 3: "cancelled", 4: "cancelled", 5: "done", 6: "done"}


def test_final_renders_go_before_viewports(client, ball, light):
    client.put(ball, light)
    with client.asking_at_once():
        for number, channel in enumerate(("viewport 1", "viewport 2", "viewport 3", "final")):
            client.render(number, ball, light, size=64 if channel == "final" else 600, channel=channel)
    order = []
    while len(order) < 4:
        event = client.channel.receive()
        if event["event"] == "done":
            order.append(event["id"])
    assert order[0] == 3, "the picture under way gives way"
    assert sorted(order) == [0, 1, 2, 3], "and is made afterwards"


@pytest.mark.timing
def test_cancelled_request_ends_as_cancelled(client, ball, light):
    client.put(ball, light)
    client.render(1, ball, light, size=1500)
    start = time.monotonic()
    client.channel.send({"op": "cancel", "id": 1})
    assert client.finish(1)["event"] == "cancelled"
    assert time.monotonic() - start < 5 * slowness()


@pytest.fixture(scope="module")
def crowd() -> asset.NeuralAsset:
    """A ball of 20,000 voxels: two shells, one in the other, of some 100,000 surfels."""
    radius = np.where(np.arange(110_000) % 3, 0.49, 0.4)[:, None]
    return dress(lay_ball(110_000, radius, color=0.5, roughness=0.5), 16, model="near-mini")


@pytest.mark.timing
def test_a_large_picture_is_cancelled_within_half_a_second(client, crowd):
    """At 1080p with a new map, whenever the cancel comes."""
    assert len(crowd.coords) > 20_000
    view, rng = camera.orbit(30, 20, 2, 60, 1920, 1080), np.random.default_rng(0)
    maps = [environment.Environment(rng.random((64, 128, 3)).astype(np.float32) ** 8) for _ in range(9)]
    took = []
    for number, light in enumerate(maps):
        client.put(crowd, light)
        client.render(number, crowd, light, camera=view, settings=Settings(background=True))
        time.sleep(0.1 * number)
        start = time.monotonic()
        client.channel.send({"op": "cancel", "id": number})
        if client.finish(number)["event"] == "cancelled":
            took.append(time.monotonic() - start)
    assert took, "the first cancel comes at once: the picture must still be on its way"
    assert np.median(took) < 0.5 * slowness() and max(took) < 2 * slowness(), took
    client.render(99, crowd, maps[0])
    assert client.finish(99)["event"] == "done", "the same worker goes on"


def test_bug_in_a_request_is_reported_in_words(client):
    client.channel.send({"op": "create_mesh", "id": 1, "mesh": None, "options": {"name": "x"}})
    event = client.finish(1)
    assert event["event"] == "error" and "NeAR failed" in event["what"]


def test_whatever_runs_out_of_memory_is_told_as_that(capsys):
    """Libraries say it in their way, and some of it comes as the absence of a package."""
    thread, absent = RuntimeError("can't start new thread"), NearError("It needs a package.", "Install it.")
    absent.__cause__ = ImportError("x.so: failed to map segment from shared object")
    for error in (MemoryError(), thread, absent, RuntimeError("[ONNXRuntimeError] : 6 : std::bad_alloc")):
        assert "There is not enough memory for this." in str(worker._explain(error))
    own = NearError("The Gaussians do not fit into memory.", "Choose a smaller picture.")
    own.__cause__ = MemoryError()
    assert worker._explain(own) is own
    assert "NeAR failed (RuntimeError: x)" in str(worker._explain(RuntimeError("x")))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_told_as_that(number):
    told = worker._explain(OSError(number, os.strerror(number)))
    assert f"no room on the disk ({os.strerror(number)})" in str(told) and "File Paths" in told.fix


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1][:3]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses /proc")
def test_worker_dies_with_its_parent(tmp_path):
    (tmp_path / "answers").touch()
    parent = subprocess.Popen(
        [sys.executable, "-c", "import os, subprocess, sys, time\n"
         "p = subprocess.Popen([sys.executable, '-m', 'near_core.worker', sys.argv[1], str(os.getpid())],"
         " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
         "p.stdout.read(8); print(p.pid, flush=True); time.sleep(60)", str(tmp_path)],
        stdout=subprocess.PIPE, cwd=ROOT)
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_running(pid)
