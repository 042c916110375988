"""Assets of pictures that are in no file."""

import shutil
import sys

import bpy
import numpy as np
import pytest
from asking import full_disk
from PIL import Image

from near_blender.asset import payload, photo_options
from near_blender.operators import pictures, provenance, scene_photos
from near_core import errors
from near_core import image as images
from tests.blender.operators.test_photos import save_egg
from tests.blender.operators.test_scene_photos import add_camera, add_empty, add_row, project, show_behind


def paint(name: str, is_float: bool = False) -> bpy.types.Image:
    """A red disc on nothing."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    pixels = np.zeros((64, 64, 4), np.float32)
    pixels[x * x + y * y < 0.6] = (0.8, 0.1, 0.1, 1)
    image = bpy.data.images.new(name, 64, 64, alpha=True, float_buffer=is_float)
    image.pixels.foreach_set(pixels.ravel())
    return image


@pytest.mark.parametrize("is_float", [False, True])
def test_what_was_painted_gets_a_file(is_float):
    image = paint("Disc", is_float)
    path = pictures.find_file("Disc")
    picture = images.read(path, linear=False)
    assert picture.shape == (64, 64, 4) and picture[32, 32, 3] == 1 and picture[0, 0, 3] == 0
    assert image.source == "GENERATED" and [each.name for each in bpy.data.images] == ["Disc"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits files as Linux does")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("is_float", [False, True])
def test_a_full_disk_is_said_and_no_half_of_a_picture_is_read(is_float, packed):
    image = bpy.data.images.new("Noise", 256, 256, alpha=True, float_buffer=is_float)
    image.pixels.foreach_set(np.random.default_rng(0).random(256 * 256 * 4, np.float32))
    if packed:
        image.pack()
    with full_disk(20_000), pytest.raises(errors.NearError, match="Noise.* could not be written.*File Paths"):
        pictures.find_file("Noise")
    assert images.read(pictures.find_file("Noise")).shape == (256, 256, 4)


def read_middle(name: str) -> np.ndarray:
    """What of its middle NeAR reads in the file of an image datablock, sRGB 0..255."""
    picture = images.read_photo(pictures.find_file(name))
    return picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)


@pytest.mark.parametrize("is_float, space, shown", [
    (False, "sRGB", (204, 26, 26)), (False, "Non-Color", (204, 26, 26)), (True, "Linear Rec.709", (231, 89, 89)),
    (True, "ACEScg", (231, 89, 89))])
def test_a_painted_picture_keeps_its_colours(is_float, space, shown):
    """Numbers of floats are linear, in whatever space they would be saved."""
    image = paint("Disc", is_float)
    image.colorspace_settings.name = space
    image.pixels.foreach_set(np.tile(np.float32([0.8, 0.1, 0.1, 1]), 64 * 64))
    assert read_middle("Disc") == pytest.approx([*shown, 255], abs=1)


def load(path, pixels) -> bpy.types.Image:
    Image.fromarray(np.uint8(pixels)).save(path)
    return bpy.data.images.load(str(path))


def test_a_colour_space_that_an_artist_chose_counts(tmp_path):
    """As Blender shows the picture: brown of AgX is a stronger brown before it; data is what it is."""
    image = load(tmp_path / "brown.png", np.full((16, 16, 3), (200, 100, 50)))
    assert pictures.find_file(image.name) == tmp_path / "brown.png"
    image.colorspace_settings.name = "Non-Color"
    assert pictures.find_file(image.name) == tmp_path / "brown.png"
    image.colorspace_settings.name = "AgX Base sRGB"
    red, green, blue = read_middle(image.name)[:3]
    assert red == pytest.approx(224, abs=2) and green == pytest.approx(97, abs=2) and blue == pytest.approx(39, abs=2)
    images.write_exr(tmp_path / "wide.exr", {"Combined": np.full((16, 16, 4), (0.6, 0.3, 0.1, 1), np.float32)})
    image = bpy.data.images.load(str(tmp_path / "wide.exr"))
    assert pictures.find_file(image.name) == tmp_path / "wide.exr"
    image.colorspace_settings.name = "ACEScg"
    expected = images.srgb_encode(np.array([0.828, 0.263, 0.0622])) * 255
    assert read_middle(image.name)[:3] == pytest.approx(expected, abs=1)


def test_a_packed_photo_comes_as_its_camera_wrote_it(tmp_path):
    image = load(tmp_path / "IMG.1.jpg", np.full((16, 24, 3), (200, 100, 50)))
    data = (tmp_path / "IMG.1.jpg").read_bytes()
    image.pack()
    (tmp_path / "IMG.1.jpg").unlink()
    made = pictures.find_file(image.name)
    assert made.suffix == ".jpg" and made.read_bytes() == data


def test_a_sequence_is_the_picture_that_it_is_named_after(tmp_path):
    for number in (1, 2):
        image = load(tmp_path / f"turn_{number}.png", np.full((16, 16, 3), 100 * number))
    image.source = "SEQUENCE"
    assert pictures.find_file(image.name) == tmp_path / "turn_2.png"


def test_an_editor_that_shows_a_sequence_gives_its_frame(tmp_path):
    for number in (1, 2, 3):
        image = load(tmp_path / f"turn_{number}.png", np.full((16, 16, 3), 80 * number))
    user = bpy.data.materials.new("M")
    user.use_nodes = True
    user = user.node_tree.nodes.new("ShaderNodeTexImage").image_user
    user.frame_current = 2
    assert pictures.name_source(image, user) == (str(tmp_path / "turn_3.png"), "")
    image.source = "SEQUENCE"
    assert pictures.name_source(image, user) == (str(tmp_path / "turn_2.png"), "")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "turn.blend"))
    image.filepath = "//turn_3.png"
    assert pictures.name_source(image, user) == ("//turn_2.png", "")


@pytest.mark.parametrize("at, frame", [(1, 1), (2, 2), (9, 3)])
def test_what_a_sequence_shows_in_the_current_frame_is_the_photo(tmp_path, at, frame):
    """As a solved camera is where it is in that frame; how the sequence is moved behind it counts."""
    files, scene = [save_egg(tmp_path / f"walk_{number}.png") for number in (1, 2, 3)], bpy.context.scene
    ob = add_camera("Solved", (3, -4, 2), (1, 1, 0.5))
    show_behind(ob, files[0])
    behind = ob.data.background_images[0]
    behind.image.source = "SEQUENCE"
    add_empty(behind.image)
    for user in (behind.image_user, bpy.data.objects["Reference"].image_user):
        user.frame_start, user.frame_duration = 1, 3
    scene.frame_set(at)
    path = files[frame - 1]
    assert scene_photos.list_backgrounds(scene) == [((path, ""), "Solved")]
    assert scene_photos.list_image_empties(scene)[0][0] == (path, "")
    told = add_row(bpy.data.objects.new("Owner", None), path, ob)
    before = project(scene_photos.take_camera(told, path, scene), (0.4, 1.6, 0.1))
    behind.offset = (0.25, 0)
    assert project(scene_photos.take_camera(told, path, scene), (0.4, 1.6, 0.1))[0] < before[0] - 1


def test_what_shows_no_one_picture_is_told():
    bpy.data.images.new("Tiles", 16, 16, tiled=True)
    with pytest.raises(errors.NearError, match="Tiles has no picture to read. Choose another one"):
        pictures.find_file("Tiles")


def test_a_render_is_to_be_saved_first():
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.resolution_x = scene.render.resolution_y = 8
    bpy.ops.render.render()
    with pytest.raises(errors.NearError, match="Render Result has no picture to read. Save it as a file"):
        pictures.find_file("Render Result")


@pytest.mark.parametrize("name, mode", [("a.tif", "RGB"), ("a.tif", "CMYK"), ("a.TGA", "RGBA"), ("a.bmp", "RGB")])
def test_what_blender_reads_becomes_a_file_that_near_reads(tmp_path, name, mode):
    Image.new("RGB", (24, 16), (200, 100, 50)).convert(mode).save(tmp_path / name)
    made = pictures.open_picture(tmp_path / name)
    assert images.read_photo(made)[8, 8, :3].astype(int) == pytest.approx((200, 100, 50), abs=2)
    assert not bpy.data.images


@pytest.mark.parametrize("name, words", [("a.tif", "a.tif has no picture"), ("a.svg", "a.svg is not a picture NeAR"),
                                         ("a.heic", "Export it as JPEG")])
def test_what_blender_does_not_read_either_is_named(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"II*\0nonsense")
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.near.create_asset_from_image(filepath=str(tmp_path / name))
    assert not bpy.data.images


def test_a_movie_is_named(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    image = bpy.data.images.load(str(tmp_path / "clip.mp4"))
    with pytest.raises(RuntimeError, match="clip.mp4 has no picture to read"):
        bpy.ops.near.create_asset_from_image(image_name=image.name)


def test_two_pictures_of_one_name_have_two_files():
    """What was made of the first would else be made again of the second."""
    names = [paint("Untitled").name for _ in range(2)]
    first, second = (pictures.find_file(name) for name in names)
    assert first != second and first.is_file() and first.stem == second.stem == "Untitled"


def test_an_image_that_is_gone_is_named():
    with pytest.raises(RuntimeError, match="There is no image Nothing"):
        bpy.ops.near.create_asset_from_image(image_name="Nothing")


def test_the_clipboard_says_why_it_is_grey():
    assert pictures.find_problem(bpy.context) == "The clipboard needs a window"
    assert not bpy.ops.near.create_asset_from_clipboard.poll()


@pytest.mark.slow
def test_an_image_of_the_file_becomes_an_asset(addon):
    paint("Disc")
    bpy.context.scene.cursor.location = (0, 0, 1)
    bpy.ops.near.create_asset_from_image(image_name="Disc", size=2)
    ob = bpy.context.object
    assert payload.decode_asset(ob) is not None and np.isclose(max(ob.dimensions), 2, rtol=1e-3)


@pytest.mark.parametrize("is_float", [False, True])
def test_what_was_painted_is_there_when_the_file_is_opened_again(tmp_path, is_float):
    image = paint("Disc", is_float)
    shown = load(tmp_path / "brown.png", np.full((16, 16, 3), (200, 100, 50)))
    shown.pixels[0] = 1.0  # painted on
    for picture in (image, shown):
        ob = bpy.data.objects.new("Owner", None)
        bpy.context.scene.collection.objects.link(ob)
        provenance.remember(ob, provenance.Origin.of("", picture, ob.near.origin, {}))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "painted.blend"))
    (tmp_path / "brown.png").unlink()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "painted.blend"))
    assert bpy.data.images["brown.png"].pixels[0] == 1
    picture = images.read(pictures.find_file("Disc"), linear=False)
    assert picture.shape == (64, 64, 4) and picture[32, 32] == pytest.approx((0.8, 0.1, 0.1, 1), abs=0.01)


def test_a_mask_may_be_a_file_that_blender_reads(tmp_path):
    Image.new("L", (24, 16), 200).save(tmp_path / "mask.tif")
    ob = bpy.data.objects.new("Owner", None)
    assert pictures.find_mask(ob.near.origin) is None
    ob.near.origin.mask = str(tmp_path / "mask.tif")
    mask = pictures.find_mask(ob.near.origin)
    assert images.read_photo(mask)[8, 8, 0] == pytest.approx(200, abs=1)
    photo = ob.near.origin.photos.add()
    photo.mask = ob.near.origin.mask
    for shot in (photo_options.take_photo(photo, mask, mask),
                 photo_options.take_shot(ob.near.origin, mask, mask, {"fov": True, "elevation": True})):
        assert shot.mask == str(mask)


def test_an_image_has_one_copy_however_often_it_is_asked_for(tmp_path):
    image = paint("Disc")
    assert pictures.find_file("Disc") == pictures.find_file("Disc")
    image.pixels.foreach_set(np.ones(64 * 64 * 4, np.float32))
    assert read_middle("Disc").tolist() == [255] * 4, "as it is now"
    Image.new("RGB", (24, 16)).save(tmp_path / "a.tif")
    assert pictures.open_picture(tmp_path / "a.tif") == pictures.open_picture(tmp_path / "a.tif")


def test_a_copy_finds_room_or_says_that_there_is_none(monkeypatch, tmp_path):
    image = paint("\N{CJK UNIFIED IDEOGRAPH-676F}" * 20 + "Z" * 200)
    shutil.rmtree(bpy.app.tempdir)
    assert len(pictures.find_file(image.name).name.encode()) < 110
    monkeypatch.setattr(pictures, "LONGEST", 20)
    made = pictures.find_file(image.name)
    assert made.is_file() and len(made.stem.encode()) == 18, "whole letters"
    shutil.rmtree(made.parent)
    made.parent.write_bytes(b"")
    with pytest.raises(errors.NearError, match="could not be written .* Free space"):
        pictures.find_file(image.name)
