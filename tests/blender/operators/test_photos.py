"""Several photos become one asset: the list of the dialog, the scene's image empties, what is refused."""

import math

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender import payload, photo_options
from near_blender.operators import photos


def save_egg(path, width=0.3, height=0.4, notch=False) -> str:
    """A shaded egg in the middle of a transparent picture. notch: without what is on the upper left."""
    y, x = (np.mgrid[:128, :128] - 63.5) / 128
    off = np.hypot(x / width, y / height)
    pixels = np.zeros((128, 128, 4), np.uint8)
    pixels[..., :3] = (np.array([180, 120, 60]) * np.clip(1.2 - 0.6 * off, 0, 1)[..., None]).astype(np.uint8)
    pixels[..., 3] = 255 * ((off < 1) & ~(notch & (x < -0.08) & (y < -0.08)))
    Image.fromarray(pixels).save(path)
    return str(path)


def row(path: str, view: str) -> dict[str, str]:
    """A row of the dialog, as Blender wants every field of it."""
    return {"name": "", "path": path, "view": view, "mask": "", "hints": "", "azimuth": 0.0, "elevation": 0.0,
            "found": ""}


@pytest.mark.parametrize("rotation, view", [
    ((90, 0, 0), "FRONT"), ((90, 0, 90), "RIGHT"), ((90, 0, 180), "BACK"), ((80, 0, -95), "LEFT"), ((0, 0, 30), "TOP"),
    ((180, 0, 0), "BOTTOM")])
def test_an_image_empty_says_from_where_it_is_seen(tmp_path, rotation, view):
    picture = bpy.data.images.load(save_egg(tmp_path / "egg.png"))
    empty = bpy.data.objects.new("Reference", None)
    empty.empty_display_type, empty.data = "IMAGE", picture
    empty.rotation_euler = [math.radians(angle) for angle in rotation]
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    assert photos.list_image_empties(bpy.context.scene) == [(picture.filepath, view)]


def test_photos_from_two_sides_become_an_asset(tmp_path):
    """One that is symmetric: what the front lacks on the left, it lacks on the right, too."""
    front, side = save_egg(tmp_path / "front.png", notch=True), save_egg(tmp_path / "side.png", width=0.2)
    chosen = [row(path, view) for path, view in ((front, "FRONT"), (side, "RIGHT"))]
    try:
        bpy.ops.near.create_asset_from_photos(photos=chosen, symmetry="ON")
    except RuntimeError as error:
        if "no trained photo networks" in str(error):
            pytest.skip("the photo networks are not trained yet")
        raise
    told = bpy.context.object.near.origin
    assert [photo.path for photo in told.photos] == [front, side] and told.symmetry == "ON"
    place = payload.decode_asset(bpy.context.object).surfels.position
    wide, deep, high = np.ptp(place, 0)
    assert bpy.context.object.name == "front" and high > wide > 1.2 * deep
    upper = place[place[:, 2] > 0.2, 0]
    assert -0.16 < upper.min() and upper.max() < 0.16 and np.ptp(place[:, 0]) > 0.5


@pytest.mark.slow
def test_a_view_that_is_not_known_is_found_when_it_is_made_again(tmp_path):
    front, side = save_egg(tmp_path / "front.png"), save_egg(tmp_path / "side.png", width=0.2)
    bpy.ops.near.create_asset_from_photos(photos=[row(front, "FRONT"), row(side, "RIGHT")])
    told = bpy.context.object.near.origin
    told.photos[1].view = "FIND"
    assert bpy.ops.near.remake_asset() == {"FINISHED"}
    assert [bool(photo.found) for photo in told.photos] == [False, True]
    assert len(bpy.data.objects) == 1 and "around" in photo_options.describe_found(told.photos[1])


def test_what_was_found_is_told_and_can_be_corrected():
    owner = bpy.data.objects.new("Owner", None)
    for view in ("FRONT", "FIND", "FIND"):
        owner.near.origin.photos.add().view = view
    told = owner.near.origin.photos
    for photo, angles in zip(told, [(3.0, 12.0), (88.0, 14.0), None]):
        photo_options.tell_found(photo, angles)
    assert [photo_options.describe_found(photo) for photo in told] == [
        "", "Found: 88\u00b0 around, 14\u00b0 up", "It was left out"]
    assert photo_options.take_photo(told[1]).azimuth is None, "to be found again, unless it is corrected"
    told[1].view = "ANGLES"
    assert photo_options.take_photo(told[1]).azimuth == pytest.approx(88)


@pytest.mark.parametrize("chosen, words", [
    ([], "No photo is chosen"),
    ([row("/nowhere/photo.png", "FRONT")], "There is no picture photo.png")])
def test_what_is_no_photo_is_named(chosen, words):
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.near.create_asset_from_photos(photos=chosen)
    assert not bpy.data.objects


def test_a_photo_that_must_be_converted_is_named(tmp_path):
    (tmp_path / "phone.heic").write_bytes(b"ftypheic")
    with pytest.raises(RuntimeError, match="phone.heic.*Export it as JPEG"):
        bpy.ops.near.create_asset_from_photos(photos=[row(str(tmp_path / "phone.heic"), "FIND")])


def test_a_row_says_from_where_its_photo_was_taken(tmp_path):
    owner = bpy.data.objects.new("Owner", None)
    made = owner.near.origin.photos.add()
    made.path, made.view = save_egg(tmp_path / "egg.png"), "ANGLES"
    made.azimuth, made.elevation = math.radians(-40), math.radians(25)
    shot = photo_options.take_photo(made)
    assert (shot.azimuth, shot.elevation) == pytest.approx((-40, 25)) and shot.mask is None
    made.view = "RIGHT"
    assert photo_options.take_photo(made).azimuth == 90 and photo_options.take_photo(made).elevation is None
    made.view = "FIND"
    assert photo_options.take_photo(made).azimuth is None


def test_a_meshs_shape_takes_the_colours_of_two_photos(tmp_path):
    front, back = save_egg(tmp_path / "front.png"), save_egg(tmp_path / "back.png")
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=16)
    bpy.context.object.scale = 0.6, 0.2, 0.8
    shape = bpy.context.object.name
    try:
        bpy.ops.near.create_asset_from_photos(photos=[row(front, "FRONT"), row(back, "BACK")], mesh_object=shape)
    except RuntimeError as error:
        if "no trained photo networks" in str(error):
            pytest.skip("the photo networks are not trained yet")
        raise
    made = payload.decode_asset(bpy.context.object).surfels
    assert np.ptp(made.position, 0) == pytest.approx([0.75, 0.25, 1], abs=0.03)
    red, _, blue = made.base_color[made.confidence > 0.7].mean(0)
    assert red > 2 * blue


def test_another_photo_has_nothing_drawn_on_it():
    told = bpy.data.objects.new("Owner", None).near.origin
    photo = told.photos.add()
    for each in (told, photo):
        each.path, each.hints = "/one.png", '{"number": 2}'
        assert photo_options.read_hints(each.hints).number == 2
    photo.found = "ANGLES"
    told.path = photo.path = "/other.png"
    assert told.hints == photo.hints == photo.found == ""
