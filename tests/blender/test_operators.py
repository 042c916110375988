"""The operators as a script calls them, with the real worker behind them."""

import struct
import zlib

import bpy
import numpy as np
import pytest
from PIL import Image

from near_blender import payload, proxy
from near_blender.operators import setup, transfer
from near_core import asset as assets


@pytest.fixture(scope="module", autouse=True)
def worker(addon):
    """The worker is stopped when this module's tests are done."""
    from near_blender import client
    yield
    client.worker().stop()


@pytest.fixture
def near_file(ball, tmp_path) -> str:
    assets.save(ball, tmp_path / "ball.near")
    return str(tmp_path / "ball.near")


@pytest.fixture
def cube() -> bpy.types.Object:
    """A red cube, 2 m wide, turned and away from the cursor."""
    bpy.ops.mesh.primitive_cube_add(location=(4, 0, 0))
    cube = bpy.context.object
    material = bpy.data.materials.new("Red")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.7, 0.05, 0.05, 1)
    cube.data.materials.append(material)
    return cube


def test_import_places_the_asset_at_the_cursor_selected_and_active(near_file, ball, cube):
    bpy.context.scene.cursor.location = (1, 2, 3)
    assert bpy.ops.near.import_asset(filepath=near_file) == {"FINISHED"}
    ob = bpy.context.object
    assert ob.name == "Ball" and tuple(ob.location) == (1, 2, 3) and bpy.context.selected_objects == [ob]
    assert payload.bytes_of(ob.near.asset) == assets.to_bytes(ball)
    assert ob.dimensions.x == pytest.approx(0.9 * ball.extent, rel=0.01)


def test_import_takes_several_files_and_goes_on_after_a_bad_one(near_file, tmp_path):
    (tmp_path / "bad.near").write_bytes(b"nothing")
    files = [{"name": "bad.near"}, {"name": "ball.near"}, {"name": "ball.near"}]
    with pytest.raises(RuntimeError, match="bad.near is not a complete .near file"):
        bpy.ops.near.import_asset(directory=str(tmp_path), files=files)
    assert len(bpy.data.objects) == 2


def test_import_reads_the_published_latents(tmp_path):
    path = tmp_path / "latent.npz"
    np.savez(path, coords=np.argwhere(np.ones((4, 4, 4))) + 30, feats=np.zeros((64, 8), np.float32))
    assert bpy.ops.near.import_asset(filepath=str(path)) == {"FINISHED"}
    assert payload.asset_of(bpy.context.object).model == "near"


@pytest.mark.parametrize("name, content", [
    ("missing.near", None), ("empty.near", b""), ("text.near", b"hello" * 100), ("picture.png", b"x"),
    ("pickle.npz", b"\x80\x04."), ("huge.near", b"\xff" * 16)])
def test_import_of_bad_files_says_what_to_do_and_changes_nothing(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=name) as caught:
        bpy.ops.near.import_asset(filepath=str(tmp_path / name))
    assert caught.value.args[0].count(". ") >= 1 and "Traceback" not in caught.value.args[0]
    assert not bpy.data.objects and not bpy.data.meshes


def test_a_truncated_file_is_refused_at_any_length(near_file, tmp_path, ball):
    data = assets.to_bytes(ball)
    for length in np.linspace(0, len(data) - 1, 7).astype(int):
        (tmp_path / "cut.near").write_bytes(data[:length])
        with pytest.raises(RuntimeError, match="cut.near"):
            bpy.ops.near.import_asset(filepath=str(tmp_path / "cut.near"))


def test_export_writes_the_same_file(near_file, tmp_path, ball):
    bpy.ops.near.import_asset(filepath=near_file)
    assert bpy.ops.near.export_asset(filepath=str(tmp_path / "out")) == {"FINISHED"}
    assert (tmp_path / "out.near").read_bytes() == assets.to_bytes(ball)


def test_export_into_a_folder_that_is_not_there(near_file, tmp_path):
    bpy.ops.near.import_asset(filepath=near_file)
    with pytest.raises(RuntimeError, match="could not be written"):
        bpy.ops.near.export_asset(filepath=str(tmp_path / "none" / "out.near"))


def test_export_is_grey_without_an_asset(cube):
    assert not bpy.ops.near.export_asset.poll()


def test_create_from_mesh(cube):
    assert bpy.ops.near.create_asset_from_mesh() == {"FINISHED"}
    ob = bpy.context.object
    asset = payload.asset_of(ob)
    assert ob != cube and tuple(ob.location) == (0, 0, 0) and ob.name.startswith("Cube")
    assert asset.extent == pytest.approx(2) and np.allclose(ob.dimensions, 2, atol=2 / 64)
    assert np.allclose(asset.surfels.base_color.mean(0), (0.7, 0.05, 0.05), atol=0.01)
    assert not proxy.is_bent(ob)


def test_create_from_a_named_mesh(cube):
    cube.scale = (1, 0.1, 0.1)
    bpy.context.view_layer.objects.active = None
    bpy.ops.near.create_asset_from_mesh(object_name=cube.name)
    assert payload.asset_of(bpy.context.object) is not None


@pytest.mark.parametrize("prepare, words", [
    (lambda cube: setattr(bpy.context.view_layer.objects, "active", None), "No object is active"),
    (lambda cube: cube.data.clear_geometry(), "has no faces"),
    (lambda cube: setattr(cube, "scale", (0, 0, 0)), "no size"),
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


def test_one_undo_step_takes_the_asset_away(near_file, cube):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.near.import_asset("EXEC_DEFAULT", True, filepath=near_file)
    assert len(bpy.data.objects) == 2
    bpy.ops.ed.undo()
    assert [ob.name for ob in bpy.data.objects] == ["Cube"]
    bpy.ops.ed.redo()
    assert payload.bytes_of(bpy.data.objects["Ball"].near.asset)


def test_the_sample(ball, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "SAMPLE", tmp_path / "sample.near")
    assert not bpy.ops.near.add_sample.poll()
    assets.save(ball, tmp_path / "sample.near")
    assert bpy.ops.near.add_sample() == {"FINISHED"} and bpy.context.object.name == "Ball"


PHOTO = str(transfer.SAMPLE.parent / "coffee.jpg")


def test_create_from_a_photo():
    try:
        bpy.ops.near.create_asset_from_image(filepath=PHOTO, elevation=0.8)
    except RuntimeError as error:
        if "no trained photo networks" in str(error):
            pytest.skip("the photo networks are not trained yet")
        raise
    ob = bpy.context.object
    asset = payload.asset_of(ob)
    assert ob.name == "coffee" and asset.source == "coffee.jpg" and len(asset.coords) > 1000
    assert 0.5 < max(ob.dimensions) <= 1.02


@pytest.mark.parametrize("options, words", [
    ({"filepath": ""}, "There is no picture"),
    ({"filepath": "/nowhere/photo.png"}, "There is no picture photo.png"),
    ({"filepath": __file__}, "test_operators.py is not a picture"),
    ({"filepath": PHOTO, "mask": "/nowhere/mask.png"}, "There is no picture mask.png"),
    ({"filepath": PHOTO, "mesh_object": "Nobody"}, "There is no object named Nobody"),
    ({"filepath": PHOTO, "matting": "REMBG"}, "rembg is not installed|rembg has none of its models"),
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
    (lambda path: save_picture(path, 300, 200), "No (object|shape) was found"),
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
    assert len(payload.asset_of(bpy.context.object).coords) > 1000


def test_create_from_a_bare_mesh():
    """No UVs, no material."""
    mesh = bpy.data.meshes.new("Bare")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0.5)], [], [(0, 1, 2, 3)])
    bpy.context.scene.collection.objects.link(ob := bpy.data.objects.new("Bare", mesh))
    bpy.context.view_layer.objects.active = ob
    assert bpy.ops.near.create_asset_from_mesh() == {"FINISHED"}
    colors = payload.asset_of(bpy.context.object).surfels.base_color
    assert len(colors) > 100 and np.allclose(colors, 0.8, atol=1e-3), "Blender's grey"


def test_check_setup_tries_every_part():
    assert bpy.ops.near.check_setup() == {"FINISHED"}
    found = setup.lines()
    assert all(well for well, _ in found), found
    text = "\n".join(line for _, line in found)
    for word in (f"Blender {bpy.app.version_string}", "Kernels", "Worker", "onnxruntime", "created", "picture"):
        assert word in text


def test_check_setup_shows_what_is_broken(monkeypatch):
    def broken():
        raise OSError("no such library")
        yield
    monkeypatch.setattr(setup, "_check_kernels", broken)
    bpy.ops.near.check_setup()
    assert (False, "OSError: no such library") in setup.lines() and len(setup.lines()) > 3
