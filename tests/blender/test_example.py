"""The example scene: it holds no path, and any Blender with the add-on opens and draws it."""

import os
from pathlib import Path

import bpy
import pytest
import zstandard

from near_blender.asset import payload
from near_blender.lab import example
from near_blender.operators.transfer import SAMPLE
from tests.blender.stage import render


def test_it_opens_and_is_drawn_and_holds_no_path(tmp_path):
    if not SAMPLE.is_file():
        pytest.skip("the sample is made by build.py")
    path = tmp_path / "example.blend"
    example.build(path)
    data = zstandard.decompress(path.read_bytes())
    assert path.stat().st_size < 4e6
    for place in (tmp_path, example.ROOT, Path.home()):
        assert os.fsencode(place) + b"\0" not in data and os.fsencode(place) + b"/" not in data, place
    bpy.ops.wm.open_mainfile(filepath=str(path))
    scene = bpy.context.scene
    assert bpy.utils.blend_paths() == [] and scene.render.filepath.startswith("//")
    kegs = [ob for ob in scene.objects if payload.find_payload(ob) is not None]
    assert len(kegs) == 2 and len({ob.near.asset for ob in kegs}) == 1
    turns = []
    for frame in (1, 1 + example.FRAMES // 4):
        scene.frame_set(frame)
        turns.append(scene.camera.matrix_world.translation.copy())
    assert turns[0].y < -1 and turns[1].x > 1 and abs(turns[0].length - turns[1].length) < 1e-3
    scene.frame_set(1)
    scene.render.resolution_percentage = 5
    picture = render(scene, tmp_path)["Combined"]
    assert picture[..., 3].min() > 0.99 and picture[..., :3].std() > 0.05
