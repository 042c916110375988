"""What a scene holds of an object's photos: what is offered, and what its cameras see."""

import math
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
from PIL import Image

from near_blender.asset import payload
from near_blender.operators import origin, photos, scene_photos
from near_core.create.shot import ORTHOGRAPHIC
from near_core.errors import NearError
from near_core.image import read_size
from tests.blender.operators.test_photos import row, save_egg
from tests.create.test_alignment import BALLS, outline


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
    assert scene_photos.list_image_empties(bpy.context.scene) == [((picture.filepath, ""), view, False)]
    empty.show_empty_image_perspective = False  # it is a drawing for orthographic views
    assert scene_photos.list_image_empties(bpy.context.scene) == [((picture.filepath, ""), view, True)]


def add_empty(picture) -> None:
    empty = bpy.data.objects.new("Reference", None)
    empty.empty_display_type, empty.data = "IMAGE", picture
    bpy.context.scene.collection.objects.link(empty)


def test_image_empties_of_what_is_in_no_file_are_offered_too(tmp_path):
    """Packed, painted and sequences; movies are none."""
    packed = bpy.data.images.load(save_egg(tmp_path / "egg.png"))
    packed.pack()
    painted = bpy.data.images.new("Painted", 8, 8)
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    movie = bpy.data.images.load(str(tmp_path / "clip.mp4"))
    movie.source = "MOVIE"
    for picture in (packed, painted, movie):
        add_empty(picture)
    assert scene_photos.list_image_empties(bpy.context.scene) == [
        (("", "egg.png"), "TOP", False), (("", "Painted"), "TOP", False)]


def add_camera(name: str, place, at, **lens) -> bpy.types.Object:
    """A camera of the scene that looks at a place."""
    data = bpy.data.cameras.new(name)
    for key, value in lens.items():
        setattr(data, key, value)
    ob = bpy.data.objects.new(name, data)
    ob.location = place
    ob.rotation_euler = (Vector(at) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(ob)
    bpy.context.view_layer.update()
    return ob


def add_row(owner, path: str, camera, **known):
    photo = owner.near.origin.photos.add()
    photo.path, photo.view, photo.camera = path, "CAMERA", camera.name if camera else ""
    for key, value in known.items():
        setattr(photo, key, value)
    return photo


def show_behind(camera, path: str, method: str = "FIT") -> None:
    behind = camera.data.background_images.new()
    behind.image, behind.frame_method = bpy.data.images.load(path, check_existing=True), method


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
@pytest.mark.parametrize("lens", [
    {"lens": 35}, {"lens": 50, "sensor_fit": "VERTICAL", "shift_x": 0.1, "shift_y": -0.2},
    {"type": "ORTHO", "ortho_scale": 4, "shift_x": 0.1}])
def test_a_camera_sees_in_its_photo_what_blender_sees(tmp_path, size, lens):
    """By Blender's own projection, in a render as wide and high as the photo."""
    Image.new("RGB", size).save(tmp_path / "photo.png")
    ob = add_camera("Tripod", (3, -4, 2), (1, 1, 0.5), **lens)
    told = add_row(bpy.data.objects.new("Owner", None), str(tmp_path / "photo.png"), ob)
    scene = bpy.context.scene
    camera = scene_photos.take_camera(told, tmp_path / "photo.png", scene)
    scene.render.resolution_x, scene.render.resolution_y = size
    for point in ((1, 1, 0.5), (0.4, 1.6, 0.1), (1.8, 0.2, 1.1)):
        x, y, _ = world_to_camera_view(scene, ob, Vector(point))
        assert project(camera, point) == pytest.approx((x * size[0], (1 - y) * size[1]), abs=0.01)


def project(camera, point) -> np.ndarray:
    """Where a camera of photos sees a point of the world, pixels."""
    seen = (camera.world_to_camera @ [*point, 1])[:3]
    seen[2] = 1 if camera.orthographic else seen[2]
    return (camera.intrinsics @ seen)[:2] / seen[2]


@pytest.mark.parametrize("method, scale, wide, high", [
    ("STRETCH", 1, 160, 90), ("FIT", 1, 90, 90), ("CROP", 1, 160, 160), ("FIT", 2, 180, 180)])
def test_a_photo_behind_a_camera_is_seen_where_blender_shows_it(tmp_path, method, scale, wide, high):
    """A square one in a frame of 160 x 90: in the middle, and as large as Blender's manual says."""
    Image.new("RGB", (90, 90)).save(tmp_path / "square.png")
    scene, ob = bpy.context.scene, add_camera("Tripod", (3, -4, 2), (1, 1, 0.5))
    scene.render.resolution_x, scene.render.resolution_y = 160, 90
    show_behind(ob, str(tmp_path / "square.png"), method)
    ob.data.background_images[0].scale = scale
    told = add_row(bpy.data.objects.new("Owner", None), str(tmp_path / "square.png"), ob)
    camera = scene_photos.take_camera(told, tmp_path / "square.png", scene)
    x, y, _ = world_to_camera_view(scene, ob, Vector((0.4, 1.6, 0.1)))
    shown = 45 + (x - 0.5) * 160 * 90 / wide, 45 + (0.5 - y) * 90 * 90 / high
    assert project(camera, (0.4, 1.6, 0.1)) == pytest.approx(shown, abs=0.01)
    ob.data.background_images[0].scale = 0
    assert np.isfinite(scene_photos.take_camera(told, tmp_path / "square.png", scene).intrinsics).all()


@pytest.mark.parametrize("lens", [{}, {"type": "ORTHO", "ortho_scale": 4}])
@pytest.mark.parametrize("settings, place", [
    ({"offset": (0.25, 0)}, lambda x, y: (x - 40, y)), ({"offset": (0, 0.25)}, lambda x, y: (x, y + 22.5)),
    ({"rotation": math.pi / 2}, lambda x, y: (y + 35, 125 - x)),
    ({"use_flip_x": True, "use_flip_y": True}, lambda x, y: (160 - x, 90 - y)),
    ({"use_flip_x": True}, lambda x, y: (x, y)), ({"use_flip_y": True}, lambda x, y: (160 - x, 90 - y))])
def test_a_photo_that_is_moved_turned_or_flipped_behind_a_camera_is_followed(tmp_path, settings, place, lens):
    """One as large as the frame, 160 x 90, whose offset along Y Blender counts in its height; a photo
    that is flipped along one axis is seen as its mirror image. In a window: tests/gui/test_behind.py."""
    Image.new("RGB", (160, 90)).save(tmp_path / "wide.png")
    scene, ob = bpy.context.scene, add_camera("Tripod", (3, -4, 2), (1, 1, 0.5), **lens)
    scene.render.resolution_x, scene.render.resolution_y = 160, 90
    show_behind(ob, str(tmp_path / "wide.png"))
    told = add_row(bpy.data.objects.new("Owner", None), str(tmp_path / "wide.png"), ob)
    before = project(scene_photos.take_camera(told, tmp_path / "wide.png", scene), (0.4, 1.6, 0.1))
    for name, value in settings.items():
        setattr(ob.data.background_images[0], name, value)
    after = project(scene_photos.take_camera(told, tmp_path / "wide.png", scene), (0.4, 1.6, 0.1))
    assert after == pytest.approx(place(*before), abs=0.01)
    flips = [settings.get(f"use_flip_{axis}", False) for axis in "xy"]
    assert scene_photos.is_mirrored(told, tmp_path / "wide.png") == (sum(flips) == 1)
    assert photos.take_shots([told], scene)[0].mirrored == (sum(flips) == 1)


def test_a_photo_seen_in_a_mirror_stays_so_where_its_camera_is_matched(tmp_path):
    path, owner = save_egg(tmp_path / "egg.png"), bpy.data.objects.new("Owner", None)
    tripod, another = (add_camera(name, (0, -4, 0), (0, 0, 0)) for name in ("Tripod", "Another"))
    told, owner.near.origin.path = add_row(owner, path, tripod), path
    show_behind(tripod, path)
    tripod.data.background_images[0].use_flip_x = True
    for camera in (another, tripod):
        origin.show_behind(camera.data, owner.near.origin, bpy.context.scene.render)
        assert camera.data.background_images[0].use_flip_x
        assert scene_photos.is_mirrored(told, tmp_path / "egg.png")
    tripod.data.background_images[0].use_flip_x = False
    origin.show_behind(another.data, owner.near.origin, bpy.context.scene.render)
    assert not another.data.background_images[0].use_flip_x


def test_a_camera_has_its_own_lens(tmp_path):
    """Whatever was said of the photo before its view was a camera."""
    path, owner = save_egg(tmp_path / "egg.png"), bpy.data.objects.new("Owner", None)
    told = add_row(owner, path, add_camera("Tripod", (0, -4, 0), (0, 0, 0)), orthographic=True, reads_fov=False)
    assert photos.take_shots([told], bpy.context.scene)[0].fov is None
    told.view = "FRONT"
    assert photos.take_shots([told], bpy.context.scene)[0].fov == ORTHOGRAPHIC

def save_phone(path, orientation: int) -> str:
    """A photo of 60 x 40 pixels as it is stored, with what the phone says of how it is held."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    return str(path)


def test_a_photo_that_lies_on_its_side_is_measured_upright(tmp_path):
    save_phone(tmp_path / "phone.jpg", 6)
    assert read_size(tmp_path / "phone.jpg") == (40, 60)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("orientation, place", [
    (6, lambda x, y: (40 - y, x)), (3, lambda x, y: (60 - x, 40 - y)), (8, lambda x, y: (y, 60 - x)),
    (2, lambda x, y: (60 - x, y)), (4, lambda x, y: (x, 40 - y)), (5, lambda x, y: (y, x)),
    (7, lambda x, y: (40 - y, 60 - x))])
def test_a_photo_that_lies_on_its_side_behind_a_camera_is_seen_upright(tmp_path, orientation, place, flip):
    """Blender shows it as it is stored. What is seen of the mirror image is that of the upright one."""
    scene, ob = bpy.context.scene, add_camera("Tripod", (3, -4, 2), (1, 1, 0.5))
    found = []
    for name, held in (("stored", 1), ("phone", orientation)):
        path = tmp_path / f"{name}.jpg"
        show_behind(ob, save_phone(path, held))
        behind = ob.data.background_images[-1]
        behind.rotation, behind.offset, behind.use_flip_x = 0.3, (0.1, 0.2), flip
        assert tuple(behind.image.size) == (60, 40)
        told = add_row(bpy.data.objects.new("Owner", None), str(path), ob)
        camera = scene_photos.take_camera(told, path, scene)
        x, y = project(camera, (0.4, 1.6, 0.1))
        found.append((camera.width - x if scene_photos.is_mirrored(told, path) else x, y))
    assert found[1] == pytest.approx(place(*found[0]), abs=0.01)


def test_what_is_no_camera_is_named(tmp_path):
    path, scene, owner = save_egg(tmp_path / "egg.png"), bpy.context.scene, bpy.data.objects.new("Owner", None)
    with pytest.raises(NearError, match="egg.png has no camera"):
        scene_photos.take_camera(add_row(owner, path, None), tmp_path / "egg.png", scene)
    panorama = add_camera("Panorama", (0, -4, 0), (0, 0, 0), type="PANO")
    with pytest.raises(NearError, match="Panorama takes no photos"):
        scene_photos.take_camera(add_row(owner, path, panorama), tmp_path / "egg.png", scene)
    with pytest.raises(RuntimeError, match="egg.png has no camera"):
        bpy.ops.near.create_asset_from_photos(photos=[row(path, "CAMERA") | {"camera": "Nobody"}])


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


@pytest.mark.parametrize("uses_active", [False, True])
def test_the_frame_of_a_tracked_clip_is_offered_with_its_camera(tmp_path, uses_active):
    files, scene = [save_egg(tmp_path / f"shot_{number:04}.png") for number in (9, 10, 11)], bpy.context.scene
    ob = add_camera("Solved", (3, -4, 2), (1, 1, 0.5))
    clip, behind = bpy.data.movieclips.load(files[0]), ob.data.background_images.new()
    behind.source, behind.clip, clip.frame_start = "MOVIE_CLIP", None if uses_active else clip, 5
    behind.use_camera_clip, scene.active_clip = uses_active, clip if uses_active else None
    offered = []
    for frame in (4, 5, 6, 7, 8):
        scene.frame_set(frame)
        offered.append(scene_photos.list_backgrounds(scene))
    assert offered == [[], *([((path, ""), "Solved")] for path in files), []]
    clip.filepath = still = save_egg(tmp_path / "still.png")  # in a folder whose name ends in a number
    assert scene_photos.list_backgrounds(scene) == [((still, ""), "Solved")]
    clip.filepath = files[0]
    scene.frame_set(6)
    told = add_row(bpy.data.objects.new("Owner", None), files[1], ob)
    behind.use_flip_x = True
    assert scene_photos.is_mirrored(told, files[1])
    wide = scene_photos.take_camera(told, files[1], scene).intrinsics[0, 0]
    behind.scale = 2
    assert scene_photos.take_camera(told, files[1], scene).intrinsics[0, 0] == pytest.approx(wide / 2)
    bpy.ops.near.add_sample()
    bpy.context.object.near.origin.path = files[1]
    assert scene_photos.list_backgrounds(scene) == []


MIDDLE, SIZE = np.array([4.0, 2.0, 1.5]), 0.6  # of balls among cameras


def photograph(tmp_path, turns) -> list[dict]:
    """Rows of photos of balls that cameras of the scene take from around them."""
    rows, balls = [], np.c_[BALLS[:, :3] * SIZE + MIDDLE, BALLS[:, 3] * SIZE]
    for turn in turns:
        angle = math.radians(turn)
        ob = add_camera(f"From {turn}", MIDDLE + (2.5 * math.sin(angle), -2.5 * math.cos(angle), 0.5),
                        MIDDLE + (0.1, 0, 0.05), lens=60)
        path = tmp_path / f"{turn}.png"
        Image.new("RGB", (240, 200)).save(path)
        told = add_row(bpy.data.objects.new("Owner", None), str(path), ob)
        Image.fromarray(outline(scene_photos.take_camera(told, path, bpy.context.scene), balls)).save(path)
        rows.append(row(str(path), "CAMERA") | {"camera": ob.name})
    return rows


def list_corners(ob) -> np.ndarray:
    """Lowest and highest corner, world."""
    bpy.context.view_layer.update()
    places = np.array([ob.matrix_world @ vertex.co for vertex in ob.data.vertices])
    return np.array([places.min(0), places.max(0)])


TRUE = np.array([(BALLS[:, :3] - BALLS[:, 3:]).min(0), (BALLS[:, :3] + BALLS[:, 3:]).max(0)]) * SIZE + MIDDLE


def test_an_asset_stands_where_cameras_saw_it(tmp_path):
    """As large as it is, wherever the 3D cursor stands; made again, it stays where an artist has moved it, and so do
    its duplicates, also those of before cameras saw it."""
    bpy.context.scene.cursor.location = (0, 0, 0)
    bpy.ops.near.create_asset_from_photos(photos=photograph(tmp_path, (0, 90)))
    ob = bpy.context.object
    assert list_corners(ob) == pytest.approx(TRUE, abs=0.03)
    told = ob.near.origin
    assert [photo.camera for photo in told.photos] == ["From 0", "From 90"]
    bpy.data.objects["From 90"].name = "Renamed"
    ob.location.z += 1
    duplicates = ob.copy(), ob.copy()
    for each, x in zip(duplicates, (5, 9)):
        bpy.context.scene.collection.objects.link(each)
        each.location.x += x
    duplicates[1].near.origin.frame = (0,) * 4
    assert bpy.ops.near.remake_asset() == {"FINISHED"}
    for each, x in zip((ob, *duplicates), (0, 5, 9)):
        assert list_corners(each) == pytest.approx(TRUE + [x, 0, 1], abs=0.04)
    assert told.photos[1].camera == "Renamed"


def test_one_camera_tells_all_but_how_far_away_the_object_is(tmp_path):
    """That says the 3D cursor."""
    (told,) = photograph(tmp_path, (0,))
    bpy.context.scene.cursor.location = MIDDLE
    bpy.ops.near.create_asset_from_photos(photos=[told])
    assert list_corners(bpy.context.object)[:, [0, 2]] == pytest.approx(TRUE[:, [0, 2]], abs=0.05)


@pytest.mark.slow
def test_orthographic_cameras_say_it_as_well(tmp_path, monkeypatch):
    """By their scale; where they stand along their view does not matter. The asset's own camera is such a one, too."""
    add = add_camera
    monkeypatch.setattr("tests.blender.operators.test_scene_photos.add_camera",
                        lambda *place, lens: add(*place, type="ORTHO", ortho_scale=1.4))
    bpy.ops.near.create_asset_from_photos(photos=photograph(tmp_path, (0, 90)))
    assert list_corners(bpy.context.object) == pytest.approx(TRUE, abs=0.03)
    assert bpy.ops.near.match_camera() == {"FINISHED"}
    camera = bpy.context.scene.camera
    assert camera.data.type == "ORTHO" and camera.data.ortho_scale == pytest.approx(1.4, rel=0.02)
    turns = [ob.matrix_world.to_quaternion() @ Vector((0, 0, -1)) for ob in (camera, bpy.data.objects["From 0"])]
    assert turns[0].dot(turns[1]) > 0.999


def test_a_camera_that_looks_elsewhere_is_named(tmp_path):
    rows = photograph(tmp_path, (0, 90, 180))
    bpy.data.objects["From 90"].rotation_euler.z += math.radians(100)
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="The camera of 90.png does not look at"):
        bpy.ops.near.create_asset_from_photos(photos=rows)


def test_a_meshs_shape_is_painted_by_the_cameras_of_the_scene(tmp_path):
    """A ball of two colours, seen from where they are: the asset stands where the ball does."""
    colours = {}
    for name, turn in (("a", 0), ("b", 180)):
        angle = math.radians(turn)
        ob = add_camera(name, MIDDLE + (2.5 * math.sin(angle), -2.5 * math.cos(angle), 0.0), MIDDLE, lens=60)
        told = add_row(bpy.data.objects.new("Owner", None), str(tmp_path / f"{name}.png"), ob)
        Image.new("RGB", (240, 200)).save(tmp_path / f"{name}.png")
        camera = scene_photos.take_camera(told, tmp_path / f"{name}.png", bpy.context.scene)
        picture = outline(camera, np.array([[*MIDDLE, 0.3]]))
        picture[..., :3] = (200, 40, 40) if turn == 0 else (40, 40, 200)
        picture[:, :120, :3] //= 2  # the left half is dark: so is the side at -X from the front
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        colours[name] = row(str(tmp_path / f"{name}.png"), "CAMERA") | {"camera": name}
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, radius=0.3, location=MIDDLE)
    ball = bpy.context.object
    bpy.ops.near.create_asset_from_photos(photos=list(colours.values()), mesh_object=ball.name)
    assert ball.hide_render and ball.hide_get() and bpy.context.object != ball
    assert list_corners(bpy.context.object) == pytest.approx(np.array([MIDDLE - 0.3, MIDDLE + 0.3]), abs=0.02)
    made = payload.decode_asset(bpy.context.object).surfels
    side = lambda chosen: made.base_color[chosen].mean(0)
    front, behind, left = made.position[:, 1] < -0.3, made.position[:, 1] > 0.3, made.position[:, 0] < 0
    assert side(front)[0] > 2 * side(front)[2] and side(behind)[2] > 2 * side(behind)[0]
    assert side(front & ~left)[0] > 1.5 * side(front & left)[0]
    assert side(behind & left)[2] > 1.5 * side(behind & ~left)[2]


def test_empties_beyond_the_most_are_left_out():
    image = bpy.data.images.new("Reference", 4, 4)
    for number in range(60):
        ob = bpy.data.objects.new(f"Empty {number}", None)
        ob.empty_display_type, ob.data = "IMAGE", image.copy()
        bpy.context.scene.collection.objects.link(ob)

    listed = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos").photos
    listed.clear()
    photos.NEAR_OT_create_asset_from_photos._list_scene(SimpleNamespace(photos=listed), bpy.context.scene)
    assert len(listed) == 24
    listed.clear()
