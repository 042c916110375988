"""Creating assets from meshes and photos, as a script calls the operators."""

import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender.asset import following, payload, photo_options
from near_blender.operators import create, photos, pictures, transfer
from near_core.create.matting import open_added
from near_core.errors import NearError


def test_create_from_mesh(cube):
    assert bpy.ops.near.create_asset_from_mesh() == {"FINISHED"}
    ob = bpy.context.object
    asset = payload.decode_asset(ob)
    assert ob != cube and tuple(ob.location) == (4, 0, 0) and ob.name.startswith("Cube")
    assert asset.extent == pytest.approx(2) and np.allclose(ob.dimensions, (2, 0.2, 0.2), atol=2 / 64)
    assert np.allclose(asset.surfels.base_color.mean(0), (0.7, 0.05, 0.05), atol=0.01)
    assert not following.follow(ob).problem


def find_corners(ob: bpy.types.Object) -> np.ndarray:
    """Lowest and highest corner of what ob shows in the world, (2, 3)."""
    evaluated = ob.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.array([evaluated.matrix_world @ vertex.co for vertex in evaluated.data.vertices])
    return np.stack([points.min(0), points.max(0)])


def test_the_asset_lands_on_its_source_which_is_hidden(cube):
    parent = bpy.data.objects.new("Parent", None)
    home = bpy.data.collections.new("Home")
    bpy.context.scene.collection.children.link(home)
    for ob in (parent, cube):
        home.objects.link(ob)
    bpy.context.scene.collection.objects.unlink(cube)
    parent.location, parent.rotation_euler, parent.scale = (1, 2, 3), (0.2, 0, 0.5), (1.5, 1.5, 1.5)
    cube.parent, cube.location, cube.rotation_euler, cube.scale = parent, (1, 0, 0), (0, 0.6, 0), (1, 0.5, 2)
    for vertex in cube.data.vertices:
        vertex.co.x += 0.7  # its origin is not its middle
    bpy.context.view_layer.update()
    before, matrix = find_corners(cube), np.array(cube.matrix_world)
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT")
    made = bpy.context.object
    bpy.context.view_layer.update()
    assert made != cube and np.allclose(made.matrix_world, matrix, atol=1e-5)
    assert np.allclose(find_corners(made), before, atol=0.06)
    assert made.parent == parent and list(made.users_collection) == [home] and made.select_get()
    assert np.allclose(made.scale, cube.scale, atol=1e-5) and np.allclose(made.location, cube.location, atol=1e-5)
    assert cube.hide_render and cube.hide_get() and not following.follow(made).problem


def test_the_asset_of_an_excluded_source_is_shown(cube):
    home = bpy.data.collections.new("Home")
    bpy.context.scene.collection.children.link(home)
    home.objects.link(cube)
    bpy.context.scene.collection.objects.unlink(cube)
    bpy.context.view_layer.layer_collection.children["Home"].exclude = True
    bpy.ops.near.create_asset_from_mesh(object_name=cube.name, detail="DRAFT")
    made = bpy.context.object
    assert made != cube and made.visible_get() and np.allclose(made.location, cube.location) and cube.hide_render


def test_the_asset_can_stand_beside_its_source(cube):
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT", placement="BESIDE")
    made = bpy.context.object
    bpy.context.view_layer.update()
    assert find_corners(made)[0, 0] > find_corners(cube)[1, 0] and made.location.yz == cube.location.yz
    assert not cube.hide_render and not cube.hide_get()


def test_create_from_a_named_mesh(cube):
    cube.scale = (1, 0.1, 0.1)
    bpy.context.view_layer.objects.active = None
    bpy.ops.near.create_asset_from_mesh(object_name=cube.name)
    assert payload.decode_asset(bpy.context.object) is not None


def test_every_selected_mesh_becomes_an_asset_and_one_that_fails_is_named(cube, near_file, capfd):
    """Neither a lamp nor an asset that is selected along with them is in the way."""
    bpy.ops.near.import_asset(filepath=near_file)
    other, empty, lamp = cube.copy(), cube.copy(), bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    other.name, other.location.x, empty.name, empty.data = "Other", 8, "Nothing", bpy.data.meshes.new("Nothing")
    left_alone = cube.copy()
    for ob in (other, empty, lamp, left_alone):
        bpy.context.scene.collection.objects.link(ob)
    for ob in (cube, other, empty, lamp):
        ob.select_set(True)
    before = set(bpy.data.objects)
    assert bpy.ops.near.create_asset_from_mesh(detail="DRAFT") == {"FINISHED"}
    made = sorted(set(bpy.data.objects) - before, key=lambda ob: ob.location.x)
    assert [ob.location.x for ob in made] == [4, 8] and all(payload.find_payload(ob) for ob in made)
    assert cube.hide_render and other.hide_render and not (left_alone.hide_render or empty.hide_render)
    assert set(bpy.context.view_layer.objects.selected) == set(made)
    said = capfd.readouterr().out
    assert "Nothing has no faces" in said and "Left out: Nothing" in said


def test_where_all_fail_a_script_is_told(cube):
    cube.data.clear_geometry()
    other = cube.copy()
    other.name = "Other"
    bpy.context.scene.collection.objects.link(other)
    cube.select_set(True)
    other.select_set(True)
    with pytest.raises(RuntimeError, match="Nothing was made of Cube, Other|Nothing was made of Other, Cube"):
        bpy.ops.near.create_asset_from_mesh(detail="DRAFT")


@pytest.mark.parametrize("placement", ["REPLACE", "BESIDE"])
def test_children_stay_those_of_their_parents(cube, placement):
    """Whichever is made first; one whose parent is not made keeps that."""
    child, stays = cube.copy(), cube.copy()
    alone = bpy.data.objects.new("Empty", None)
    for ob, parent in ((child, cube), (stays, alone), (alone, None)):
        ob.parent = parent
        bpy.context.scene.collection.objects.link(ob)
    child.name, stays.name, child.location = "A child", "Another", (0, 5, 0)
    for ob in (cube, child, stays):
        ob.select_set(True)
    before = set(bpy.data.objects)
    bpy.ops.near.create_asset_from_mesh(detail="DRAFT", placement=placement)
    made = {ob.name.partition(".")[0]: ob for ob in set(bpy.data.objects) - before}
    bpy.context.view_layer.update()
    assert (made["A child"].parent, made["Another"].parent) == (made["Cube"], alone)
    aside = made["A child"].matrix_world.translation - child.matrix_world.translation
    assert aside.yz.length < 1e-5 and (aside.x > 1) == (placement == "BESIDE")
    made["Cube"].location.z += 3
    bpy.context.view_layer.update()
    assert made["A child"].matrix_world.translation.z == pytest.approx(child.matrix_world.translation.z + 3)


@pytest.mark.parametrize("prepare, words", [
    (lambda cube: (cube.select_set(False), setattr(bpy.context.view_layer.objects, "active", None)),
     "No object is active"),
    (lambda cube: cube.data.clear_geometry(), "has no faces"),
    (lambda cube: setattr(cube, "scale", (0, 0, 0)), "no usable size"),
], ids=["nothing", "no faces", "zero scale"])
def test_create_from_what_is_no_surface(cube, prepare, words):
    prepare(cube)
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.near.create_asset_from_mesh()
    assert list(bpy.data.objects) == [cube]


def test_create_from_an_asset_is_refused(near_file):
    bpy.ops.near.import_asset(filepath=near_file)
    with pytest.raises(RuntimeError, match="already is a neural asset"):
        bpy.ops.near.create_asset_from_mesh()


def test_creation_is_grey_in_edit_mode(cube):
    bpy.ops.object.mode_set(mode="EDIT")
    assert not bpy.ops.near.create_asset_from_mesh.poll() and not bpy.ops.near.import_asset.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert bpy.ops.near.create_asset_from_mesh.poll()


PHOTO = str(transfer.SAMPLE.parent / "coffee.jpg")


def test_create_from_a_photo():
    try:
        bpy.ops.near.create_asset_from_image(filepath=PHOTO, elevation=0.8)
    except RuntimeError as error:
        if "no trained photo networks" in str(error):
            pytest.skip("the photo networks are not trained yet")
        raise
    ob = bpy.context.object
    asset = payload.decode_asset(ob)
    assert ob.name == "coffee" and asset.source == "coffee.jpg" and len(asset.coords) > 1000
    assert 0.5 < max(ob.dimensions) <= 1.02


def is_near_matte_there() -> bool:
    try:
        return bool(open_added())
    except NearError:
        return False


@pytest.mark.parametrize("options, words", [
    ({"filepath": ""}, "No photo is chosen. Choose a photo of an object."),
    ({"filepath": str(Path(__file__).parent)}, "No photo is chosen"),
    ({"filepath": "/nowhere/photo.png"}, "There is no picture photo.png"),
    ({"filepath": __file__}, "test_create.py is not a picture"),
    ({"filepath": PHOTO, "mask": "/nowhere/mask.png"}, "There is no picture mask.png"),
    ({"filepath": PHOTO, "mesh_object": "Nobody"}, "There is no object named Nobody"),
    pytest.param({"filepath": PHOTO, "matting": "ISNET"}, "The extension NeAR Matte is not installed",
                 marks=pytest.mark.skipif(is_near_matte_there(), reason="it is installed")),
])
def test_create_from_what_is_no_photo(options, words):
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.near.create_asset_from_image(**options)
    assert not bpy.data.objects


def save_picture(path, width: int, height: int, disc: bool = False) -> str:
    """A grey picture, or a shaded disc in the middle of a transparent one."""
    pixels = np.full((height, width, 4), (90, 120, 60, 255), np.uint8)
    if disc:
        y, x = np.mgrid[:height, :width]
        off = np.hypot(x - width / 2, y - height / 2) / (0.45 * height)
        pixels[..., :3] = (pixels[..., :3] * np.clip(1.3 - off, 0, 1)[..., None]).astype(np.uint8)
        pixels[..., 3] = 255 * (off < 1)
    Image.fromarray(pixels).save(path, compress_level=1)
    return str(path)


def promise(path, width: int, height: int) -> str:
    """A .png whose header says width x height and that holds next to nothing."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    return str(path)


@pytest.mark.parametrize("make, words", [
    (lambda path: save_picture(path, 1, 1), "too small"),
    (lambda path: save_picture(path, 20_000, 1), "too small"),
    (lambda path: save_picture(path, 300, 200), "The photo is of one colour all over"),
    (lambda path: promise(path, 20_000, 20_000), "photo.png has more pixels than NeAR reads"),
    (lambda path: promise(path, 400, 300), "photo.png is damaged"),
    (lambda path: (path.write_bytes(b"GIF89a"), str(path))[1], "photo.png is damaged"),
], ids=["one pixel", "one row", "no object", "too large", "truncated", "another format"])
def test_create_from_a_bad_photo_says_what_to_do_and_changes_nothing(tmp_path, make, words):
    with pytest.raises(RuntimeError, match=words) as caught:
        bpy.ops.near.create_asset_from_image(filepath=make(tmp_path / "photo.png"))
    assert caught.value.args[0].count(". ") >= 1 and "Traceback" not in caught.value.args[0]
    assert not bpy.data.objects and not bpy.data.meshes and not bpy.data.images


def test_create_from_a_photo_of_twenty_thousand_pixels(tmp_path):
    bpy.ops.near.create_asset_from_image(filepath=save_picture(tmp_path / "wide.png", 20_000, 200, disc=True))
    assert len(payload.decode_asset(bpy.context.object).coords) > 1000


def test_create_from_a_bare_mesh():
    """No UVs, no material."""
    mesh = bpy.data.meshes.new("Bare")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0.5)], [], [(0, 1, 2, 3)])
    bpy.context.scene.collection.objects.link(ob := bpy.data.objects.new("Bare", mesh))
    bpy.context.view_layer.objects.active = ob
    assert bpy.ops.near.create_asset_from_mesh() == {"FINISHED"}
    colors = payload.decode_asset(bpy.context.object).surfels.base_color
    assert len(colors) > 100 and np.allclose(colors, 0.8, atol=1e-3), "Blender's grey"


def test_an_image_of_a_file_is_remembered_by_the_file():
    image = bpy.data.images.load(PHOTO)
    bpy.ops.near.create_asset_from_image(image_name=image.name)
    told = bpy.context.object.near.origin
    assert (told.path, told.image) == (PHOTO, "")
    bpy.data.images.remove(image)
    assert pictures.find_photo(told) == Path(PHOTO)


def test_several_photos_are_asked_about_before_any_is_converted(tmp_path, monkeypatch):
    """With what was chosen in the file browser."""
    for name in ("a.tif", "b.tif"):
        Image.new("RGB", (24, 16)).save(tmp_path / name)
    monkeypatch.setattr(pictures, "find_file", None)
    asked: list = []

    def ask(self, context) -> set:
        self._list_files()
        asked.extend((self.matting, self.seed, [(Path(photo.path).name, photo.mask) for photo in self.photos]))
        return {"FINISHED"}
    monkeypatch.setattr(photos.NEAR_OT_create_asset_from_photos, "execute", ask)  # no window, no dialog
    chosen = {name: photo_options.NEAR_PG_origin.bl_rna.properties[name].default
              for name in photo_options.NAMES}
    dialog = SimpleNamespace(**chosen | {"matting": "ISNET", "seed": 3, "mask": "/m.png"}, mesh_object="", size=1.0,
                             placement="BESIDE", image_name="", filepath="", directory=str(tmp_path),
                             _is_interactive=True, picks=False,
                             files=[SimpleNamespace(name=name) for name in ("a.tif", "b.tif")], report=print)
    made = create.NEAR_OT_create_asset_from_image
    dialog._ask_views = lambda paths: made._ask_views(dialog, paths)
    made.execute(dialog, bpy.context)
    assert asked == ["ISNET", 3, [("a.tif", "/m.png"), ("b.tif", "")]]


def test_a_scripts_several_photos_go_around_from_what_is_told_of_the_first(tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "mask.png"):
        Image.new("RGB", (24, 16)).save(tmp_path / name)
    asked: list = []

    def ask(photos, **options):
        asked.extend(photos)
        raise NearError("Enough.", "Go on.")
    monkeypatch.setattr(create.client, "create_from_image", ask)
    with pytest.raises(RuntimeError, match="Enough"):
        bpy.ops.near.create_asset_from_image(
            directory=str(tmp_path), files=[{"name": "a.png"}, {"name": "b.png"}], mask=str(tmp_path / "mask.png"),
            azimuth=0.5, elevation=0.25, estimates_elevation=False, fov=0.75, reads_fov=False)
    first, second = asked
    assert np.allclose(np.radians([first.azimuth, second.azimuth - 180]), 0.5) and first.picture.endswith("a.png")
    assert first.mask.endswith("mask.png") and second.mask is None and second.picture.endswith("b.png")
    assert np.allclose(np.radians([first.elevation, second.elevation, first.fov, second.fov]), [.25, .25, .75, .75])


def test_several_photos_of_which_a_name_is_no_unicode_are_refused_in_words(tmp_path):
    for name in ("a.png", "caf\udce9.png"):
        Image.new("RGB", (24, 16)).save(tmp_path / name)
    said: list = []
    dialog = SimpleNamespace(image_name="", filepath="", directory=str(tmp_path), _is_interactive=True, picks=False,
                             files=[SimpleNamespace(name=name) for name in ("a.png", "caf\udce9.png")],
                             report=lambda kind, words: said.append(words))
    made = create.NEAR_OT_create_asset_from_image
    dialog._ask_views = lambda paths: made._ask_views(dialog, paths)
    assert made.execute(dialog, bpy.context) == {"CANCELLED"}
    assert said == ["Blender cannot read the name of caf?.png. Rename the file, then choose the photos again."]


@pytest.mark.parametrize("chosen, said", [
    ({"files": [{"name": "a.png"}, {"name": "b.png"}]}, "Pick the object of each photo in the list"),
    ({"filepath": "a.png", "mask": "b.png"}, "Nothing is picked: the mask says what the object is")])
def test_picking_what_is_not_to_be_picked_is_told(chosen, said, capfd):
    with pytest.raises(RuntimeError, match="There is no picture a.png"):
        bpy.ops.near.create_asset_from_image(picks=True, directory="/nowhere", **chosen)
    assert said in capfd.readouterr().out


def test_a_photo_on_a_mesh_is_called_as_it_was_chosen(tmp_path, monkeypatch, cube):
    Image.new("RGB", (24, 16)).save(tmp_path / "mug.tif")
    asked: dict = {}
    monkeypatch.setattr(create, "run_in_editor", lambda context, operator, **told: asked.update(told))
    options = photo_options.NEAR_PG_origin.bl_rna.properties
    dialog = SimpleNamespace(**{name: options[name].default for name in photo_options.NAMES}, mesh_object=cube.name,
                             placement="BESIDE", _finds=lambda angle: True)
    made = create.NEAR_OT_create_asset_from_image
    dialog._tell = lambda: made._tell(dialog)
    assert made._show_pose(dialog, bpy.context, pictures.open_picture(tmp_path / "mug.tif"), "mug.tif") == {"FINISHED"}
    assert asked["photo"] == "mug.tif" and asked["placement"] == "BESIDE" and asked["filepath"].endswith("mug.png")
