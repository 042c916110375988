"""An asset that was made from a photo can be made again, and seen as the photo saw it."""

from dataclasses import replace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from near_blender.asset import payload, photo_options
from near_blender.operators import origin, provenance, scene_photos, transfer
from near_blender.scene import sync
from near_core import asset as assets
from near_core.create.hints import Hints
from near_core.image import read_size
from near_core.scene import camera as cameras
from tests.blender.operators.test_scene_photos import add_camera, add_row, project, save_phone
from tests.machine import bound_by_rights

PHOTO = str(transfer.SAMPLE.parent / "coffee.jpg")


def test_an_asset_is_made_again_with_other_hints_and_seen_as_the_photo_saw_it():
    bpy.ops.near.create_asset_from_image(filepath=PHOTO, thickness="THIN", azimuth=0.3)
    ob = bpy.context.object
    told = ob.near.origin
    assert (told.path, told.thickness, told.azimuth) == (PHOTO, "THIN", pytest.approx(0.3)) and told.estimates_elevation
    before, name, count = payload.decode_asset(ob), ob.name, len(bpy.data.objects)
    ob.location, ob.scale = (1, 2, 3), (2, 2, 2)
    linked, single = ob.copy(), ob.copy()
    single.data, single.location, linked.location = ob.data.copy(), (0, 0, 0), (4, 0, 0)
    for each in (linked, single):
        bpy.context.scene.collection.objects.link(each)
    count += 2
    told.thickness = "FULL"
    assert bpy.ops.near.remake_asset() == {"FINISHED"}
    after = payload.decode_asset(ob)
    assert len(after.coords) != len(before.coords)
    assert (ob.name, tuple(ob.location), len(bpy.data.objects)) == (name, (1, 2, 3), count)
    assert len(ob.data.vertices) > 100 and ob.near.origin.thickness == "FULL"
    assert linked.data == ob.data and linked.near.asset == ob.near.asset and tuple(linked.location) == (4, 0, 0)
    assert linked.near.origin.thickness == "FULL"
    assert single.near.origin.thickness == "THIN" and payload.decode_asset(single) is before

    scene, photo = bpy.context.scene, cameras.from_json(after.camera)
    render = scene.render
    render.pixel_aspect_x = 2
    bpy.context.view_layer.update()
    assert bpy.ops.near.match_camera() == {"FINISHED"}
    bpy.context.view_layer.update()
    seen = sync.convert_camera(scene.camera.data, np.array(scene.camera.matrix_world), 2 * render.resolution_x,
                               render.resolution_y).resize(photo.width, photo.height)
    np.testing.assert_allclose(seen.intrinsics, photo.intrinsics, rtol=0.01)
    middle = np.array(ob.matrix_world)[:3, 3]
    np.testing.assert_allclose((seen.position - middle) / 2, photo.position, atol=1e-4)
    assert scene.camera.data.background_images[0].image.filepath == PHOTO


def test_what_knows_no_photo_says_so(near_file):
    assert not bpy.ops.near.match_camera.poll() and not bpy.ops.near.remake_asset.poll()
    bpy.ops.near.import_asset(filepath=near_file)
    assert origin.find_origin(bpy.context.object) is None and not bpy.ops.near.remake_asset.poll()
    with pytest.raises(RuntimeError, match="does not know from where"):
        bpy.ops.near.match_camera()


def test_a_camera_matches_where_the_photos_folder_is_shut(near_file, tmp_path):
    """Without the photo behind it; who makes it again is told why not."""
    bpy.ops.near.import_asset(filepath=near_file)
    ob = bpy.context.object
    asset = payload.decode_asset(ob)
    data = assets.to_bytes(replace(asset, camera=cameras.to_json(cameras.orbit(30, 20, 2, 40, 64, 48))))
    payload.attach(ob, data, ob.name)
    shut = tmp_path / "shut"
    shut.mkdir()
    ob.near.origin.path = str(shut / "a.png")
    shut.chmod(0)
    try:
        with bound_by_rights():
            assert bpy.ops.near.match_camera() == {"FINISHED"}
            with pytest.raises(RuntimeError, match=r"a\.png could not be read \(Permission denied\)"):
                bpy.ops.near.remake_asset()
    finally:
        shut.chmod(0o700)
    assert not bpy.context.scene.camera.data.background_images


def test_a_linked_asset_is_not_made_again(near_file, tmp_path):
    bpy.ops.near.import_asset(filepath=near_file)
    ob = bpy.context.object
    ob.near.origin.path = PHOTO
    assert bpy.ops.near.remake_asset.poll()
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {ob})
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (there, here):
        here.objects = list(there.objects)
    ob = next(each for each in here.objects if origin.find_origin(each))
    bpy.context.scene.collection.objects.link(ob)
    bpy.context.view_layer.objects.active = ob
    assert not bpy.ops.near.remake_asset.poll()
    override = ob.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = override
    assert bpy.ops.near.remake_asset.poll() and bpy.ops.near.match_camera.poll()
    override.override_library.is_system_override = True  # forgets it all when the file is opened
    assert not bpy.ops.near.remake_asset.poll() and bpy.ops.near.match_camera.poll()


def test_hints_are_kept_as_text():
    given = Hints((0.1, 0.2, 0.5, 0.75), np.float32([[0.25, 0.5, 0.125]]), number=2)
    kept = photo_options.read_hints(photo_options.write_hints(given))
    assert kept.box == given.box and (kept.inside == given.inside).all() and kept.number == 2 and not len(kept.outside)
    assert photo_options.write_hints(Hints()) == "" and photo_options.read_hints("") is None
    for damaged in ("{broken", "[1]", "[" * 9999, '{"number": Infinity}', '{"box": [NaN, 0, 1, 1]}', '{"box": 3}',
                    '{"inside": [[1, 2]]}', '{"inside": [[1, 2, NaN]]}', '{"inside": [[[]]]}', '{"number": []}'):
        assert photo_options.read_hints(damaged) is None, damaged


def test_a_linked_camera_is_left_alone(tmp_path):
    scene, path = bpy.context.scene, str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {bpy.data.objects.new("Theirs", bpy.data.cameras.new("Theirs"))})
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Theirs"]
    (scene.camera,) = wanted.objects
    origin.view_camera(scene, cameras.orbit(30, 20, 2.2, 35, 64, 64), np.eye(4))
    assert scene.camera.library is None and np.array_equal(wanted.objects[0].matrix_world, np.eye(4))


def put_on_dolly(camera) -> None:
    """Its parent's parent goes."""
    camera.parent, dolly = bpy.data.objects.new("Head", None), bpy.data.objects.new("Dolly", None)
    camera.parent.parent = dolly
    dolly.keyframe_insert("location")


def push_down(owner, name: str) -> None:
    """An animation in a strip."""
    owner.keyframe_insert(name)
    moves = owner.animation_data
    moves.nla_tracks.new().strips.new("Strip", 1, moves.action)
    moves.action = None


@pytest.mark.parametrize("moves", [
    lambda camera: camera.constraints.new("TRACK_TO"), lambda camera: camera.keyframe_insert("location"),
    lambda camera: camera.driver_add("location", 0), put_on_dolly, lambda camera: push_down(camera, "delta_location"),
    lambda camera: camera.data.keyframe_insert("lens"), lambda camera: camera.data.driver_add("shift_x")])
def test_a_camera_that_would_not_stay_is_left_alone(moves):
    """Another one matches."""
    scene = bpy.context.scene
    scene.camera = camera = bpy.data.objects.new("Moving", bpy.data.cameras.new("Moving"))
    moves(camera)
    view = cameras.orbit(0, 0, 2, 40, 64, 64)
    origin.view_camera(scene, view, np.eye(4))
    assert scene.camera != camera and tuple(camera.location) == (0, 0, 0)
    another = scene.camera
    origin.view_camera(scene, view, np.eye(4))
    assert scene.camera == another


def hang(camera) -> None:
    """It has a parent that stands still."""
    camera.parent = bpy.data.objects.new("Head", None)


@pytest.mark.parametrize("stays", [
    lambda camera: setattr(camera.constraints.new("TRACK_TO"), "mute", True), hang,
    lambda camera: camera.keyframe_insert("hide_render"), lambda camera: push_down(camera, "hide_render"),
    lambda camera: camera.data.keyframe_insert("clip_end")])
def test_a_camera_that_stays_matches(stays):
    scene = bpy.context.scene
    scene.camera = camera = bpy.data.objects.new("Still", bpy.data.cameras.new("Still"))
    stays(camera)
    origin.view_camera(scene, cameras.orbit(0, 0, 2, 40, 64, 64), np.eye(4))
    assert scene.camera == camera


@pytest.mark.parametrize("size", [0.01, 1.0, 150.0])
def test_nothing_of_an_asset_is_cut_off_whatever_its_size(size):
    """A ring is a centimetre wide; where the unit is a centimetre, a chair is a hundred."""
    scene = bpy.context.scene
    origin.view_camera(scene, cameras.orbit(30, 20, 2, 40, 64, 64), np.diag([size, size, size, 1]))
    lens, away = scene.camera.data, scene.camera.matrix_world.translation.length
    assert lens.clip_start < away - size and lens.clip_end > away + size
    assert (lens.clip_start, lens.clip_end) == pytest.approx((0.1, 1000)) or size != 1


@pytest.mark.parametrize("field", ["path", "picture"])
def test_a_photo_may_be_taken_out_to_choose_another(near_file, field):
    bpy.ops.near.import_asset(filepath=near_file)
    ob, image = bpy.context.object, bpy.data.images.new("Egg", 8, 8)
    told = {"path": ("Egg.png", None), "picture": ("", image)}[field]
    provenance.remember(ob, provenance.Origin.of(*told, ob.near.origin, {}))
    assert photo_options.name_photo(ob.near.origin) == {"path": "Egg.png", "picture": "Egg"}[field]
    setattr(ob.near.origin, field, "")
    assert origin.find_origin(ob) is not None
    with pytest.raises(RuntimeError, match="No photo is chosen"):
        bpy.ops.near.remake_asset()


def test_a_matting_that_is_no_more_is_the_usual_one():
    told = bpy.data.objects.new("Owner", None).near.origin
    told.matting = "ISNET"
    assert photo_options.list_arguments(told)["matting"] == "isnet"
    told["matting"] = 1  # as it was saved of rembg
    assert photo_options.list_arguments(told)["matting"] == "near"
    told.path = PHOTO
    provenance.remember(made := bpy.data.objects.new("Made", None), provenance.Origin.of(PHOTO, None, told, {}))
    assert made.near.origin.matting == "NEAR"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", [(60, 40), (40, 60), (160, 90), (90, 160)])
def test_match_camera_shows_a_photo_upright_and_as_wide_as_the_frame(tmp_path, frame, orientation):
    """As the camera that a photo behind it is taken by says."""
    path, scene, owner = tmp_path / "phone.jpg", bpy.context.scene, bpy.data.objects.new("Owner", None)
    owner.near.origin.path = save_phone(path, orientation)
    ob, point = add_camera("Match", (3, -4, 2), (1, 1, 0.5), sensor_fit="HORIZONTAL"), (0.4, 1.6, 0.1)
    scene.render.resolution_x, scene.render.resolution_y, scene.render.pixel_aspect_x = frame[0] // 2, frame[1], 2
    origin.show_behind(ob.data, owner.near.origin, scene.render)
    told = add_row(owner, str(path), ob)
    x, y, _ = world_to_camera_view(scene, ob, Vector(point))
    wide, high = read_size(path)
    expected = x * wide, high / 2 + (0.5 - y) * frame[1] * wide / frame[0]
    assert not scene_photos.is_mirrored(told, path)
    assert project(scene_photos.take_camera(told, path, scene), point) == pytest.approx(expected, abs=0.01)
