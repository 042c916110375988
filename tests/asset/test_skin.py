"""The skin in an asset's file."""

from dataclasses import replace

import numpy as np
import pytest

from near_core import asset
from near_core.asset import Skin, SkinMaterial, near_file
from near_core.asset import skin as skins
from near_core.errors import NearError
from tests.random_assets import some_asset


def square(**changes) -> Skin:
    """Two triangles with one map."""
    vertices = np.float32([[-0.4, 0, -0.4], [0.4, 0, -0.4], [0.4, 0, 0.4], [-0.4, 0, 0.4]])
    uv = np.ascontiguousarray(vertices[:, [0, 2]]) + np.float32(0.5)
    made = Skin(vertices, np.float32([[0, -1, 0]] * 4), uv, np.full((4, 4), 0.5, np.float32),
                np.int32([[0, 1, 2], [0, 2, 3]]), np.zeros(2, np.int32),
                (SkinMaterial((1, 1, 1, 1), 0.5, 0.25, 1.0, ("repeat", "clamp"), (0, -1, -1, -1)),), (b"a map",))
    return replace(made, **changes)


@pytest.mark.parametrize("changes", [{}, {"normal": None, "color": None}])
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
    ("skin_face_material", np.ones(2, np.uint8)), ("skin_material_map", np.ones((1, 4), np.int16)),
    ("skin_uv", np.full((4, 2), np.nan, np.float32)), ("skin_material_wrap", np.full((1, 2), 3, np.uint8))])
def test_a_skin_that_does_not_fit_is_damage(name, values):
    tensors, metadata = near_file.unpack(asset.to_bytes(replace(some_asset(), skin=square())), "It")
    with pytest.raises(NearError, match="not a complete"):
        asset.from_bytes(near_file.pack(tensors | {name: values}, metadata))
    assert skins.read(tensors) is not None
