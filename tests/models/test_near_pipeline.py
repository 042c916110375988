"""The published model from a checkpoint folder to passes, at small sizes with random weights."""
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
from safetensors.torch import save_file  # noqa: E402

from near_core.camera import orbit  # noqa: E402
from near_core.environment import turn_z  # noqa: E402
from near_core.errors import Cancelled, NearError  # noqa: E402
from near_core.models import near_memory, near_sampler  # noqa: E402
from near_core.models.near_checkpoint import NETWORKS  # noqa: E402
from near_core.models.near_frame import Subject, embedding_camera  # noqa: E402
from near_core.models.near_pipeline import Pipeline  # noqa: E402

LR = {name: 1.0 for name in ("_xyz", "_base_color", "_opacity", "_scaling", "_roughness", "_metallic", "_pbr1",
                             "_scaling_view", "_rgb", "_shadow", "_hdri1", "_hdri2")} | {"_rotation": 0.1}
CONFIGS = {
    "decoder": ("SLatGaussianDecoder", {
        "resolution": 64, "model_channels": 32, "latent_channels": 8, "cond_channels": 32, "num_blocks": 2,
        "num_heads": 2}),
    "renderer": ("SLatGaussianRenderer", {
        "resolution": 64, "model_channels": 32, "latent_channels": 32, "cond_channels": 32, "num_blocks": 2,
        "num_heads": 2, "representation_config": {
            "lr": LR, "perturb_offset": True, "voxel_size": 1.5, "num_gaussians": 8, "2d_filter_kernel_size": 0.1,
            "3d_filter_kernel_size": 9e-4, "scaling_bias": 8e-3, "opacity_bias": 0.8,
            "scaling_activation": "softplus"}}),
    "neural_basis": ("NeuralBasis", {
        "input_dim": 32, "output_dim": 5, "hidden_dim": 16, "num_layers": 3, "activation": "silu"}),
    "hdri_encoder": ("Hdri_Encoder", {
        "output_dim": 32, "num_tokens": 16, "cnn_out_channels": 16, "n_heads": 2, "dims": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1]}),
    "slat_flow_model": ("SLatFlowModel", {
        "resolution": 64, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 24,
        "num_blocks": 1, "num_heads": 2, "patch_size": 2, "io_block_channels": [16]}),
    "sparse_structure_flow_model": ("SparseStructureFlowModel", {
        "resolution": 4, "in_channels": 8, "out_channels": 8, "model_channels": 32, "cond_channels": 24,
        "num_blocks": 1, "num_heads": 2, "patch_size": 1}),
    "sparse_structure_decoder": ("SparseStructureDecoder", {
        "out_channels": 1, "latent_channels": 8, "num_res_blocks": 1, "channels": [16, 8]}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint")
    for name, (kind, config) in CONFIGS.items():
        torch.manual_seed(len(name))
        network = NETWORKS[kind](**config)
        for key, parameter in network.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        save_file({key: value.clone().contiguous() for key, value in network.state_dict().items()},
                  path / f"{name}.safetensors")
        (path / f"{name}.json").write_text(json.dumps({"name": kind, "args": config}))
    sampler = {"params": {"steps": 4, "cfg_strength": 2.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0}}
    (path / "pipeline.yaml").write_text(yaml.safe_dump({"args": {
        "models": {name: name for name in CONFIGS}, "slat_sampler": sampler, "sparse_structure_sampler": sampler,
        "slat_normalization": {"mean": [0.1] * 8, "std": [1.5] * 8}}}))
    return path


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
    return [Subject(decoded, pipeline.memorize(decoded, pipeline.tokens(radiance, 30.04)))]


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
    assert torch.equal(pipeline.decode(asset[0], wide).h, lit[0].decoded.h)
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
    alone, both = (pipeline.frame(subjects, camera) for subjects in (
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
    images = [torch.randn(1, 5, 24) for _ in range(2)]
    first = pipeline.latent(coords, images, seed=1)
    assert first.shape == (300, 8) and np.isfinite(first).all()
    assert np.array_equal(first, pipeline.latent(coords, images, seed=1))
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

    settings = near_sampler.Settings(steps=3, cfg_strength=1.0, cfg_interval=(0.9, 1.0))
    for mode, expected in (("stochastic", [1.0, 0.0, 3.0, 1.0]),
                           ("multidiffusion", [1.0, 3.0, 0.0, 1.0, 3.0, 1.0, 3.0])):
        asked.clear()
        velocity = near_sampler.guided_velocity(model, [1.0, 3.0], 0.0, 1.0, mode)
        steps = list(near_sampler.sample(velocity, torch.zeros(1), settings))
        assert asked == expected
    assert steps[-1].x.item() == pytest.approx(-(2 * 2 + 2 + 2) / 3)


def test_too_little_memory_is_said_before_it_runs_out(folder, asset, monkeypatch):
    tight = Pipeline(folder, "cpu")
    monkeypatch.setattr(near_memory, "free", lambda device: near_memory.RESERVE + (1 << 20))
    with pytest.raises(NearError, match="GB"):
        tight.decode(*asset)


def test_networks_leave_when_another_needs_the_room(folder, asset, monkeypatch):
    crowded = Pipeline(folder, "cpu")
    crowded.decode(*asset)
    room = iter([0, 1 << 40, 1 << 40])
    monkeypatch.setattr(near_memory, "free", lambda device: next(room, 1 << 40))
    crowded.network("neural_basis")
    assert list(crowded.networks) == ["neural_basis"]
