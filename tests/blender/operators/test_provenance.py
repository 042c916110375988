"""What an asset remembers of its photos, under any name, and what it does not bring along."""

import bpy
import pytest

from near_blender import scratch
from near_blender.asset import photo_options
from near_blender.operators import provenance
from tests.blender.operators.test_scene_photos import add_camera


def test_an_image_is_remembered_under_any_name(tmp_path):
    owner, image = bpy.data.objects.new("Owner", None), bpy.data.images.new("Painted", 8, 8)
    bpy.context.scene.collection.objects.link(owner)
    told = owner.near.origin
    photo = told.photos.add()
    photo.picture = image.name
    photo.hints = '{"number": 2}'
    provenance.remember(owner, provenance.Origin.of_several(told.photos, told))
    image.name = "Front of it"
    assert photo_options.name_photo(told.photos[0]) == photo_options.name_photo(told) == "Front of it"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "renamed.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "renamed.blend"))
    told = bpy.data.objects["Owner"].near.origin
    assert told.photos[0].picture == "Front of it" and told.photos[0].hints
    told.photos[0].picture = "Front of it"
    assert told.photos[0].hints, "it is the same one"
    told.photos[0].picture = bpy.data.images.new("Another", 8, 8).name
    assert told.photos[0].hints == "" and photo_options.name_asset(told.photos[0]) == "Another"


@pytest.fixture
def remembered(tmp_path):
    """The file of an asset's object that was made of a painted image, by a camera that follows another object."""
    image, camera = bpy.data.images.new("Painted", 64, 64), add_camera("Tripod", (0, -4, 0), (0, 0, 0))
    camera.constraints.new("TRACK_TO").target = bpy.data.objects.new("Aim", None)
    bpy.ops.near.add_sample()
    ob = bpy.context.object
    ob.name = "Asset"
    photo = ob.near.origin.photos.add()
    photo.picture, photo.view, photo.camera = image.name, "CAMERA", camera.name
    provenance.remember(ob, provenance.Origin.of_several(ob.near.origin.photos, ob.near.origin))
    return tmp_path / "asset.blend"


def test_an_asset_brings_neither_its_photos_nor_their_cameras(remembered):
    """Into a file that has a camera of that name."""
    ob = bpy.data.objects["Asset"]
    assert photo_options.find_camera(ob.near.origin.photos[0]) == bpy.data.objects["Tripod"]
    bpy.data.libraries.write(str(remembered), {ob})
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    add_camera("Tripod", (0, -4, 0), (0, 0, 0))
    bpy.ops.wm.append(directory=str(remembered / "Object"), filename="Asset")
    assert {each.name for each in bpy.data.objects} == {"Asset", "Tripod"} and not bpy.data.images
    told = bpy.data.objects["Asset"].near.origin
    assert photo_options.find_camera(told.photos[0]) is None and told.photos[0].camera == "Tripod"
    with pytest.raises(RuntimeError, match="There is no image Painted"):
        with bpy.context.temp_override(object=bpy.data.objects["Asset"]):
            bpy.ops.near.remake_asset()


def test_an_asset_that_comes_with_its_photos_and_cameras_knows_them(remembered):
    bpy.data.objects["Tripod"].name, bpy.data.images["Painted"].name = "Stand", "Front"
    bpy.data.libraries.write(str(remembered), {bpy.data.objects["Asset"], bpy.data.objects["Stand"],
                                               bpy.data.images["Front"]})
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(remembered)) as (there, taken):
        taken.objects, taken.images = ["Asset", "Stand"], ["Front"]
    (photo,) = bpy.data.objects["Asset"].near.origin.photos
    assert (photo.picture, photo.camera) == ("Front", "Stand")


def test_the_second_blender_gets_no_photos(remembered):
    path, folder = scratch.write(bpy.context.scene, "scene")
    with folder, bpy.data.libraries.load(path) as (there, _):
        assert "Asset" in there.objects and there.images == []
