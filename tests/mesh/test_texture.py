"""near_core.mesh.texture: pictures decoded, averaged in linear light, looked up."""

import struct
import zlib

import numpy as np
import pytest

from near_core import mesh
from near_core.errors import NearError
from near_core.mesh import texture
from tests.gltf import TRIANGLE, gltf


def test_a_picture_bomb_is_refused(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    with pytest.raises(NearError, match="texture"):
        mesh.load(gltf(tmp_path / "a.gltf", {"POSITION": TRIANGLE}, material=material, images=(bomb,)))


def test_smaller_maps_hold_the_mean_of_the_light():
    picture = np.zeros((5, 8, 4), np.uint8)
    picture[:, ::2], picture[..., 3] = 255, 255  # white and black columns
    levels = texture.build_pyramid(texture.decode_color(picture))
    assert [level.shape[:2] for level in levels] == [(5, 8), (2, 4), (1, 2), (1, 1)]
    for level in levels[1:]:
        np.testing.assert_allclose(level[..., :3], 0.5, atol=1e-6)  # not the mean of the codes, which is darker


def test_transparent_pixels_do_not_bleed():
    color = texture.decode_color(np.uint8([[[255, 0, 0, 255], [0, 255, 0, 0]]]))
    np.testing.assert_allclose(texture.halve(color)[0, 0], [0.5, 0, 0, 0.5])


@pytest.mark.parametrize("wrap, at, expected", [
    ("repeat", 1.125, 0), ("repeat", -0.125, 3), ("mirror", 1.125, 3), ("mirror", -0.125, 0),
    ("clamp", 1.5, 3), ("clamp", -0.5, 0), ("repeat", 0.5, 1.5)])
def test_lookups_wrap(wrap, at, expected):
    row = np.arange(4, dtype=np.float32).reshape(1, 4, 1)
    found = texture.sample([row], np.float32([[at, 0.5]]), np.zeros(1), (wrap, "clamp"))
    assert found[0, 0] == pytest.approx(expected)


def test_the_top_row_is_v_one():
    column = np.float32([[[7.0]], [[9.0]]])
    found = texture.sample([column], np.float32([[0.5, 0.75], [0.5, 0.25]]), np.zeros(2), ("repeat", "repeat"))
    np.testing.assert_array_equal(found[:, 0], [7, 9])


def test_lookups_far_away_and_nowhere_find_something():
    levels = texture.build_pyramid(np.random.default_rng(0).random((4, 4, 1), np.float32))
    uv = mesh.Mesh(np.zeros((3, 3)), np.int32([[0, 1, 2]] * 2), np.float32([
        [[np.nan, 0.5], [np.inf, -np.inf], [1e38, -1e38]], [[0.5, 0.5]] * 3])).corner_uv.reshape(-1, 2)[:4]
    for wrap in ("repeat", "mirror", "clamp"):
        found = texture.sample(levels, uv, np.float32([0, np.nan, np.inf, -np.inf]), (wrap, wrap))
        assert (found >= 0).all() and (found <= 1).all()
