"""What a photo's options name is found, whatever it is called by now."""

from types import SimpleNamespace

import bpy

from near_blender.asset import photo_options
from near_blender.operators import photos
from tests.blender.operators.test_photos import save_egg
from tests.blender.operators.test_scene_photos import add_camera


def test_an_image_of_an_older_file_is_found_by_its_name():
    photo = bpy.data.objects.new("Owner", None).near.origin.photos.add()
    photo.image = "Painted"
    assert photo_options.find_image(photo) is None and photo_options.name_photo(photo) == "Painted"
    image = bpy.data.images.new("Painted", 8, 8)
    assert photo_options.find_image(photo) == image


def test_the_dialog_knows_an_image_that_has_another_name(tmp_path):
    last = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    last.photos.clear()
    image = bpy.data.images.new("Painted", 8, 8)
    photo = last.photos.add()
    photo.image, photo.hints = image.name, '{"number": 2}'
    image.name = "Front of it"
    photos.NEAR_OT_create_asset_from_photos._drop_lost(SimpleNamespace(photos=last.photos))
    assert [(each.image, each.hints) for each in last.photos] == [("Front of it", '{"number": 2}')]
    photo.image, photo.path = "", save_egg(tmp_path / "egg.png")  # a file in its place
    photos.NEAR_OT_create_asset_from_photos._drop_lost(SimpleNamespace(photos=last.photos))
    assert [each.image for each in last.photos] == [""]
    last.photos.clear()


def test_the_dialog_knows_a_camera_that_has_another_name(tmp_path):
    """Another one has its name by now."""
    last = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    last.photos.clear()
    ob = add_camera("Tripod", (3, -4, 2), (1, 1, 0.5))
    photo = last.photos.add()
    photo.path, photo.view, photo.camera = save_egg(tmp_path / "egg.png"), "CAMERA", ob.name
    ob.name = "Left of it"
    add_camera("Tripod", (3, -4, 2), (1, 1, 0.5))
    photos.NEAR_OT_create_asset_from_photos._drop_lost(SimpleNamespace(photos=last.photos))
    assert [each.camera for each in last.photos] == ["Left of it"]
    ob.name = "Tripod on the left"
    photos.NEAR_OT_create_asset_from_photos._drop_lost(SimpleNamespace(photos=last.photos))
    assert photo_options.find_camera(last.photos[0]) == ob
    last.photos.clear()
