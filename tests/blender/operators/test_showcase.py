"""Turntable and light sweep: that every picture is there and the scene is as it was."""

import bpy
import numpy as np
import pytest

from near_blender.operators.showcase import name_files
from near_core import image
from tests.blender import stage
from tests.machine import bound_by_rights


@pytest.fixture
def scene(ball):
    """The ball of conftest, red in front and green behind."""
    scene = stage.make_stage(32, 24)
    stage.set_color(scene.world, (0.6, 0.6, 0.6))
    ob = stage.add_asset(ball)
    bpy.context.view_layer.objects.active = ob
    return scene


def test_a_turntable_goes_around(scene, tmp_path):
    camera, ball = scene.camera, bpy.context.object
    camera.rotation_euler = 0, 0, 0
    track = camera.constraints.new("TRACK_TO")
    track.target, track.track_axis, track.up_axis = ball, "TRACK_NEGATIVE_Z", "UP_Y"
    bpy.context.view_layer.update()
    before, path = scene.camera.matrix_world.copy(), scene.render.filepath
    assert bpy.ops.near.render_turntable(directory=str(tmp_path / "turn"), frames=4) == {"FINISHED"}
    pictures = [image.read(tmp_path / "turn" / f"turntable_{k:04}.png") for k in range(4)]
    assert pictures[0][12, 16, 0] > pictures[0][12, 16, 1] and pictures[2][12, 16, 1] > pictures[2][12, 16, 0]
    assert image.read(tmp_path / "turn" / "turntable_sheet.png").shape[:2] == (24, 32 * 6)
    bpy.context.view_layer.update()
    assert np.allclose(scene.camera.matrix_world, before) and scene.render.filepath == path
    assert tuple(camera.rotation_euler) == (0, 0, 0) and not track.mute, "its own place stays, too"
    with pytest.raises(RuntimeError, match="has no folder yet"):
        bpy.ops.near.render_turntable(frames=4)
    assert [each.name for each in bpy.data.scenes] == [scene.name]
    movie = tmp_path / "turn" / "turntable.mp4"
    assert not bpy.app.build_options.codec_ffmpeg or movie.stat().st_size > 1000


@pytest.mark.parametrize("rights", [0, 0o500])
def test_a_folder_that_may_not_be_written_to_is_said(scene, tmp_path, rights):
    bpy.context.view_layer.update()
    before = scene.camera.matrix_world.copy(), scene.render.filepath
    tmp_path.chmod(rights)
    try:
        with bound_by_rights():
            for directory in (tmp_path, tmp_path / "deeper"):
                with pytest.raises(RuntimeError, match="Permission denied|cannot save") as said:
                    bpy.ops.near.render_turntable(directory=str(directory), frames=2)
                assert "NeAR failed" not in str(said.value)
    finally:
        tmp_path.chmod(0o700)
    bpy.context.view_layer.update()
    assert before == (scene.camera.matrix_world, scene.render.filepath)
    assert not list(tmp_path.iterdir())


def test_an_artists_format_and_stereo_stay(scene, tmp_path):
    stage.set_format(scene, "OPEN_EXR", "32")
    scene.render.use_multiview = True
    bpy.ops.near.render_turntable(directory=str(tmp_path), frames=2, movie=False)
    settings = scene.render.image_settings
    assert (settings.file_format, settings.color_depth, scene.render.use_multiview) == ("OPEN_EXR", "32", True)
    assert (tmp_path / "turntable_0001.png").is_file()


def test_the_sheet_of_other_pictures_goes(scene, tmp_path):
    sheet = tmp_path / "turntable_sheet.png"
    sheet.write_bytes(b"of others")
    with pytest.raises(RuntimeError):
        scene.camera.data.type = "PANO"
        bpy.ops.near.render_turntable(directory=str(tmp_path), frames=2)
    assert not sheet.is_file()


def test_a_sweep_has_every_world_and_camera(scene, tmp_path):
    dark = bpy.data.worlds.new("Dark")
    dark.use_nodes = True
    stage.set_color(dark, (0.01, 0.01, 0.01))
    own, camera = scene.world, scene.camera
    other = camera.copy()
    scene.collection.objects.link(other)
    stage.turn_around(other, 180)
    assert bpy.ops.near.render_light_sweep(directory=str(tmp_path / "sweep")) == {"FINISHED"}
    assert len(list((tmp_path / "sweep").glob("*.png"))) == 5
    sheet = image.read(tmp_path / "sweep" / "light_sweep_sheet.png")
    assert sheet.shape[:2] == (48, 64) and sheet[:24, ..., :3].mean() < 0.2 * sheet[24:, ..., :3].mean()
    assert scene.world == own and scene.camera == camera
    scene.camera = None
    assert not bpy.ops.near.render_turntable.poll()


def test_no_two_stills_have_one_file():
    assert name_files(["a/b", "a:b", "A b", "c"]) == ["a_b", "a_b_2", "A_b_3", "c"]
