"""Assets in and out of files, as a script calls the operators."""

import bpy
import numpy as np
import pytest

from near_blender import log
from near_blender.asset import payload
from near_blender.operators import transfer
from near_core import asset as assets


def test_import_places_the_asset_at_the_cursor_selected_and_active(near_file, ball, cube):
    bpy.context.scene.cursor.location = (1, 2, 3)
    assert bpy.ops.near.import_asset(filepath=near_file) == {"FINISHED"}
    ob = bpy.context.object
    assert ob.name == "Ball" and tuple(ob.location) == (1, 2, 3) and bpy.context.selected_objects == [ob]
    assert payload.read_bytes(ob.near.asset) == assets.to_bytes(ball)
    assert ob.dimensions.x == pytest.approx(0.9 * ball.extent, rel=0.01)


def test_import_takes_several_files_and_goes_on_after_a_bad_one(near_file, tmp_path):
    (tmp_path / "bad.near").write_bytes(b"nothing")
    files = [{"name": "bad.near"}, {"name": "ball.near"}, {"name": "ball.near"}]
    with pytest.raises(RuntimeError, match="bad.near is not a complete .near file"):
        bpy.ops.near.import_asset(directory=str(tmp_path), files=files)
    one, other = bpy.data.objects
    assert other.location.x > one.location.x + one.dimensions.x and set(bpy.context.selected_objects) == {one, other}


def test_import_reads_the_published_latents(tmp_path):
    path = tmp_path / "latent.npz"
    np.savez(path, coords=np.argwhere(np.ones((4, 4, 4))) + 30, feats=np.zeros((64, 8), np.float32))
    assert bpy.ops.near.import_asset(filepath=str(path)) == {"FINISHED"}
    assert payload.decode_asset(bpy.context.object).model == "near"


@pytest.mark.parametrize("name, content", [
    ("missing.near", None), ("empty.near", b""), ("text.near", b"hello" * 100), ("picture.png", b"x"),
    ("pickle.npz", b"\x80\x04."), ("huge.near", b"\xff" * 16)])
def test_import_of_bad_files_says_what_to_do_and_changes_nothing(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=name) as caught:
        bpy.ops.near.import_asset(filepath=str(tmp_path / name))
    assert caught.value.args[0].count(". ") >= 1 and "Traceback" not in caught.value.args[0]
    assert not bpy.data.objects and not bpy.data.meshes


def test_a_truncated_file_is_refused_at_any_length(near_file, tmp_path, ball):
    data = assets.to_bytes(ball)
    for length in np.linspace(0, len(data) - 1, 7).astype(int):
        (tmp_path / "cut.near").write_bytes(data[:length])
        with pytest.raises(RuntimeError, match="cut.near"):
            bpy.ops.near.import_asset(filepath=str(tmp_path / "cut.near"))


def test_export_writes_the_same_file(near_file, tmp_path, ball):
    bpy.ops.near.import_asset(filepath=near_file)
    assert bpy.ops.near.export_asset(filepath=str(tmp_path / "out")) == {"FINISHED"}
    assert (tmp_path / "out.near").read_bytes() == assets.to_bytes(ball)


def test_export_into_a_folder_that_is_not_there(near_file, tmp_path):
    bpy.ops.near.import_asset(filepath=near_file)
    with pytest.raises(RuntimeError, match="could not be written"):
        bpy.ops.near.export_asset(filepath=str(tmp_path / "none" / "out.near"))


def test_export_is_grey_without_an_asset(cube):
    assert not bpy.ops.near.export_asset.poll()


def test_one_undo_step_takes_the_asset_away(near_file, cube):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.near.import_asset("EXEC_DEFAULT", True, filepath=near_file)
    assert len(bpy.data.objects) == 2
    bpy.ops.ed.undo()
    assert [ob.name for ob in bpy.data.objects] == ["Cube"]
    bpy.ops.ed.redo()
    assert payload.read_bytes(bpy.data.objects["Ball"].near.asset)


def test_the_sample(ball, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "SAMPLE", tmp_path / "sample.near")
    assert not bpy.ops.near.add_sample.poll()
    assets.save(ball, tmp_path / "sample.near")
    bpy.context.scene.cursor.location = (1, 2, 3)
    assert bpy.ops.near.add_sample() == {"FINISHED"} and bpy.context.object.name == "Ball"
    lowest = min(vertex.co.z for vertex in bpy.context.object.data.vertices) * bpy.context.object.scale.z
    assert bpy.context.object.location.z + lowest == pytest.approx(3, abs=1e-4), "it stands there"
    assert bpy.context.object.dimensions.x == pytest.approx(0.9 * ball.extent, rel=0.01)


def test_a_bug_is_told_in_words(near_file, monkeypatch):
    def fail(*_):
        raise ValueError("no such thing")

    monkeypatch.setattr(transfer, "place_asset", fail)
    with pytest.raises(RuntimeError) as told:
        bpy.ops.near.import_asset(filepath=near_file)
    assert "NeAR failed (ValueError: no such thing)." in str(told.value) and "Traceback" not in str(told.value)
    assert "in fail" in log.get_text()
