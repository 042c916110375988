"""The skin in an asset's file."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from near_core import asset
from near_core.asset import Skin, SkinMaterial, near_file, textured_mesh
from near_core.asset import skin as skins
from near_core.errors import NearError
from near_core.mesh import texture
from tests.random_assets import some_asset


def square(**changes) -> Skin:
    """Two triangles with one map."""
    vertices = np.float32([[-0.4, 0, -0.4], [0.4, 0, -0.4], [0.4, 0, 0.4], [-0.4, 0, 0.4]])
    uv = np.ascontiguousarray(vertices[:, [0, 2]]) + np.float32(0.5)
    made = Skin(vertices, np.float32([[0, -1, 0]] * 4), uv, np.full((4, 4), 0.5, np.float32),
                np.int32([[0, 1, 2], [0, 2, 3]]), np.zeros(2, np.int32),
                (SkinMaterial((1, 1, 1, 1), 0.5, 0.25, 1.0, ("repeat", "clamp"), (0, -1, -1, -1)),), (b"a map",))
    return replace(made, **changes)


GLOWING = square().materials[0]
GLOWING = (GLOWING, replace(GLOWING, emission=(3000.5, 0.25, 0), emission_map=0))


@pytest.mark.parametrize("changes", [{}, {"normal": None, "color": None}, {"materials": GLOWING}])
def test_the_file_keeps_a_skin(changes):
    known = square(**changes)
    again = asset.from_bytes(asset.to_bytes(replace(some_asset(), skin=known))).skin
    assert np.abs(again.vertices - known.vertices).max() < 1e-5 and (again.faces == known.faces).all()
    assert again.materials == known.materials and again.pictures == known.pictures
    for name in ("normal", "color"):
        one, other = getattr(again, name), getattr(known, name)
        assert (one is None) == (other is None) and (one is None or np.abs(one - other).max() < 1e-3)


def test_a_file_without_a_skin_has_none():
    assert asset.from_bytes(asset.to_bytes(some_asset())).skin is None


@pytest.mark.parametrize(("name", "values"), [
    ("skin_face", np.int32([[0, 1, 4], [0, 2, 3]])), ("skin_face", np.zeros((2, 4), np.int32)),
    ("skin_face_material", np.ones(2, np.uint8)), ("skin_face_material", np.full(2, -2, np.int8)),
    ("skin_material_map", np.ones((1, 4), np.int16)),
    ("skin_uv", np.full((4, 2), np.nan, np.float32)), ("skin_material_wrap", np.full((1, 2), 3, np.uint8)),
    ("skin_color", np.full((4, 4), np.inf, np.float16)), ("skin_emission", np.full((1, 3), np.nan, np.float32)),
    ("skin_emission", np.full((1, 3), -1, np.float32)), ("skin_emission", np.full((1, 3), 2e6, np.float32)),
    ("skin_emission", np.zeros((2, 3), np.float32)), ("skin_emission_map", np.ones((1, 1), np.int16))])
def test_a_skin_that_does_not_fit_is_damage(name, values):
    tensors, metadata = near_file.unpack(asset.to_bytes(replace(some_asset(), skin=square())), "It")
    with pytest.raises(NearError, match="not a complete"):
        asset.from_bytes(near_file.pack(tensors | {name: values}, metadata))
    assert skins.read(tensors) is not None


@pytest.mark.parametrize("changes", [{}, {"normal": None, "color": None}])
def test_a_finer_skin_is_the_same_surface(changes):
    whole = square(**changes, material=np.int32([0, 1]))
    whole = replace(whole, faces=np.concatenate([whole.faces, np.int32([[0, 1, 1]])]), material=np.int32([0, 1, 1]))
    fine = skins.subdivide(whole, 0.11)
    points = fine.vertices[fine.faces]
    assert np.linalg.norm(points - np.roll(points, 1, 1), axis=2).max() <= 0.11
    cross = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    assert (cross[:, 1] <= 0).all(), "none is turned over"
    area = np.bincount(fine.material, np.linalg.norm(cross, axis=1) / 2)
    assert np.allclose(area, 0.32, atol=1e-6)
    edges = np.sort(np.stack([fine.faces, np.roll(fine.faces, -1, 1)], 2).reshape(-1, 2), 1)
    inner, count = np.unique(edges[edges[:, 0] != edges[:, 1]], axis=0, return_counts=True)
    outside = (np.abs(fine.vertices[inner]) > 0.4 - 1e-6).any(2).all(1)
    assert (count[~outside] == 2).all(), "no gaps where triangles meet"
    assert np.allclose(fine.uv, fine.vertices[:, [0, 2]] + 0.5)
    assert (fine.normal is None) == ("normal" in changes) and (fine.color is None) == ("color" in changes)


def test_a_skin_is_no_finer_than_there_is_room_for():
    assert len(skins.subdivide(square(), 0.001, most=100).faces) <= 100


def test_maps_fit_into_memory_together(tmp_path):
    """Of an even map some hundred bytes hold 64 MB; an asset may have any number of them."""
    def encode(side: int) -> bytes:
        kept = io.BytesIO()
        Image.new("RGB", (side, 16), (9, 9, 9)).save(kept, "WEBP", lossless=True)
        return kept.getvalue()

    assert [each.shape for each in skins.decode_pictures([encode(64)] * 2)] == [(16, 64, 4)] * 2
    for pictures, words in (([encode(5000)], "larger than"), ([encode(4096)] * 20, "The asset has textures of ")):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(NearError, match=words):
            patch.setattr(texture, "MAX_PIXELS", 2**18)
            textured_mesh.convert_skin(square(pictures=tuple(pictures)))
