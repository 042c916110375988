"""Several photos become one asset: the list of the dialog, the scene's image empties, what is refused."""

import math
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender import log
from near_blender.asset import payload, photo_options
from near_blender.client import client, worker_process
from near_blender.operators import photos, provenance


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
    return {"name": "", "path": path, "image": "", "use": True, "view": view, "mask": "", "hints": "", "azimuth": 0.0,
            "elevation": 0.0, "orthographic": False, "reads_fov": True, "fov": 0.7, "found": "", "camera": "",
            "uid": 0, "camera_uid": 0}


def test_photos_from_two_sides_become_an_asset(tmp_path):
    """Files are listed with the views that they are named after, and what they become stands where it was dropped.
    It is symmetric: what the front lacks on the left, it lacks on the right, too."""
    names = ["egg_front.png", "EggRight.png"]
    front, side = save_egg(tmp_path / names[0], notch=True), save_egg(tmp_path / names[1], width=0.2)
    try:
        bpy.ops.near.create_asset_from_photos(directory=str(tmp_path), files=[{"name": name} for name in names],
                                              point=(1, 2, 0), size=2, symmetry="ON")
    except RuntimeError as error:
        if "no trained photo networks" in str(error):
            pytest.skip("the photo networks are not trained yet")
        raise
    ob = bpy.context.object
    told = ob.near.origin
    assert [(photo.path, photo.view) for photo in told.photos] == [(front, "FRONT"), (side, "RIGHT")]
    assert told.symmetry == "ON"
    assert tuple(ob.location)[:2] == pytest.approx((1, 2), abs=0.1) and max(ob.dimensions) == pytest.approx(2, rel=1e-3)
    place = payload.decode_asset(ob).surfels.position
    wide, deep, high = np.ptp(place, 0)
    assert ob.name == "egg_front" and high > wide > 1.2 * deep
    upper = place[place[:, 2] > 0.2, 0]
    assert -0.16 < upper.min() and upper.max() < 0.16 and np.ptp(place[:, 0]) > 0.5


@pytest.mark.slow
def test_an_asset_of_packed_photos_is_made_again_from_them(tmp_path):
    """In another session, where the files are gone, and of one more than before, whose view is found."""
    rows = []
    for name, view, width in (("front", "FRONT", 0.3), ("side", "RIGHT", 0.2), ("odd", "FIND", 0.1)):
        image = bpy.data.images.load(save_egg(tmp_path / f"{name}.png", width))
        image.pack()
        (tmp_path / f"{name}.png").unlink()
        rows.append(row("", view) | {"image": image.name, "use": name == "front"})
    bpy.ops.near.create_asset_from_photos(photos=rows)
    told = bpy.context.object.near.origin
    assert bpy.context.object.name == "front" and [photo.image for photo in told.photos] == [
        "front.png", "side.png", "odd.png"]
    assert not told.photos[2].use and told.photos[2].found == "", "kept, not used"
    told.photos[1].view, told.photos[1].use = "FIND", True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "packed.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "packed.blend"))
    assert bpy.ops.near.remake_asset() == {"FINISHED"}
    assert [photo.found for photo in bpy.context.object.near.origin.photos] == ["", "ANGLES", ""]


def test_the_list_has_room_for_another_photo_up_to_the_most(tmp_path):
    class Dialog:
        _have_room = photos.NEAR_OT_create_asset_from_photos._have_room
        check = photos.NEAR_OT_create_asset_from_photos.check
        clears = False
    dialog, path = Dialog(), save_egg(tmp_path / "egg.png")
    dialog.photos = bpy.data.objects.new("Owner", None).near.origin.photos
    dialog.check(bpy.context)
    assert [photo.view for photo in dialog.photos] == ["FRONT", "RIGHT", "BACK", "LEFT"]
    dialog.photos.clear()
    dialog.photos.add().view = "BACK"
    dialog.check(bpy.context)
    assert [photo.view for photo in dialog.photos] == ["BACK", "FRONT", "RIGHT", "LEFT"]
    dialog.photos[1].path = save_egg(tmp_path / "EggTop.png")
    assert dialog.photos[1].view == "TOP"
    for count in (5, 6):
        for photo in dialog.photos:
            photo.path = path
        dialog.check(bpy.context)
        assert len(dialog.photos) == count and dialog.photos[-1].view == "FIND" and not dialog.photos[-1].path
    while len(dialog.photos) < 24:
        dialog.photos.add()
    for photo in dialog.photos:
        photo.path = path
    dialog.check(bpy.context)
    assert len(dialog.photos) == 24
    dialog.clears = True
    dialog.check(bpy.context)
    assert len(dialog.photos) == 4 and not dialog.clears


def test_the_first_photo_that_is_used_is_the_assets_photo():
    told = bpy.data.objects.new("Owner", None).near.origin
    for name in ("odd", "front", "side"):
        told.photos.add().path = f"/{name}.png"
    told.photos[0].use = False
    origin = provenance.Origin.of_several(told.photos, told)
    assert origin.values["path"] == "/front.png" and len(origin.photos) == 3


def test_a_photo_whose_name_is_no_unicode_is_told_and_shown(tmp_path):
    path = save_egg(tmp_path / "caf\udce9.png")
    told = bpy.data.objects.new("Owner", None).near.origin.photos.add()
    told.path = path
    photos._find_thumbnail(told)
    log.add(path)
    assert log.get_text().endswith("caf?.png")
    with pytest.raises(RuntimeError, match=r"no picture \?.png"):
        bpy.ops.near.create_asset_from_image(filepath=str(tmp_path / "\udce9.png"))


def test_more_photos_than_the_most_are_named_at_once():
    with pytest.raises(RuntimeError, match="60 photos are more than .* Choose 24 of them at most"):
        bpy.ops.near.create_asset_from_photos(directory="/nowhere", files=[{"name": f"{n}.png"} for n in range(60)])


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
    assert photo_options.take_photo(told[1], Path()).azimuth is None, "to be found again, unless it is corrected"
    told[1].view = "ANGLES"
    assert photo_options.take_photo(told[1], Path()).azimuth == pytest.approx(88)


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
    path = Path(made.path)
    shot = photo_options.take_photo(made, path)
    assert (shot.azimuth, shot.elevation) == pytest.approx((-40, 25)) and shot.mask is None
    made.view = "RIGHT"
    shot = photo_options.take_photo(made, path)
    assert shot.azimuth == 90 and shot.elevation is None
    made.view = "FIND"
    assert photo_options.take_photo(made, path).azimuth is None


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


def test_too_many_files_open_no_dialog(tmp_path):
    said = []
    dialog = SimpleNamespace(files=[SimpleNamespace(name=f"{n}.png") for n in range(25)], directory=str(tmp_path),
                             report=lambda kind, words: said.append(words))
    operator = photos.NEAR_OT_create_asset_from_photos
    dialog._list_files = lambda: operator._list_files(dialog)
    assert operator.invoke(dialog, bpy.context, None) == {"CANCELLED"} and "25 photos are more than" in said[0]


def test_what_finds_the_object_is_remembered_of_several_photos(tmp_path):
    owner = bpy.data.objects.new("Owner", None)
    told = owner.near.origin
    told.photos.add().path = "/front.png"
    told.matting = "ISNET"
    provenance.remember(made := bpy.data.objects.new("Made", None), provenance.Origin.of_several(told.photos, told))
    assert made.near.origin.matting == "ISNET"
    assert photo_options.list_arguments(made.near.origin)["matting"] == "isnet"


@pytest.fixture
def rows():
    """Rows as the dialog has them."""
    scenes: Any = bpy.types.Scene
    scenes.rows_of_a_dialog = bpy.props.CollectionProperty(type=photo_options.NEAR_PG_photo)
    yield bpy.context.scene.rows_of_a_dialog
    bpy.context.scene.rows_of_a_dialog.clear()
    del scenes.rows_of_a_dialog


def open_dialog(rows, **known):
    """The dialog with these rows, and how wide it opened; there is no window."""
    operator, opened = photos.NEAR_OT_create_asset_from_photos, []
    manager = SimpleNamespace(invoke_props_dialog=lambda dialog, width, **_: opened.append(width) or {"RUNNING_MODAL"})
    dialog = SimpleNamespace(files=[], photos=rows, report=print, clears=False, **known)
    for name in ("_list_scene", "_drop_lost", "_have_room", "_keep", "check"):
        setattr(dialog, name, partial(getattr(operator, name), dialog))
    operator.invoke(dialog, SimpleNamespace(window_manager=manager, scene=bpy.context.scene), None)
    return dialog, opened[0]


def test_a_dialog_keeps_its_columns_while_it_is_open(tmp_path, rows):
    path = save_egg(tmp_path / "egg.png")
    for _ in range(5):
        rows.add().path = path
    dialog, width = open_dialog(rows)
    assert (width, dialog._columns) == (520, 1)
    for photo in dialog.photos:
        photo.path = path
    dialog.check(bpy.context)
    assert len(dialog.photos) == 7 and dialog._columns == 1 and open_dialog(rows)[1] == 860


def test_photos_of_the_last_time_that_are_gone_are_left_out(tmp_path, rows):
    path = save_egg(tmp_path / "egg.png")
    bpy.data.images.new("Painted", 8, 8)
    for kept in ({"path": path}, {"path": str(tmp_path / "gone.png")}, {"image": "Painted"}, {"image": "Gone"}):
        photo = rows.add()
        for name, value in kept.items():
            setattr(photo, name, value)
    assert [(photo.path, photo.image) for photo in open_dialog(rows)[0].photos if photo_options.is_there(photo)] == [
        (path, ""), ("", "Painted")]


@pytest.mark.parametrize("leave", ["execute", "cancel"])
def test_what_was_corrected_in_a_dialog_is_there_when_it_opens_again(rows, leave):
    """After one that failed, and one that was left."""
    told = bpy.data.objects.new("Owner", None).near.origin
    chosen = {name: getattr(told, name) for name in photo_options.ShapeOptions.__annotations__}
    dialog, _ = open_dialog(rows, **chosen | {"seed": 7}, refine=False, size=1.0,
                            placement="REPLACE")
    dialog.photos[1].path, dialog.photos[1].view = "/gone.png", "LEFT"
    getattr(photos.NEAR_OT_create_asset_from_photos, leave)(dialog, bpy.context)
    last = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    assert last.seed == 7 and [(photo.path, photo.view) for photo in last.photos][:2] == [
        ("", "FRONT"), ("/gone.png", "LEFT")]
    last.photos.clear()
    last.seed = 0


def test_angles_that_are_corrected_while_an_asset_is_made_stay():
    last = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    told = bpy.data.objects.new("Owner", None).near.origin.photos
    last.photos.clear()
    for owner, azimuth in ((told, 0.1), (last.photos, 0.2)):
        for path, view in (("/given.png", "ANGLES"), ("/found.png", "FIND")):
            photo = owner.add()
            photo.path, photo.view, photo.azimuth = path, view, azimuth
    told[1].found = "ANGLES"
    provenance._tell_dialog(told)
    assert [photo.azimuth for photo in last.photos] == pytest.approx([0.2, 0.1])
    assert [photo.found for photo in last.photos] == ["", "ANGLES"]
    last.photos.clear()


def test_each_drawing_of_a_sheet_is_told_from_where_it_was_found():
    last = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    told = bpy.data.objects.new("Owner", None).near.origin.photos
    last.photos.clear()
    for owner in (told, last.photos):
        for box in ("left", "right"):
            photo = owner.add()
            photo.path, photo.hints = "/sheet.png", box
    for photo, azimuth in zip(told, (0.1, 0.2)):
        photo.found, photo.azimuth = "ANGLES", azimuth
    provenance._tell_dialog(told)
    assert [photo.azimuth for photo in last.photos] == pytest.approx([0.1, 0.2])
    last.photos.clear()


def test_cameras_tell_the_size_where_the_model_asks_for_them(rows):
    photo = rows.add()
    photo.path, photo.view = "/photo.png", "CAMERA"
    assert photos.tell_size(rows)
    client.use_backend(worker_process.Backend(model={"checkpoint": "/published"}))
    try:
        assert not photos.tell_size(rows)
    finally:
        client.use_backend(worker_process.Backend())
    photo.use = False
    assert not photos.tell_size(rows)


def test_a_photo_that_is_edited_gets_a_new_thumbnail(tmp_path):
    photo = bpy.data.objects.new("Owner", None).near.origin.photos.add()
    photo.path = save_egg(tmp_path / "egg.png")
    counts = []
    for seconds in (1, 1, 2):
        os.utime(photo.path, (seconds, seconds))
        photos._find_thumbnail(photo)
        counts.append(len(photos._thumbnails))
    assert counts[0] == counts[1] == counts[2] - 1


def test_nothing_is_picked_where_no_dialog_is_open():
    photos._open = None
    with pytest.raises(RuntimeError, match="The list of photos is closed"):
        bpy.ops.near.pick_object(photo=0)
