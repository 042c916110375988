"""near_core.image.hdr: Radiance files, against Blender's reading."""

import numpy as np
import pytest

from near_core import image
from tests.pictures import radiance, write_hdr


@pytest.mark.parametrize("compressed", [False, True])
def test_hdr(tmp_path, compressed):
    picture = np.repeat(radiance(16, 40, 3), 2, axis=1)
    write_hdr(tmp_path / "a.hdr", picture, compressed)
    read = image.read(tmp_path / "a.hdr")
    assert read.shape == picture.shape
    assert np.all(np.abs(read - picture) <= picture.max(-1, keepdims=True) / 127)


def test_hdr_equals_blenders_reading(tmp_path):
    bpy = pytest.importorskip("bpy")
    write_hdr(tmp_path / "a.hdr", radiance(16, 40, 3), True)
    datablock = bpy.data.images.load(str(tmp_path / "a.hdr"))
    pixels = np.empty(16 * 40 * 4, np.float32)
    datablock.pixels.foreach_get(pixels)
    bpy.data.images.remove(datablock)
    assert np.array_equal(image.read(tmp_path / "a.hdr"), pixels.reshape(16, 40, 4)[::-1, :, :3])
