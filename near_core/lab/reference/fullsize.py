"""The full-size fixtures: networks of the published sizes whose weights follow an integer hash instead of a file."""
import math
import os
import zlib
from pathlib import Path

import numpy as np
import torch

from ... import image
from ...errors import NearError
from ...models.near import conditioning, hdri, iad, lad

CHUNK = 1 << 22
KEPT = ("freq_bands", "offset_perturbation", "pos_emb")  # buffers that keep the values they are constructed with


def fill(network, salt):
    """Give every parameter the values of the rule: splitmix64 (Steele et al. 2014) of the key's CRC-32 and the index,
    scaled by what the parameter is for."""
    state = network.state_dict()
    for key, tensor in state.items():
        if key.split(".")[-1] in KEPT:
            continue
        if key.startswith("transformer_encoder.layers."):  # one layer under several names
            key = ".".join([*key.split(".")[:2], "0", *key.split(".")[3:]])
        flat = tensor.view(-1)
        for start in range(0, flat.numel(), CHUNK):
            count = min(CHUNK, flat.numel() - start)
            flat[start:start + count] = torch.from_numpy(_scale(key, tensor.shape, uniform(key, salt, start, count)))
    return network.eval().requires_grad_(False)


def uniform(key, salt, start, count):
    """(count,) float32 in [-1, 1), elements start, start + 1, ... of the parameter `key`."""
    with np.errstate(over="ignore"):
        z = (np.uint64((zlib.crc32(key.encode()) ^ salt) << 32) + np.arange(start, start + count, dtype=np.uint64)
             + np.uint64(0x9E3779B97F4A7C15))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def _scale(key, shape, u):
    one, fifth = np.float32(1), np.float32(0.2)
    if key.endswith("layer_scale"):
        return np.float32(0.5) + fifth * u
    if key.endswith("reg_tokens"):
        return u * np.float32(math.sqrt(3))
    if key.endswith("gamma") or len(shape) == 1 and key.endswith("weight"):
        return one + fifth * u
    if len(shape) >= 2:
        return u * np.float32(math.sqrt(3 / (math.prod(shape) / shape[0])))
    return np.float32(0.1) * u


def find_data(path, named):
    """A file that a fixture names as "shared/…": in NEAR_SHARED, or beside a parent folder of the fixture."""
    roots = [Path(os.environ["NEAR_SHARED"])] if "NEAR_SHARED" in os.environ else []
    roots += [parent for parent in path.resolve().parents] + [Path(__file__).resolve().parents[4] / "shared"]
    relative = Path(named)
    for root in roots:
        for candidate in (root / relative, root / Path(*relative.parts[1:])):
            if candidate.is_file():
                return candidate
    raise NearError(f"The data file {relative.name} of the fixture was not found.",
                    "Set NEAR_SHARED to the folder that the fixture calls shared.")


def compare_spread(fixture, name, ours):
    """Compare with a tolerance relative to the spread of the reference, as the fixture states it."""
    words = fixture.config["tolerance"].split()
    relative = float(words[words.index("relative") + 1])
    stored = fixture[name]
    spread = float(stored.double().std())
    fixture.add(name, float((ours.double() - stored.double()).abs().max()) / max(spread, 1e-12), relative)


def compute_tokens(path, config, watch=None):
    """Tokens (1, T, C) of a full-size tokenizer; watch: dict that receives the intermediate features."""
    network, light_map = fill(hdri.Hdri_Encoder(**config["config"]), config["salt"]), read_light_map(path, config)
    if watch is not None:
        watch["light_map"] = light_map[0]
        pyramid, record = network.pyramid, watch
        network.pyramid = lambda x: record.setdefault("levels", pyramid(x))
    return network(light_map)


def read_light_map(path, config):
    """The tokenizer's input (1, 9, 512, 512) that a fixture names."""
    radiance = image.read(find_data(path, config["hdri"]))[..., :3]
    return conditioning.light_map(radiance, config["rot_deg"])[None]


def read_asset(path, config):
    """The voxels (N, 4) int32 and latent (N, 8) float32 that a fixture names."""
    with np.load(find_data(path, config["slat"]), allow_pickle=False) as slat:
        coords = np.pad(slat["coords"].astype(np.int32), ((0, 0), (1, 0)))
        return torch.from_numpy(coords), torch.from_numpy(slat["feats"])


def check_tokenizer(fixture):
    seen = {}
    tokens = compute_tokens(fixture.path, fixture.config, seen)[0]
    compare_spread(fixture, "out/context_sub8", seen["light_map"][:, ::8, ::8])
    for level, step in zip((2, 3, 4, 5), (16, 8, 4, 2)):
        compare_spread(fixture, f"out/c{level}_sub", seen["levels"][level - 2][0, ::8, ::step, ::step])
    compare_spread(fixture, "out/tokens_sub", tokens[::64])
    compare_spread(fixture, "out/tokens_mean_std", torch.stack([tokens.mean(), tokens.std()]))


def check_decoder_and_renderer(fixture, tokens):
    """tokens: the light tokens (1, T, C) that the fixture's reference used."""
    config = fixture.config
    coords, feats = read_asset(fixture.path, config)
    decoder = fill(iad.SLatGaussianDecoder(**config["decoder_config"]), config["salt"])
    h, registers = decoder(coords, feats)
    del decoder
    compare_spread(fixture, "out/h_sub", h[::64])
    compare_spread(fixture, "out/h_mean_std", torch.stack([h.mean(), h.std()]))
    compare_spread(fixture, "out/reg_first2", registers[0, :len(fixture["out/reg_first2"])])
    renderer = fill(lad.SLatGaussianRenderer(**config["renderer_config"]), config["salt"])
    gaussians, = renderer(coords, h, registers, tokens, fixture["in/extrinsics"][None])
    for name, value in gaussians.raw.items():
        compare_spread(fixture, f"out/{name}_sub", value[::1021])
        compare_spread(fixture, f"out/{name}_mean_std", torch.stack([value.mean(), value.std()]))
