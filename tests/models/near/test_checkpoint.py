"""Opening checkpoint folders: what fits loads, what does not is named, nothing is executed."""
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
from safetensors.torch import save_file

from near_core.errors import NearError
from near_core.models.near.basis import NeuralBasis
from near_core.models.near.checkpoint import REQUIRED, open_checkpoint
from near_core.models.near.hdri import Hdri_Encoder
from near_core.models.near.iad import SLatGaussianDecoder

DECODER = {"resolution": 64, "model_channels": 32, "latent_channels": 8, "cond_channels": 32, "num_blocks": 2,
           "num_register_tokens": 3, "num_heads": 2, "use_fp16": True}
BASIS = {"input_dim": 32, "output_dim": 5, "hidden_dim": 16, "num_layers": 3, "activation": "silu"}


def written(folder, kind=SLatGaussianDecoder, name="decoder", config=DECODER, change=lambda weights: weights):
    torch.manual_seed(3)
    network = kind(**{key: value for key, value in config.items() if key != "use_fp16"})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    weights = change({key: value.clone().contiguous() for key, value in network.state_dict().items()})
    (folder / "ckpts").mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "ckpts" / f"{name}_v1.0.safetensors")
    (folder / "ckpts" / f"{name}_v1.0.json").write_text(json.dumps({"name": kind.__name__, "args": config}))
    models = {each: f"ckpts/{each}_v1.0" for each in REQUIRED}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"name": "NearPipeline", "args": {
        "models": models, "slat_normalization": {"mean": [0.5] * 8, "std": [2] * 8},
        "slat_sampler": {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-5},
                         "params": {"steps": 25, "cfg_strength": 3.0, "cfg_interval": [0.5, 1.0], "rescale_t": 3.0}}}}))
    return network.eval()


ROUNDING = {"rtol": 0, "atol": 1e-4}  # a product may add in another order where its matrices lie elsewhere


def same_weights(one, other):
    """Bit for bit, and under the same names."""
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_loads_what_was_written(tmp_path):
    original = written(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.sampler["steps"] == 25 and checkpoint.normalization["std"] == [2.0] * 8
    assert checkpoint.size("decoder") == 4 * sum(parameter.numel() for parameter in original.parameters())
    loaded = checkpoint.load("decoder")
    assert same_weights(loaded, original)
    coords = torch.cartesian_prod(torch.zeros(1, dtype=torch.int32), *[torch.arange(4, dtype=torch.int32)] * 3)
    feats = torch.randn(64, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(coords, feats)[0], original(coords, feats)[0], **ROUNDING)
        half = checkpoint.load("decoder", torch.bfloat16)
        difference = (half(coords, feats)[0] - original(coords, feats)[0]).abs().max()
    assert half.blocks[0].mlp.mlp[0].weight.dtype == torch.bfloat16 and 0 < difference < 0.3
    assert half.input_layer.weight.dtype == half.reg_tokens.dtype == torch.float32


def test_pt_files_load_too_but_run_nothing(tmp_path):
    original = written(tmp_path)
    path = tmp_path / "ckpts/decoder_v1.0.safetensors"
    path.unlink()
    torch.save(original.state_dict(), path.with_name("decoder_v1.0.pt"))
    checkpoint = open_checkpoint(tmp_path)
    assert torch.equal(checkpoint.load("decoder").reg_tokens, original.reg_tokens)

    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return Path.touch, (marker,)

    for save in (torch.save, lambda what, file: pickle.dump(what, file)):  # as torch does, and once did
        with open(path.with_name("decoder_v1.0.pt"), "wb") as file:
            save({"reg_tokens": Attack()}, file)
        with pytest.raises(NearError, match="decoder_v1.0.pt"):
            checkpoint.load("decoder")
        assert not marker.exists()


def renamed(old, new):
    return lambda weights: {key.replace(old, new): value for key, value in weights.items()}


@pytest.mark.parametrize("change, said", [
    (lambda weights: {key: value for key, value in weights.items() if "blocks.1.mlp" not in key},
     "lacks the weight blocks.1.mlp.mlp.0.weight"),
    (lambda weights: weights | {"blocks.0.attn.to_out.bias": torch.zeros(31)}, "blocks.0.attn.to_out.bias of shape"),
    (lambda weights: weights | {"blocks.7.extra": torch.zeros(1)}, "blocks.7.extra"),
    (renamed("input_layer", "in_layer"), "lacks the weight input_layer.weight"),
])
def test_the_first_wrong_key_is_named(tmp_path, change, said):
    written(tmp_path, change=change)
    with pytest.raises(NearError) as error:
        open_checkpoint(tmp_path).load("decoder")
    assert said in error.value.what and "decoder_v1.0.safetensors" in error.value.what


def test_settings_left_out_are_read_from_the_weights(tmp_path):
    config = {key: value for key, value in DECODER.items() if key != "num_register_tokens"}
    written(tmp_path)
    (tmp_path / "ckpts/decoder_v1.0.json").write_text(json.dumps({"name": "SLatGaussianDecoder", "args": config}))
    assert open_checkpoint(tmp_path).load("decoder").reg_tokens.shape == (1, 3, 32)
    written(tmp_path, NeuralBasis, "neural_basis", BASIS)
    (tmp_path / "ckpts/neural_basis_v1.0.json").write_text('{"name": "NeuralBasis", "args": {"activation": "silu"}}')
    assert open_checkpoint(tmp_path).load("neural_basis").mlp[4].weight.shape == (5, 16)


def test_a_repeated_layer_may_be_stored_once(tmp_path):
    config = {"output_dim": 32, "num_tokens": 16, "cnn_out_channels": 16, "n_heads": 2, "num_transformer_layers": 3,
              "dims": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    original = written(tmp_path, Hdri_Encoder, "hdri_encoder", config,
                       lambda weights: {key: value for key, value in weights.items() if ".layers.1." not in key})
    loaded = open_checkpoint(tmp_path).load("hdri_encoder")
    assert same_weights(loaded, original)
    light_map = torch.rand(1, 9, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(light_map), original(light_map), **ROUNDING)


@pytest.mark.parametrize("text", [
    "", "args: [1, 2]", "args: {models: 3}", "!!python/object/apply:os.system ['touch executed']", "args: {models: {}}",
    "args: {models: {decoder: ../../etc/x, renderer: a, neural_basis: b, hdri_encoder: c}}",
    "args: &a [*a", "\x00\x01"])
def test_damaged_manifests_are_refused(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yaml").write_text(text)
    with pytest.raises(NearError):
        open_checkpoint(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_damaged_files_are_named(tmp_path):
    with pytest.raises(NearError, match="pipeline.yaml"):
        open_checkpoint(tmp_path)
    written(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    with pytest.raises(NearError, match="renderer_v1.0.json"):
        checkpoint.load("renderer")
    path = tmp_path / "ckpts/decoder_v1.0.safetensors"
    data = path.read_bytes()
    for damaged in (b"", data[:100], np.uint64(1 << 60).tobytes() + data[8:], data[:-5]):
        path.write_bytes(damaged)
        with pytest.raises(NearError, match="decoder_v1.0.safetensors"):
            checkpoint.load("decoder")
    path.write_bytes(data)
    for described in ({"name": "Other", "args": {}}, {"name": "SLatGaussianDecoder", "args": {**DECODER, "x": 1}},
                      {"name": "SLatGaussianDecoder", "args": {**DECODER, "num_heads": "a"}}, [], {"name": {}},
                      {"name": "SLatGaussianDecoder", "args": {**DECODER, "num_blocks": 10 ** 12}},
                      {"name": "SLatGaussianDecoder", "args": {**DECODER, "model_channels": [1e300]}}):
        (tmp_path / "ckpts/decoder_v1.0.json").write_text(json.dumps(described))
        with pytest.raises(NearError):
            checkpoint.load("decoder")


@pytest.mark.parametrize("name", ["", ".", "../decoder", "/decoder", "a/../../b"])
def test_networks_outside_of_the_folder_stay_closed(tmp_path, name):
    """The folder itself, too: its networks would be called as it is, and lie beside it."""
    written(tmp_path)
    manifest = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    manifest["args"]["models"]["decoder"] = name
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(manifest))
    with pytest.raises(NearError, match="a file outside its folder"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "y/" * 2000])
def test_a_folder_whose_name_no_system_takes_has_no_checkpoint(name):
    with pytest.raises(NearError, match="has no pipeline.yaml"):
        open_checkpoint(name)


def test_weights_that_are_called_otherwise_are_damage(tmp_path):
    written(tmp_path, NeuralBasis, "neural_basis", BASIS, lambda weights: weights | {"last.weight": torch.ones(1)})
    with pytest.raises(NearError, match="a weight last.weight that the network has no place for"):
        open_checkpoint(tmp_path).load("neural_basis")
