"""Images behind cameras are offered as photos that these took."""

from types import SimpleNamespace

import bpy

from near_blender.operators import photos, scene_photos
from tests.blender.operators.test_photos import save_egg
from tests.blender.operators.test_scene_photos import add_camera, add_empty, show_behind


def test_images_behind_cameras_are_offered_with_these(tmp_path):
    """But not what Match Camera shows: an asset was made from that."""
    path, other = save_egg(tmp_path / "egg.png"), save_egg(tmp_path / "other.png")
    show_behind(add_camera("Tripod", (0, -4, 0), (0, 0, 0)), path)
    show_behind(add_camera("Match", (0, -4, 0), (0, 0, 0)), other)
    show_behind(add_camera("Panorama", (0, -4, 0), (0, 0, 0), type="PANO"), other)
    assert scene_photos.list_backgrounds(bpy.context.scene) == [((path, ""), "Tripod"), ((other, ""), "Match")]
    bpy.ops.near.add_sample()
    bpy.context.object.near.origin.path = other
    assert scene_photos.list_backgrounds(bpy.context.scene) == [((path, ""), "Tripod")]
    add_empty(bpy.data.images["egg.png"])
    dialog = SimpleNamespace(
        photos=bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos").photos)
    dialog.photos.clear()
    photos.NEAR_OT_create_asset_from_photos._list_scene(dialog, bpy.context.scene)
    assert [(photo.path, photo.view, photo.camera) for photo in dialog.photos] == [(path, "CAMERA", "Tripod")]
    dialog.photos.clear()


def test_of_a_sequence_behind_a_camera_other_frames_are_offered(tmp_path):
    """An asset was made of the first one, another of the second."""
    files, scene = [save_egg(tmp_path / f"walk_{number}.png") for number in (1, 2, 3)], bpy.context.scene
    ob = add_camera("Solved", (3, -4, 2), (1, 1, 0.5))
    show_behind(ob, files[0])
    behind = ob.data.background_images[0]
    behind.image.source = "SEQUENCE"
    behind.image_user.frame_start, behind.image_user.frame_duration = 1, 3
    for count in (1, 2):
        bpy.ops.near.add_sample()
        bpy.context.object.near.origin.path = files[count - 1]
        for frame in (1, 2, 3):
            scene.frame_set(frame)
            assert scene_photos.list_backgrounds(scene) == [((files[frame - 1], ""), "Solved")] * (frame > count)
