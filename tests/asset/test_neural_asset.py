"""An asset and its file: what it holds returns, what is wrong is refused."""

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from near_core import asset as assets
from near_core.asset import near_file, neural_asset
from near_core.errors import NearError
from near_core.mesh import BRIGHTEST
from tests.asset.test_near_file import write_by_hand
from tests.random_assets import some_asset


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


def make_glow(count: int) -> np.ndarray:
    """Emission of every fifth surfel."""
    emission = np.zeros((count, 3), np.float32)
    emission[3::5] = np.random.default_rng(0).gamma(0.3, 900, (len(emission[3::5]), 3))
    return emission


def test_what_glows_returns_and_costs_nothing_elsewhere():
    asset = some_asset()
    emission = make_glow(len(asset.surfels))
    data = assets.to_bytes(replace(asset, surfels=replace(asset.surfels, emission=emission)))
    np.testing.assert_array_equal(assets.from_bytes(data).surfels.emission, emission)
    brighter = assets.to_bytes(replace(asset, surfels=replace(asset.surfels, emission=emission * 1e4)))
    np.testing.assert_array_equal(assets.from_bytes(brighter).surfels.emission, np.minimum(emission * 1e4, BRIGHTEST))
    tensors, metadata = near_file.unpack(data, "It")
    plain = {name: values for name, values in tensors.items() if name not in ("surfel_glow", "surfel_emission")}
    assert near_file.pack(plain, metadata) == assets.to_bytes(asset), "readers that know no emission see the rest"
    later = near_file.pack(tensors | {"surfel_sheen": np.ones(9, np.float32), "curve": np.uint8([[1], [2]])},
                           metadata | {"sheen": "velvet"})
    np.testing.assert_array_equal(assets.from_bytes(later).surfels.emission, emission)
    dark = replace(asset, surfels=replace(asset.surfels, emission=0 * emission))
    assert assets.to_bytes(dark) == assets.to_bytes(asset) and assets.from_bytes(assets.to_bytes(dark)
                                                                                 ).surfels.emission is None


@pytest.mark.parametrize(("name", "values"), [
    ("surfel_glow", np.int32([3, 3])), ("surfel_glow", np.int32([4, 500])), ("surfel_glow", np.int32([-1, 3])),
    ("surfel_glow", np.int32([])), ("surfel_glow", np.uint8([1, 2])), ("surfel_glow", np.int32([[1], [2]])),
    ("surfel_emission", np.ones((3, 3), np.float32)), ("surfel_emission", np.full((2, 3), np.nan, np.float32)),
    ("surfel_emission", np.full((2, 3), -1, np.float32)), ("surfel_emission", np.full((2, 3), 2e6, np.float32))])
def test_emission_that_does_not_fit_is_damage(name, values):
    tensors, metadata = near_file.unpack(assets.to_bytes(some_asset()), "It")
    tensors |= {"surfel_glow": np.int32([3, 7]), "surfel_emission": np.ones((2, 3), np.float32)}
    assert assets.from_bytes(near_file.pack(tensors, metadata)).surfels.emission.sum() == 6
    with pytest.raises(NearError, match="not a complete"):
        assets.from_bytes(near_file.pack(tensors | {name: values}, metadata))


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
    data = assets.to_bytes(some_asset())
    header = struct.pack("<Q", 1 << 60) + data[8:]
    huge = data.replace(b'"shape":[500,3]', b'"shape":[500,9]')
    for broken in (b"", b"junk", data[:100], data[:-1], header, huge, b"\0" * 4096):
        assert broken != data
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


@pytest.mark.parametrize("camera", ["[" * 100_000, "{", "[1]", "7"])
def test_a_damaged_camera_is_damage(camera):
    tensors, metadata = near_file.unpack(assets.to_bytes(some_asset()), "It")
    with pytest.raises(NearError, match="not a complete"):
        assets.from_bytes(near_file.pack(tensors, metadata | {"camera": camera}))


def test_the_photos_camera_is_kept():
    taken = {"fov_x_deg": 35.0, "resolution": [40, 30]}
    assert assets.from_bytes(assets.to_bytes(replace(some_asset(), camera=taken))).camera == taken


def test_published_latents_are_read(shared):
    path = sorted((shared / "data/near_examples/slats").glob("*.npz"))[0]
    asset = assets.load(path)
    assert asset.model == "near" and asset.slat.shape[1] in (8, 24) and asset.coords.max() < 64


class Trap:
    """Whoever opens it leaves a trace."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["coords", "feats"])
def test_pickles_are_never_opened(tmp_path, name):
    arrays = {"coords": np.zeros((1, 3), np.int32), "feats": np.zeros((1, 8), np.float32)}
    np.savez(tmp_path / "evil.npz", **arrays | {name: np.array([Trap(tmp_path / "trace")])})
    with pytest.raises(NearError):
        assets.load(tmp_path / "evil.npz")
    assert not (tmp_path / "trace").exists()


def test_an_array_whose_header_python_cannot_parse_is_damage(tmp_path):
    text = b"-" * 9000 + b"1"
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("coords.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text)
    with pytest.raises(NearError, match="not a published latent"):
        assets.load(tmp_path / "a.npz")


def test_files_of_other_writers_read_alike():
    data = assets.to_bytes(some_asset(name="Old", extent=2.0))
    tensors, metadata = near_file.unpack(data, "It")
    old = write_by_hand(dict(reversed(tensors.items())), metadata)
    one, other = assets.from_bytes(data), assets.from_bytes(old)
    assert other.hash == assets.hash_bytes(old) != one.hash
    assert assets.to_bytes(other) == assets.to_bytes(one) and (other.name, other.extent) == ("Old", 2.0)
    np.testing.assert_array_equal(other.surfels.position, one.surfels.position)


@pytest.mark.parametrize("version", [1, 2])
def test_files_of_earlier_versions_read_as_they_did(version):
    """What the programs wrote that had these versions of the format, and the numbers that they read."""
    old = assets.load(Path(__file__).parent / "files" / f"version-{version}.near")
    assert (old.name, old.source, old.extent, old.model) == ("Stuhl, \u6905\u5b50", "chair.glb", 2.5, "near-mini")
    assert old.coords.sum() == 3937 and old.thumbnail.sum() == 2016 and len(old.texels) == len(old.surfels) == 40
    found = [old.material.sum(dtype=float), old.slat.sum(dtype=float), old.surfels.area.sum(),
             *old.surfels.position.mean(0), *old.surfels.normal.mean(0), *old.surfels.base_color.mean(0),
             old.surfels.roughness.mean(), old.surfels.confidence.mean(), *old.texels.position.mean(0)]
    np.testing.assert_allclose(found, [
        156.887413, -24.040310, 27.908203, 0.012372, 0.056102, -0.004748, -0.112894, -0.007731, 0.233292, 0.513876,
        0.567640, 0.544737, 0.490980, 0.512059, 0.012372, 0.056102, -0.004748], atol=2e-6)
    if version == 1:
        assert old.skin is None and old.camera is None
    else:
        np.testing.assert_allclose(old.skin.vertices.max(0), [0.3, 0.3, 0], atol=1e-5)
        assert old.skin.materials[0].wrap == ("repeat", "mirror") and old.camera["fov_x_deg"] == 40


@pytest.mark.parametrize("name, values", [
    ("coords", np.full((500, 3), 64, np.uint8)), ("material", np.full((500, 8), np.nan, np.float16)),
    ("slat", np.zeros((3, 16), np.float16)), ("surfel_area", np.full(500, np.inf, np.float16)),
    ("surfel_normal", np.zeros((500, 3), np.int16)), ("texel_count", np.ones(500, np.uint8)),
    ("thumbnail", np.zeros((4, 4, 3), np.uint8)), ("thumbnail", np.zeros((0, 4, 4), np.uint8)),
    ("thumbnail", np.zeros((1, 5000, 4), np.uint8))])
def test_tensors_that_do_not_fit_are_refused(name, values):
    tensors, metadata = near_file.unpack(assets.to_bytes(some_asset()), "It")
    with pytest.raises(NearError, match="not a complete"):
        assets.from_bytes(near_file.pack(tensors | {name: values}, metadata))


def test_normals_of_voxels_point_outward():
    grid = np.stack(np.meshgrid(*[np.arange(64)] * 3, indexing="ij"), -1).reshape(-1, 3)
    away = grid - 31.5
    ball, distance = np.linalg.norm(away, axis=1) < 20, np.linalg.norm(away, axis=1)
    normal = neural_asset.estimate_voxel_normals(grid[ball])[distance[ball] > 19]
    outward = (away / distance[:, None])[ball][distance[ball] > 19]
    assert (normal * outward).sum(1).min() > 0.9


def test_more_surface_in_a_cell_than_a_file_holds_opens_again():
    """As of a mesh whose triangles lie upon each other thousands of times."""
    surfels = some_asset().surfels
    area = surfels.area * 1e6
    texels = assets.Texels(np.arange(len(surfels), dtype=np.int32), surfels.position, surfels.position, area)
    heavy = replace(some_asset(texels=texels), surfels=replace(surfels, area=area))
    read = assets.from_bytes(assets.to_bytes(heavy))
    assert read.surfels.area.max() == read.texels.area.max() == 65504
