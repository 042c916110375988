"""Tests in the real bpy module: one add-on for the whole session, an empty file for each test."""

import tempfile
import time
import typing
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

import stage
from asking import children

import near_blender
from near_blender import preferences
from near_blender._core import ADDON
from near_blender.client import client, worker_process
from near_core import asset as assets
from near_core.asset import CELL
from near_core.directions import encode_octahedral, fibonacci_sphere
from tests.surfaces import lay


@pytest.fixture(scope="session", autouse=True)
def addon():
    """NeAR, registered; it must be gone before Python exits, or bpy hangs."""
    near_blender.register()
    yield near_blender
    near_blender.unregister()
    for forget in typing._cleanups:  # Blender's types that the glTF exporter's annotations name: 4.2 crashes on them
        forget()


@pytest.fixture(autouse=True)
def empty_file(addon):
    """Every test starts in a new file."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)


@pytest.fixture
def scene() -> bpy.types.Scene:
    return stage.make_stage()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for temporary files of a file's tests alone, where no other worker has its own; nothing may be left."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temporary"))
    others = children()
    yield Path(tempfile.tempdir)
    until = time.monotonic() + 60  # a busy machine clears away late
    while (left := list(Path(tempfile.tempdir).iterdir()) + list(set(children()) - set(others))
           ) and time.monotonic() < until:
        time.sleep(0.05)
    tempfile.tempdir = before
    assert not left


@pytest.fixture(scope="session")
def ball() -> assets.NeuralAsset:
    """A sphere of radius 0.45 that is red in front and green behind, 1.5 m wide."""
    count = 40_000
    normal, one = fibonacci_sphere(count).astype(np.float32), np.ones(count, np.float32)
    color = np.where(normal[:, 1:2] < 0, (0.8, 0.1, 0.1), (0.1, 0.6, 0.1)).astype(np.float32)
    surfels = lay(0.45 * normal, normal, color, 0.3, area=4 * np.pi * 0.45 ** 2 / count / CELL ** 2)
    cells = ((surfels.position + 0.5) * 64).astype(int)
    coords, first = np.unique(cells, axis=0, return_index=True)
    material = np.concatenate([color, 0.3 * one[:, None], 0 * one[:, None], encode_octahedral(normal),
                               one[:, None]], 1)
    thumbnail = np.full((32, 48, 4), 255, np.uint8)
    thumbnail[:16, :, :3] = 0  # black above, white below
    return assets.NeuralAsset(coords.astype(np.uint8), material[first].astype(np.float16),
                              np.zeros((len(coords), 0), np.float16), surfels, name="Ball", source="ball.glb",
                              extent=1.5, model="near-mini", thumbnail=thumbnail)


@pytest.fixture(scope="module")
def worker(home):
    """A worker of a file's tests alone."""
    worker = worker_process.WorkerProcess()
    yield worker
    worker.stop()


@pytest.fixture
def settings():
    """The add-on's preferences, there for one test."""
    entry = bpy.context.preferences.addons.new()
    entry.module = ADDON
    yield entry.preferences
    bpy.context.preferences.addons.remove(entry)
    preferences.apply_preferences()
    client.stop_workers()
