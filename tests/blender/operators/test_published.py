"""Preferences, the Python for published models and checkpoints, as scripts call the operators."""

import json
import subprocess
import sys
import time

import bpy
import numpy as np
import pytest
import stage
from PIL import Image

from near_blender import preferences
from near_blender._core import checkpoints, errors, interpreter
from near_blender.asset import payload
from near_blender.client import client, worker_process
from near_blender.operators import published, setup
from near_core import asset as assets
from tests.checkpoints import RENDERING, STRUCTURE, write_encoder, write_small
from tests.hub import COMMIT, FILES, Server, publish
from tests.machine import slowness

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Everything the add-on keeps lies in tmp_path."""
    def user_folder(name):
        (tmp_path / "kept" / name).mkdir(parents=True, exist_ok=True)
        return tmp_path / "kept" / name

    monkeypatch.setattr(preferences, "get_user_folder", user_folder)


@pytest.fixture(autouse=True)
def added(settings):
    """Every test has the add-on's preferences."""


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(bpy.context.preferences.system, "use_online_access", True)


@pytest.fixture
def server(monkeypatch):
    server = Server()
    publish(server)
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def latent(tmp_path_factory):
    """A ball in the published file format."""
    radius = np.linalg.norm(np.indices((64,) * 3).transpose(1, 2, 3, 0) - 31.5, axis=-1)
    coords = np.argwhere(radius < 14).astype(np.uint8)
    path = tmp_path_factory.mktemp("latent") / "ball.npz"
    np.savez(path, coords=coords, feats=np.random.default_rng(0).normal(size=(len(coords), 8)).astype(np.float32))
    return path


def test_nothing_is_fetched_offline_or_without_consent(server, online, monkeypatch):
    for operator in (bpy.ops.near.download_checkpoint, bpy.ops.near.set_up_python):
        with pytest.raises(RuntimeError, match="takes your consent"):
            operator()
    monkeypatch.setattr(bpy.context.preferences.system, "use_online_access", False)
    assert not bpy.app.online_access
    for operator in (bpy.ops.near.download_checkpoint, bpy.ops.near.set_up_python):
        with pytest.raises(RuntimeError, match="not allowed to go online.*Allow Online Access"):
            operator(consent=True)
    assert not server.asked and preferences.describe_checkpoint("near") == ("Not downloaded", None)


def test_a_checkpoint_is_downloaded_verified_and_removed(server, online):
    server.breaks = [10**6, 10**6, 5]  # the third answer is the first file
    assert bpy.ops.near.download_checkpoint(consent=True) == {"FINISHED"}
    state, record = preferences.describe_checkpoint("near")
    assert state == "Downloaded and verified" and record.revision == COMMIT
    assert {each.path for each in record.files} == set(FILES) - {"README.md", "ckpts/decoder.pt"}
    bpy.context.preferences.system.use_online_access = False
    assert bpy.ops.near.verify_checkpoint() == {"FINISHED"}, "works offline"
    path = preferences.get_checkpoint_folder("near") / "ckpts/decoder.json"
    path.write_bytes(b"[]")
    with pytest.raises(RuntimeError, match="decoder.json was damaged"):
        bpy.ops.near.verify_checkpoint()
    assert preferences.describe_checkpoint("near")[0].startswith("Interrupted")
    assert bpy.ops.near.remove_checkpoint() == {"FINISHED"}
    assert preferences.describe_checkpoint("near") == ("Not downloaded", None)


def test_a_source_that_breaks_off_can_be_taken_up_again(server, online):
    path = f"/luh0502/NeAR/resolve/{COMMIT}/ckpts/decoder.safetensors"
    data = server.files[path]
    server.files[path] = data[:-100]
    with pytest.raises(RuntimeError, match="is shorter than"):
        bpy.ops.near.download_checkpoint(consent=True)
    server.files[path] = data
    assert bpy.ops.near.download_checkpoint(consent=True) == {"FINISHED"}
    assert preferences.describe_checkpoint("near")[0] == "Downloaded and verified"


@pytest.mark.timing
def test_a_download_that_is_stopped_keeps_what_came(server, online):
    server.pause = 0.2
    worker = worker_process.WorkerProcess()
    job = worker.submit("fetch_checkpoint", name="near", folder=str(preferences.get_checkpoint_folder("near")))
    while job.fraction < 0.3 and not job.done:
        time.sleep(0.02)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    worker.stop()
    assert time.monotonic() - start < 2 * slowness()
    assert preferences.describe_checkpoint("near")[0].startswith("Interrupted")
    server.pause = 0.0
    assert bpy.ops.near.download_checkpoint(consent=True) == {"FINISHED"}
    assert any(asked for _, asked in server.asked), "it goes on where it stopped"


def test_the_dialogs_say_what_comes():
    lines = " ".join(published.NEAR_OT_download_checkpoint.lines(type("Fake", (), {"name": "near"})))
    assert "luh0502/NeAR" in lines and "unknown until the download starts" in lines and "Apache-2.0" in lines
    lines = " ".join(published.NEAR_OT_set_up_python.lines(type("Fake", (), {"build": "CPU"})))
    assert "torch==" in lines and "GB to download" in lines


def test_a_local_folder_is_checked_before_it_is_used(settings, checkpoint, tmp_path):
    settings.python = sys.executable
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for path in checkpoint.iterdir():
        (wrong / path.name).symlink_to(path)
    described = json.loads((checkpoint / "renderer.json").read_text())
    described["args"]["num_blocks"] = 3
    (wrong / "renderer.json").unlink()
    (wrong / "renderer.json").write_text(json.dumps(described))
    with pytest.raises(RuntimeError, match="renderer.safetensors lacks the weight blocks.2.register_attn"):
        bpy.ops.near.use_checkpoint(directory=str(wrong))
    assert settings.model == "MINI" and client.get_worker().backend == worker_process.Backend()
    assert bpy.ops.near.use_checkpoint(directory=str(checkpoint)) == {"FINISHED"}
    assert settings.model == "PUBLISHED" and settings.checkpoint == str(checkpoint)
    assert client.get_worker().backend == worker_process.Backend(sys.executable, {
        "model": str(checkpoint), "device": "auto", "precision": "auto", "companions": []})
    settings.model = "MINI"
    assert client.get_worker().backend == worker_process.Backend()


def test_published_latents_render_with_the_chosen_model(settings, checkpoint, latent, tmp_path, capfd):
    scene = stage.make_stage(48, 48)
    stage.turn_around(scene.camera, 20, distance=2.2)
    bpy.ops.near.import_asset(filepath=str(latent))
    plain = stage.render(scene, tmp_path, "mini")["Combined"]
    assert "Warning: ball was made for the published model, which is not chosen: near-mini" in capfd.readouterr().out
    settings.python, settings.checkpoint, settings.model = sys.executable, str(checkpoint), "PUBLISHED"
    picture = stage.render(scene, tmp_path, "published")["Combined"]
    assert "was made for" not in capfd.readouterr().out
    assert client.get_worker().hello["torch"] and client.get_worker() is not client._embedded.drawing
    assert np.abs(picture - plain)[..., :3].max() > 0.02


@pytest.fixture
def photo(tmp_path):
    """A red disc with alpha."""
    y, x = np.mgrid[:96, :96]
    inside = (x - 50) ** 2 + (y - 44) ** 2 < 36 ** 2
    Image.fromarray(np.where(inside[..., None], (200, 40, 30, 255), 0).astype(np.uint8)).save(tmp_path / "disc.png")
    return str(tmp_path / "disc.png")


def test_photos_become_assets_of_the_chosen_model(settings, tmp_path, photo, capfd):
    write_small(tmp_path / "near", (*RENDERING, "slat_flow_model"), encoder=False)
    write_small(preferences.get_checkpoint_folder("trellis"), STRUCTURE, encoder=False)
    write_encoder(preferences.get_checkpoint_folder("dinov2"), hub=True)
    settings.python, settings.device = sys.executable, "CPU"
    assert bpy.ops.near.use_checkpoint(directory=str(tmp_path / "near")) == {"FINISHED"}
    assert "For creating from photos: The checkpoint has no sparse_structure_flow_model" in capfd.readouterr().out
    with pytest.raises(RuntimeError, match="no sparse_structure_flow_model"):
        bpy.ops.near.create_asset_from_image(filepath=photo)
    for name in ("dinov2", "trellis"):
        checkpoints.write_record(preferences.get_checkpoint_folder(name), checkpoints.Record("a/b", "0" * 40, [], True))
    preferences.apply_preferences()
    scene = stage.make_stage(48, 48)
    assert bpy.ops.near.create_asset_from_image(filepath=photo, seed=3) == {"FINISHED"}
    asset = payload.decode_asset(bpy.context.object)
    assert asset.model == "near" and len(asset.model_hash) == 32 and asset.slat.shape[1] == 8
    stage.turn_around(scene.camera, 20, distance=2.2)
    picture = stage.render(scene, tmp_path, "published")["Combined"]
    assert picture[..., 3].max() > 0.1 and "may look different" not in capfd.readouterr().out
    settings.model = "MINI"
    stage.render(scene, tmp_path, "mini")
    assert "disc was made for the published model, which is not chosen: near-mini" in capfd.readouterr().out


@pytest.mark.timing
def test_creating_with_the_published_model_can_be_stopped(settings, checkpoint, photo):
    settings.python, settings.checkpoint, settings.model = sys.executable, str(checkpoint), "PUBLISHED"
    job = client.create_from_image([photo], name="disc")
    while job.phase in ("Starting", "Checkpoint") and not job.done:
        time.sleep(0.01)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result()
    assert time.monotonic() - start < 2 * slowness()


def test_a_python_without_torch_says_what_to_do(settings, tmp_path):
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    settings.python = str(python)
    with pytest.raises(RuntimeError, match="lacks torch"):
        bpy.ops.near.check_python()
    settings.python = sys.executable
    assert bpy.ops.near.check_python() == {"FINISHED"}


@pytest.mark.slow
def test_set_up_makes_a_python_that_renders_and_is_removed(online, settings, checkpoint, latent, tmp_path):
    try:
        assert bpy.ops.near.set_up_python(build="CPU", consent=True) == {"FINISHED"}
    except RuntimeError as error:
        if "Choosing packages failed" in str(error):
            pytest.skip("the package index cannot be reached")
        raise
    assert preferences.find_python() == str(interpreter.locate_python(preferences.get_python_folder()))
    assert bpy.ops.near.check_python() == {"FINISHED"}
    assert bpy.ops.near.use_checkpoint(directory=str(checkpoint)) == {"FINISHED"}
    scene = stage.make_stage(48, 48)
    stage.turn_around(scene.camera, 20, distance=2.2)
    bpy.ops.near.import_asset(filepath=str(latent))
    picture = stage.render(scene, tmp_path)["Combined"]
    assert np.isfinite(picture).all() and client.get_worker().backend.python == preferences.find_python()
    assert bpy.ops.near.remove_python() == {"FINISHED"} and preferences.find_python() == ""
    assert not bpy.ops.near.remove_python.poll()


def test_check_setup_still_works_with_everything_off(settings):
    assert all(well for well, _ in setup.check_setup())


def test_assets_keep_their_bytes_whatever_draws_them(latent):
    loaded = assets.load(latent)
    assert loaded.model == "near" and checkpoints.CATALOGUE["near"].repository == "luh0502/NeAR"
