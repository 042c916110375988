"""A folder of photos, one asset of each."""

import shutil

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender import api
from near_blender.asset import payload, photo_options
from near_blender.operators import origin, transfer


def test_a_folder_without_photos_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="There is no photo in"):
        bpy.ops.near.create_assets_from_folder(directory=str(tmp_path))
    with pytest.raises(RuntimeError, match="could not be read"):
        bpy.ops.near.create_assets_from_folder(directory=str(tmp_path / "gone"))
    with pytest.raises(RuntimeError, match="No folder was chosen"):
        bpy.ops.near.create_assets_from_folder()


@pytest.mark.slow
def test_a_folders_photo_becomes_what_it_becomes_alone(addon, tmp_path):
    """Its elevation is estimated, too, and what can be corrected of it is the same."""
    shutil.copy(transfer.SAMPLE.parent / "coffee.jpg", tmp_path)
    one, (other,) = api.create_from_image(tmp_path / "coffee.jpg"), api.create_from_folder(tmp_path)
    assert np.array_equal(payload.decode_asset(one).coords, payload.decode_asset(other).coords)
    for name in ("path", "frame", "home", *photo_options.NAMES):
        told, as_well = (getattr(ob.near.origin, name) for ob in (one, other))
        assert told == as_well or list(told) == list(as_well), name
    bpy.context.view_layer.objects.active = other
    assert bpy.ops.near.remake_asset.poll() and origin.find_origin(other) is not None


@pytest.mark.slow
def test_every_photo_becomes_an_asset_beside_the_last(addon, tmp_path):
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    for name, wide in (("a", 0.9), ("b", 0.5)):
        pixels = np.zeros((64, 64, 4), np.uint8)
        pixels[(x / wide) ** 2 + y * y < 0.7] = (200, 60, 40, 255)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    made = api.create_from_folder(tmp_path, size=0.5)
    assert sorted(ob.name for ob in made) == ["a", "b"]
    places = {ob.name: ob.location.x for ob in made}
    assert places["b"] - places["a"] == pytest.approx(0.625, abs=0.05)
    assert all(max(ob.dimensions) == pytest.approx(0.5, rel=1e-3) for ob in made)
