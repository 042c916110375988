"""Octants of voxels, neighbours, and the asset's file."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from near_core import asset as assets
from near_core.asset import CELL, NeuralAsset, Surfels
from near_core.asset import octants as latent
from near_core.directions import decode_octahedral, encode_octahedral
from near_core.errors import NearError


def some_surfels(count: int = 500, seed: int = 0) -> Surfels:
    rng = np.random.default_rng(seed)
    unit = lambda v: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)  # noqa: E731
    normal = unit(rng.standard_normal((count, 3)))
    scalar = lambda: rng.uniform(0, 1, count).astype(np.float32)  # noqa: E731
    return Surfels(rng.uniform(-0.4, 0.4, (count, 3)).astype(np.float32), normal, normal,
                   rng.uniform(0, 1, (count, 3)).astype(np.float32), scalar(), scalar(), scalar() + 0.2, scalar(),
                   scalar())


def some_asset(**options) -> NeuralAsset:
    surfels = some_surfels()
    coords = np.unique(((surfels.position + 0.5) * 64).astype(np.uint8), axis=0)
    rng = np.random.default_rng(1)
    return NeuralAsset(coords, rng.uniform(0, 1, (len(coords), 8)).astype(np.float16),
                       rng.standard_normal((len(coords), 16)).astype(np.float16), surfels, **options)


def test_octahedral_codes_return_the_normal():
    n = some_surfels(5000).normal
    np.testing.assert_allclose(decode_octahedral(encode_octahedral(n)), n, atol=1e-6)


def test_neighbours_are_mutual():
    coords = some_asset().coords
    around = latent.neighbours(coords)
    assert (around[:, 13] == np.arange(len(coords))).all()
    for k in (0, 5, 12):
        i = np.flatnonzero(around[:, k] < len(coords))
        assert len(i)
        assert (around[around[i, k], 26 - k] == i).all()
        step = coords[around[i, k]].astype(int) - coords[i]
        assert (step == [k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1]).all()


def test_octants_hold_what_the_surfels_say_and_give_them_back():
    asset = some_asset()
    octants = latent.octants(asset.surfels, asset.coords)
    assert 0.9 * len(asset.surfels) < octants[..., 0].sum() <= len(asset.surfels)
    back = latent.surfels_of_octants(asset.coords, octants[..., 0], octants[..., 1:], np.ones(len(asset.coords)))
    nearest = np.abs(back.position[:, None] - asset.surfels.position[None]).max(-1)
    match = nearest.argmin(1)
    assert nearest.min(1).max() < 1e-5
    single = np.abs(nearest - nearest.min(1, keepdims=True) < 1e-6).sum(1) == 1
    np.testing.assert_allclose(back.normal[single], asset.surfels.shading_normal[match[single]], atol=1e-5)


def test_an_asset_returns_from_its_file(tmp_path):
    asset = some_asset(name="Some thing", source="/secret/folder/photo.png", extent=2.5, model="near-mini",
                       thumbnail=np.arange(64, dtype=np.uint8).reshape(4, 4, 4))
    assets.save(asset, tmp_path / "a.near")
    back = assets.load(tmp_path / "a.near")
    assert b"secret" not in (tmp_path / "a.near").read_bytes()
    assert (back.name, back.source, back.extent, back.model) == ("Some thing", "photo.png", 2.5, "near-mini")
    for key in ("coords", "material", "slat", "thumbnail"):
        np.testing.assert_array_equal(getattr(back, key), getattr(asset, key))
    np.testing.assert_allclose(back.surfels.position, asset.surfels.position, atol=1e-5)
    np.testing.assert_allclose(back.surfels.normal, asset.surfels.normal, atol=1e-4)
    data = (tmp_path / "a.near").read_bytes()
    assert back.hash == asset.hash == assets.hash_bytes(data), "an asset goes by the name of its bytes"
    assert replace(back, name="Other").hash not in (back.hash, asset.hash)


def test_the_file_is_a_safetensors_container(tmp_path):
    numpy_reader = pytest.importorskip("safetensors.numpy")
    asset = some_asset()
    tensors = numpy_reader.load(assets.to_bytes(asset))
    np.testing.assert_array_equal(tensors["coords"], asset.coords)
    assert tensors["surfel_position"].shape == (500, 3)


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
    data = assets.to_bytes(some_asset())
    header = struct.pack("<Q", 1 << 60) + data[8:]
    huge = data.replace(b'"shape": [500, 3]', b'"shape": [500, 9]')
    for broken in (b"", b"junk", data[:100], data[:-1], header, huge, b"\0" * 4096):
        with pytest.raises(NearError) as caught:
            assets.from_bytes(broken)
        assert caught.value.what and caught.value.fix
    rng = np.random.default_rng(0)
    for _ in range(200):  # bits flipped in the header never do worse
        bytes_ = bytearray(data)
        for at in rng.integers(0, 1200, 3):
            bytes_[at] ^= 1 << rng.integers(8)
        try:
            assets.from_bytes(bytes(bytes_))
        except NearError:
            pass


def test_published_latents_are_read(shared):
    path = sorted((shared / "data/near_examples/slats").glob("*.npz"))[0]
    asset = assets.load(path)
    assert asset.model == "near" and asset.slat.shape[1] in (8, 24) and asset.coords.max() < 64


def test_pickles_are_never_opened(tmp_path):
    np.savez(tmp_path / "evil.npz", feats=np.array([{"a": 1}], dtype=object), coords=np.zeros((1, 3)))
    with pytest.raises(NearError):
        assets.load(tmp_path / "evil.npz")


def test_surfels_cells_are_half_a_voxel():
    assert CELL * 128 == 1
