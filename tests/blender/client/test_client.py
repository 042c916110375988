"""Drawing and creating beside each other."""

import os
import time

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender.client import client
from near_core import errors
from near_core.create.hints import Hints
from near_core.mesh import Mesh
from tests.blender.client.test_worker_process import submit


@pytest.fixture(autouse=True)
def stopped():
    yield
    client.stop_workers()


def make_bumpy(rows: int = 500) -> Mesh:
    """A bumpy sheet of triangles, enough of them to keep a worker busy for seconds."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, rows), np.linspace(-0.5, 0.5, rows))
    vertices = np.stack([x, y, 0.2 * np.sin(20 * x) * np.cos(20 * y)], -1).reshape(-1, 3).astype(np.float32)
    first = (np.arange(rows - 1)[:, None] * rows + np.arange(rows - 1)).reshape(-1, 1)
    faces = np.concatenate([first + (0, 1, rows + 1), first + (0, rows + 1, rows)]).astype(np.int32)
    return Mesh(vertices, faces)


def test_pictures_come_while_an_asset_is_made_and_both_can_be_stopped(ball):
    worker = client.get_worker()
    submit(worker, ball).result()
    creation = client.create_from_mesh(make_bumpy(), name="Sheet", detail="closeup")
    while creation.phase == "Starting" and not creation.done:
        time.sleep(0.01)
    for _ in range(3):
        assert submit(worker, ball, size=64, channel="viewport 1").result()["passes"]
    assert not creation.done, "pictures wait for it, or it is too quick to be drawn beside"
    creation.cancel()
    with pytest.raises(errors.Cancelled):
        creation.result()
    job = submit(worker, ball)
    assert job.result()["passes"] and not job.warning, "the process that draws goes on"


def test_workers_are_told_where_extensions_are(addon):
    told = os.environ["NEAR_EXTENSIONS"].split(os.pathsep)
    assert told == [each.directory for each in bpy.context.preferences.extensions.repos if each.enabled] and told[0]


def test_a_repository_of_extensions_that_is_added_later_is_known_to_a_worker_that_runs(addon, tmp_path):
    """NeAR Matte in it, which is empty here, is then damaged, no longer missing."""
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    ask = lambda: client.find_matte(str(tmp_path / "photo.png"), Hints(), "isnet").result()
    with pytest.raises(errors.NearError, match="NeAR Matte is not installed"):
        ask()
    folder = tmp_path / "added" / "near_matte"
    folder.mkdir(parents=True)
    (folder / "isnet.onnx").touch()
    repositories = bpy.context.preferences.extensions.repos
    made = repositories.new(name="Added", module="added", custom_directory=str(folder.parent))
    try:
        with pytest.raises(errors.NearError, match="model.json is damaged"):
            ask()
    finally:
        repositories.remove(made)
    with pytest.raises(errors.NearError, match="NeAR Matte is not installed"):
        ask()
