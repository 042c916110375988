"""Check Setup: what works, and what is broken, in words."""

import time
from types import SimpleNamespace

import bpy
import numpy as np

from near_blender.client import client
from near_blender.operators import jobs, setup


def test_check_setup_tries_every_part():
    assert bpy.ops.near.check_setup() == {"FINISHED"}
    found = setup.list_findings()
    assert all(well for well, _ in found), found
    text = "\n".join(line for _, line in found)
    for word in (f"Blender {bpy.app.version_string}", "Kernels", "Worker", "onnxruntime", "Second Blender", "created",
                 "looks the same"):
        assert word in text


def test_check_setup_shows_what_is_broken(monkeypatch):
    def broken(watch):
        raise OSError("no such library")
        yield
    monkeypatch.setattr(setup, "_check_kernels", broken)
    bpy.ops.near.check_setup()
    assert (False, "OSError: no such library") in setup.list_findings() and len(setup.list_findings()) > 3


def test_a_second_blender_without_a_denoiser_is_told(monkeypatch):
    hello = {"blender": "5.0", "denoises": False}
    monkeypatch.setattr(client, "get_cycles", lambda: SimpleNamespace(check=lambda _: hello))
    [(well, said)] = setup._check_second_blender(lambda job: job)
    assert well and said.startswith("Second Blender 5.0 ready") and "no OpenImageDenoise" in said


def test_a_picture_that_is_off_is_told(monkeypatch):
    grey = np.full((setup.SIZE, setup.SIZE, 3), 0.2, np.float32)
    monkeypatch.setattr(setup, "draw_sample", lambda watch: (grey, "near"))
    [(well, said)] = setup._check_picture(lambda job: job)
    assert not well and "looks different" in said and " dB " in said


def test_it_does_not_wait_behind_a_creation(monkeypatch):
    job = client.find_matte("missing.png", None, "near")
    monkeypatch.setattr(jobs, "_current", jobs.Creation(job, "Photo"))
    assert not bpy.ops.near.check_setup.poll()
    job.cancel()


def test_an_artist_sees_it_grow_and_stops_it(monkeypatch):
    """On a thread, as a window has it."""
    jobs_seen = []
    stopped = setup.SetupCheck()
    stopped.cancel()
    monkeypatch.setattr(setup.SetupCheck, "_watch", lambda self, job: jobs_seen.append(job) or job)
    check = setup.SetupCheck()
    monkeypatch.setattr(setup, "_current", check)
    assert not bpy.ops.near.check_setup.poll(), "one at a time"
    while not check.done:
        seen = setup.list_findings()
        assert seen == check.lines[:len(seen)]
        time.sleep(0.02)
    assert check.fraction == 1 and len(jobs_seen) == 2 and all(well for well, _ in check.lines)
    assert len(stopped.lines) < setup.COUNT and bpy.ops.near.stop(what="CHECK") == {"FINISHED"}


def test_the_report_can_be_copied():
    assert bpy.ops.near.copy_setup() == {"FINISHED"}
