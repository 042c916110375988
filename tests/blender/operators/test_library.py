"""Assets in the Asset Browser."""

from dataclasses import replace

import bpy
import numpy as np
import stage

from near_blender.asset import payload
from near_blender.operators import library
from near_core import asset as assets


def get_preview(ob) -> np.ndarray:
    width, height = ob.preview.image_size
    return np.array(ob.preview.image_pixels_float[:], np.float32).reshape(height, width, 4)


def test_marking_offers_an_asset_with_a_preview_of_ours(addon, ball, tmp_path):
    ob = stage.add_asset(ball)
    assert not bpy.ops.near.mark_asset.poll()
    ob.select_set(True)
    before = get_preview(ob)
    bpy.ops.near.mark_asset()
    after = get_preview(ob)
    assert ob.asset_data is not None and after.shape == (256, 256, 4) != before.shape
    assert after[128, 128, 0] > 1.5 * after[128, 128, 1] and after[128, 128, 3] > 0.99, "the ball's red front"
    assert after[0, 0, 3] == 0
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), assets_only=True) as (there, here):
        assert there.objects == ["Asset"]
        here.objects = there.objects
    assert payload.decode_asset(here.objects[0]).hash == ball.hash
    assert np.abs(get_preview(here.objects[0]) - after).max() < 0.01


def test_the_preview_of_an_asset_that_is_made_again_meanwhile_is_the_new_one(addon, ball):
    ob = stage.add_asset(ball)
    library._begin(ob)
    [(_, job)] = library._drawing.values()
    job.wait()
    green = replace(ball, surfels=replace(ball.surfels, base_color=ball.surfels.base_color[:, [1, 0, 2]]))
    payload.attach(ob, assets.to_bytes(green), "Green")
    while library._show() is not None:
        for _, job in library._drawing.values():
            job.wait()
    seen = get_preview(ob)
    assert seen.shape == (256, 256, 4) and seen[128, 128, 1] > 1.5 * seen[128, 128, 0]
