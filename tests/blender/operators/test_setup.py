"""Check Setup: what works, and what is broken, in words."""

import bpy

from near_blender import client
from near_blender.operators import jobs, setup


def test_check_setup_tries_every_part():
    assert bpy.ops.near.check_setup() == {"FINISHED"}
    found = setup.list_findings()
    assert all(well for well, _ in found), found
    text = "\n".join(line for _, line in found)
    for word in (f"Blender {bpy.app.version_string}", "Kernels", "Worker", "onnxruntime", "created", "picture"):
        assert word in text


def test_check_setup_shows_what_is_broken(monkeypatch):
    def broken():
        raise OSError("no such library")
        yield
    monkeypatch.setattr(setup, "_check_kernels", broken)
    bpy.ops.near.check_setup()
    assert (False, "OSError: no such library") in setup.list_findings() and len(setup.list_findings()) > 3


def test_it_does_not_wait_behind_a_creation(monkeypatch):
    job = client.find_matte("missing.png", None)
    monkeypatch.setattr(jobs, "_current", jobs.Creation(job, "Photo"))
    assert not bpy.ops.near.check_setup.poll()
    job.cancel()
