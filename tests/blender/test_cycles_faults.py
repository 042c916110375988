"""Whatever befalls the second Blender, the first one lives, the message is right and the next picture is right.

Each start of it takes seconds, so that all of this is slow: `pytest -m slow tests/blender/test_cycles_faults.py`.
"""

import io
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import stage
from asking import halt, is_gone, kill
from test_faults import HELLO, Babbler, frame

from near_blender.client import client, cycles_process
from near_blender.cycles import scene as cycles_scene
from near_blender.engine import surroundings
from near_blender.scene import world
from near_core import errors
from near_core.worker import protocol
from tests.attacks import requests

SIZE = 32, 24
OPTIONS = {"samples": 2, "denoise": False}

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not sys.platform.startswith("linux"), reason="uses signals and prlimit")]


class BabblingBlender(Babbler, cycles_process.CyclesProcess):
    """A second Blender whose first process says what it was given instead of answers."""


@pytest.fixture
def scene():
    """A cube before a camera, whose picture needs the second Blender alone."""
    scene = stage.make_stage(*SIZE)
    scene.render.engine = "CYCLES"
    stage.set_color(scene.world, (0.5, 0.4, 0.3))
    bpy.ops.mesh.primitive_cube_add()
    return scene


@pytest.fixture
def cycles():
    """A second Blender of each test's own, and nothing left of it."""
    process = cycles_process.CyclesProcess()
    yield process
    pid = process.hello.get("pid")
    process.stop()
    assert not pid or is_gone(pid)


def ask(cycles, size=SIZE, **options):
    """A picture that was not asked before: what is known is not drawn again."""
    cycles._recent.clear()
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    return cycles.draw(state, cycles_scene.describe_camera_object(bpy.context.scene.camera), size,
                       **OPTIONS | options)


def draw(cycles, **options) -> np.ndarray:
    answer = ask(cycles, **options).result()
    assert not answer["stale"]
    return answer["passes"]["Combined"]


@pytest.mark.parametrize("said", [b"Segmentation fault\n", frame(5), HELLO + frame({"event": "nonsense", "id": 1}),
                                  HELLO + HELLO[:9] + b"\0" * 60])
def test_one_that_babbles_is_replaced(scene, cycles, said):
    other = BabblingBlender(said)
    try:
        job = ask(other)
        assert job.wait(180), "nobody waits for ever"
        assert "crashed" in job.warning and np.array_equal(job.result()["passes"]["Combined"], draw(cycles))
    finally:
        other.stop()


def test_one_that_was_stopped_goes_on(scene, cycles):
    truth, pid = draw(cycles), cycles.check(60)["pid"]
    halt(pid)
    job = ask(cycles)
    time.sleep(0.5)
    assert not job.done
    os.kill(pid, signal.SIGCONT)
    assert np.array_equal(job.result()["passes"]["Combined"], truth) and cycles.check(60)["pid"] == pid


def test_one_that_does_not_listen_is_replaced_when_its_job_is_cancelled(scene, cycles):
    truth, pid = draw(cycles), cycles.check(60)["pid"]
    halt(pid)
    job = ask(cycles)
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert np.array_equal(draw(cycles), truth) and cycles.check(60)["pid"] != pid


@pytest.mark.parametrize(("limit", "spare", "size"), [
    (resource.RLIMIT_AS, 200 * 2**20, (6000, 4000)), (resource.RLIMIT_FSIZE, 2 * 2**20, (700, 500))])
def test_too_little_memory_or_room_ends_in_words(scene, cycles, limit, spare, size):
    truth, pid = draw(cycles), cycles.check(60)["pid"]
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, limit, (spare + (used if limit == resource.RLIMIT_AS else 0), resource.RLIM_INFINITY))
    job = ask(cycles, size=size, samples=1)
    try:
        assert job.result()["passes"]["Combined"].shape == (size[1], size[0], 4)  # by one that was started again
        assert "crashed" in job.warning
    except errors.NearError as error:
        assert error.what.endswith(".") and error.fix.endswith(".")
    if cycles.hello.get("pid") == pid:
        resource.prlimit(pid, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert np.array_equal(draw(cycles), truth)


def test_killed_at_random_moments(scene, cycles):
    rng = random.Random(int(os.environ.get("NEAR_SEED", 1)))
    truth = draw(cycles)
    for _ in range(12):
        job = ask(cycles)
        time.sleep(rng.random() ** 2 * 1.5)
        kill(cycles)
        assert np.array_equal(job.result()["passes"]["Combined"], truth)
        assert np.array_equal(draw(cycles), truth)


def test_killed_during_final_renders(scene, ball, tmp_path):
    """F12 ends with the right picture each time, whenever its second Blender dies."""
    scene.render.engine = "NEAR"
    scene.near.samples, scene.near.denoise = 32, False
    stage.add_asset(ball, location=(0, -1.6, 0))
    truth = stage.render(scene, tmp_path)["Combined"]
    rng = random.Random(int(os.environ.get("NEAR_SEED", 2)))

    for _ in range(int(os.environ.get("NEAR_COUNT", 6))):
        client.get_cycles()._recent.clear()
        timer = threading.Timer(rng.random(), kill, [client.get_cycles()])
        timer.start()
        picture = stage.render(scene, tmp_path)["Combined"]
        timer.join()
        assert np.abs(picture - truth).mean() < 0.01, "a process that is new may have another noise"


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
def test_stopped_while_a_final_render_waits(scene, ball, tmp_path, then):
    """The picture is drawn when it goes on, or by another one where it is killed."""
    scene.render.engine = "NEAR"
    scene.near.samples, scene.near.denoise = 4, False
    stage.add_asset(ball, location=(0, -1.6, 0))
    truth, pid = stage.render(scene, tmp_path)["Combined"], client.get_cycles().check(60)["pid"]
    client.get_cycles()._recent.clear()
    halt(pid)
    timer = threading.Timer(2.0, os.kill, (pid, then))
    timer.start()
    start = time.monotonic()
    picture = stage.render(scene, tmp_path)["Combined"]
    assert time.monotonic() - start > 1.9 and np.abs(picture - truth).mean() < 0.01
    assert (client.get_cycles().check(60)["pid"] == pid) == (then == signal.SIGCONT)
    assert np.abs(stage.render(scene, tmp_path)["Combined"] - truth).mean() < 0.01


class DamagedBlender(cycles_process.CyclesProcess):
    """A second Blender, the next of whose answers arrives damaged."""

    rng, damages = np.random.default_rng(int(os.environ.get("NEAR_SEED", 1))), False

    def _handle(self, event):
        if self.damages and event["event"] == "done":
            self.damages = False
            event = damage(event, self.rng)
        super()._handle(event)


def damage(event: dict, rng: np.random.Generator) -> dict:
    """The event with other values, or of another form. Raises ValueError where it is no message any more."""
    way = (requests.change_values, requests.change_form)[rng.integers(2)]
    _, frames, arrays = requests.split(way(requests.pack((event,)), rng))
    with tempfile.TemporaryDirectory() as folder:
        incoming = Path(folder) / "in"
        incoming.write_bytes(arrays + bytes(1 << 16))
        channel = protocol.Channel(io.BytesIO(frames), io.BytesIO(), incoming, Path(folder) / "out")
        try:
            return channel.receive() or {"event": "nothing"}
        finally:
            channel.close()


def test_pictures_with_damaged_answers_end_and_the_next_is_right(scene, ball, tmp_path, monkeypatch):
    """Of every operation that F12 asks for: probes, occluders, pictures and the World's maps."""
    scene.render.engine = "NEAR"
    scene.near.samples, scene.near.denoise = 4, False
    stage.add_asset(ball, location=(0, -1.6, 0))
    bpy.ops.object.light_add(type="POINT", location=(2, -3, 3))
    noise = scene.world.node_tree.nodes.new("ShaderNodeTexNoise")
    scene.world.node_tree.links.new(noise.outputs[1], scene.world.node_tree.nodes["Background"].inputs[0])
    other = DamagedBlender()
    monkeypatch.setattr(client, "_cycles", other)

    def forget(damages: bool) -> None:
        surroundings.forget()
        world.unregister()
        other._recent.clear()
        other.damages = damages

    try:
        truth = stage.render(scene, tmp_path)["Combined"]
        for _ in range(int(os.environ.get("NEAR_COUNT", 25))):
            forget(True)
            try:
                stage.render(scene, tmp_path)
            except RuntimeError as error:
                assert "NeAR failed" not in str(error) and str(error).strip().endswith("."), error
        forget(False)
        assert np.abs(stage.render(scene, tmp_path)["Combined"] - truth).mean() < 0.01
    finally:
        other.stop()
        forget(False)
