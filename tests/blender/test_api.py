"""`import near`, and the examples of its page."""

import importlib
import re
import sys
from pathlib import Path

import bpy
import pytest
import stage

from near_blender import api
from near_core import asset as assets
from near_core.errors import NearError

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_examples_run():
    stage.make_stage()
    said: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), said)
    assert Path(bpy.context.scene.render.filepath).stat().st_size > 100


def test_the_name_is_not_taken_before_it_is_asked_for(addon):
    import near
    assert near.add_sample and not hasattr(near, "__file__"), "Blender warns of files of extensions at the top level"
    addon.unregister()
    with pytest.raises(ImportError):
        importlib.import_module("near")
    addon.register()
    assert "near" not in sys.modules and importlib.import_module("near").__doc__ == near.__doc__


def test_files_and_looks(ball, tmp_path):
    import near
    assets.save(ball, tmp_path / "ball.near")
    bpy.context.scene.cursor.location = (1, 2, 3)
    ob = near.add(tmp_path / "ball.near")
    lowest = min(vertex.co.z for vertex in ob.data.vertices) * ob.scale.z
    assert ob.location.z + lowest == pytest.approx(3, abs=1e-4), "it stands there, as by the menu"
    assert tuple(ob.location)[:2] == pytest.approx((1, 2), abs=0.05) and ob.scale[0] == pytest.approx(1, rel=1e-3)
    assert near.list_assets(bpy.context.scene) == [ob]
    near.set_look(ob, opacity=0.5)
    assert ob.near.look.opacity == 0.5
    with pytest.raises(NearError, match="no shine"):
        near.set_look(ob, shine=1)
    with pytest.raises(NearError, match="could not be read"):
        near.add(tmp_path / "missing.near")


def test_several_photos_are_told_in_few_words():
    import near
    assert api._fill_row({"path": "/a/mug_back.png"})["view"] == "BACK"
    assert api._fill_row({"path": "/a/mug_back.png", "view": "LEFT"})["view"] == "LEFT"
    assert api._fill_row({"path": Path("/a/mug_back.png"), "view": "left"})["view"] == "LEFT"
    assert api._fill_row({"image": "mug_back.png"})["view"] == "BACK"
    assert api._fill_row({"path": "/a/mug_back.png", "azimuth": 1.0})["view"] == "ANGLES"
    told = api._fill_row({"path": "/a/mug_back.png", "camera": "Tripod", "fov": 0.5})
    assert (told["view"], told["camera"], told["reads_fov"], told["fov"]) == ("CAMERA", "Tripod", False, 0.5)
    gone = Path("/nowhere/b.png")
    for one in (str(gone), gone, {"path": gone, "mask": gone}):
        with pytest.raises(RuntimeError, match="There is no picture b.png"):
            near.create_from_photos(one)
    with pytest.raises(RuntimeError, match="There is no picture a_front.png"):  # so Blender took every field of the row
        near.create_from_photos(["/nowhere/a_front.png", {"path": "/nowhere/b.png", "mask": ""}])
    with pytest.raises(NearError, match="A photo has no side"):
        near.create_from_photos([{"path": "/nowhere/a.png", "side": "LEFT"}])
