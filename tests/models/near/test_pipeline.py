"""The published model from a checkpoint folder to passes, at small sizes with random weights."""
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from near_core.errors import Cancelled, NearError
from near_core.models.near import memory, sampler
from near_core.models.near.frame import LitAsset, embedding_camera
from near_core.models.near.pipeline import Pipeline
from near_core.scene.camera import orbit
from near_core.scene.environment import turn_z
from tests.checkpoints import write_small


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def asset():
    """A solid ball, so that one side hides the other."""
    radius = np.linalg.norm(np.indices((64,) * 3).transpose(1, 2, 3, 0) - 31.5, axis=-1)
    coords = np.argwhere(radius < 9).astype(np.uint8)
    feats = np.random.default_rng(0).normal(size=(len(coords), 8)).astype(np.float32)
    return coords, feats


@pytest.fixture(scope="module")
def pipeline(folder):
    return Pipeline(folder, "cpu")


@pytest.fixture(scope="module")
def lit(pipeline, asset):
    decoded = pipeline.decode(*asset)
    radiance = np.random.default_rng(1).random((32, 64, 3), np.float32)
    return [LitAsset(decoded, pipeline.memorize(decoded, pipeline.tokens(radiance, 30.04)))]


def test_lighting_only_what_is_seen_gives_the_same_picture(pipeline, lit):
    camera = replace(orbit(30, 20, 2.0, 40, 64, 64), near=1, far=3)
    whole, culled = (pipeline.frame(lit, camera, cull=cull) for cull in (False, True))
    assert whole.lit == 1 and 0 < culled.lit < 0.8
    for name, image in whole.maps.items():
        np.testing.assert_allclose(culled.maps[name], image, atol=2e-5, err_msg=name)
    assert whole.maps["alpha_view"].max() > 0.5 and np.ptp(whole.maps["color"]) > 0.01


def test_nothing_in_view_is_an_empty_picture(pipeline, lit):
    away = replace(orbit(30, 20, 2.0, 40, 16, 8), near=5, far=9)
    frame = pipeline.frame(lit, away)
    assert frame.lit == 0 and frame.maps["color"].shape == (8, 16, 3) and not any(m.any() for m in frame.maps.values())


def test_the_networks_are_told_a_camera_at_their_distance():
    np.testing.assert_allclose(embedding_camera(np.array([0.0, -7.0, 0.0])), [0, -2, 0])
    assert np.isfinite(embedding_camera(np.zeros(3))).all()


def test_the_decoder_takes_the_part_of_the_latent_it_was_made_for(pipeline, asset, lit):
    wide = np.concatenate([asset[1], np.ones((len(asset[0]), 16), np.float32)], 1)
    torch.testing.assert_close(pipeline.decode(asset[0], wide).h, lit[0].decoded.h, rtol=0, atol=1e-4)
    with pytest.raises(NearError, match="5 channels"):
        pipeline.decode(asset[0], asset[1][:, :5])


def test_a_moved_asset_under_a_moved_camera_looks_the_same(pipeline, lit):
    """Scaled, turned and shifted together with the camera: the same picture, with depth in the new metres."""
    camera = replace(orbit(30, 20, 2.0, 40, 48, 48), near=1, far=3)
    matrix = np.eye(4)
    matrix[:3, :3] = 3 * turn_z(65) @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])
    matrix[:3, 3] = (4, -5, 6)
    view = np.diag([3, 3, 3, 1.0]) @ camera.world_to_camera @ np.linalg.inv(matrix)
    moved = replace(camera, world_to_camera=view, near=3, far=9)
    here = pipeline.frame(lit, camera).maps
    there = pipeline.frame([replace(lit[0], matrix=matrix)], moved).maps
    for name in ("color", "base_color", "shadow", "alpha_view"):
        error = np.abs(there[name] - here[name]).max(2)
        assert np.quantile(error, 0.99) < 2e-3 and error.max() < 0.02, name
    solid = here["alpha_view"][..., 0] > 0.9
    np.testing.assert_allclose(there["depth_view"][solid], 3 * here["depth_view"][solid], rtol=1e-3)
    turned = here["normal"] @ (matrix[:3, :3].T / 3)
    assert np.quantile(np.abs(there["normal"] - turned)[solid], 0.99) < 5e-3


def test_assets_hide_each_other(pipeline, lit):
    camera = replace(orbit(0, 0, 2.0, 40, 48, 48), near=0.5, far=5)
    behind = np.eye(4)
    behind[:3, 3] = (0, 0.6, 0)  # the camera stands on -Y
    alone, both = (pipeline.frame(assets, camera) for assets in (
        lit, [replace(lit[0], matrix=behind), lit[0]]))
    centre = (24, 24)
    np.testing.assert_allclose(both.maps["color"][centre], alone.maps["color"][centre], atol=0.02)
    assert both.lit < alone.lit


def test_half_precision_stays_close(folder, asset, pipeline, lit):
    half = Pipeline(folder, "cpu", "bfloat16")
    decoded = half.decode(*asset)
    error = (decoded.h - lit[0].decoded.h).abs().max() / lit[0].decoded.h.abs().max()
    assert 0 < error < 0.05


def test_sampling_depends_on_seed_and_pictures_and_stops_when_told(pipeline, asset):
    coords = asset[0][:300]
    torch.manual_seed(7)
    images = [torch.randn(1, 5, 64) for _ in range(2)]
    first = pipeline.latent(coords, images, seed=1)
    assert first.shape == (300, 8) and np.isfinite(first).all()
    np.testing.assert_allclose(first, pipeline.latent(coords, images, seed=1), atol=1e-4)
    for other in (pipeline.latent(coords, images, seed=2), pipeline.latent(coords, images[:1], seed=1),
                  pipeline.latent(coords, images, seed=1, mode="multidiffusion")):
        assert np.abs(first - other).max() > 1e-3
    with pytest.raises(NearError):
        pipeline.latent(coords, images, mode="both")

    def stop(phase, fraction):
        raise Cancelled

    with pytest.raises(Cancelled):
        pipeline.latent(coords, images, progress=stop)
    voxels = pipeline.structure(images)
    assert voxels.shape[1] == 3 and 0 < len(voxels) < 8 ** 3 and voxels.max() < 8


def test_the_multi_image_modes_ask_for_what_they_say():
    asked = []

    def model(x, t, condition):
        asked.append(condition)
        return x * 0 + condition

    settings = sampler.SamplerSettings(steps=3, cfg_strength=1.0, cfg_interval=(0.9, 1.0))
    for mode, expected in (("stochastic", [1.0, 0.0, 3.0, 1.0]),
                           ("multidiffusion", [1.0, 3.0, 0.0, 1.0, 3.0, 1.0, 3.0])):
        asked.clear()
        velocity = sampler.guided_velocity(model, [1.0, 3.0], 0.0, 1.0, mode)
        steps = list(sampler.sample(velocity, torch.zeros(1), settings))
        assert asked == expected
    assert steps[-1].x.item() == pytest.approx(-(2 * 2 + 2 + 2) / 3)


def test_too_little_memory_is_said_before_it_runs_out(folder, asset, monkeypatch):
    tight = Pipeline(folder, "cpu")
    monkeypatch.setattr(memory, "free", lambda device: memory.RESERVE + (1 << 20))
    with pytest.raises(NearError, match="GB"):
        tight.decode(*asset)


def test_networks_leave_when_another_needs_the_room(folder, asset, monkeypatch):
    crowded = Pipeline(folder, "cpu")
    crowded.decode(*asset)
    room = iter([0, 1 << 40, 1 << 40])
    monkeypatch.setattr(memory, "free", lambda device: next(room, 1 << 40))
    crowded.network("neural_basis")
    assert list(crowded.networks) == ["neural_basis"]
