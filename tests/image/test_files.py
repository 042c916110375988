"""Pictures in and out: against Blender, against themselves, and damaged."""

import numpy as np
import pytest
from PIL import Image

from near_core import image
from near_core.errors import NearError

RNG = np.random.default_rng(0)


def radiance(height=7, width=19, channels=4):
    return RNG.gamma(0.5, 2.0, (height, width, channels)).astype(np.float32)


def write_hdr(path, picture, compressed):
    """An independent RGBE writer: one shared exponent, runs only where four or more bytes repeat."""
    mantissa, exponent = np.frexp(picture.max(-1))
    scale = np.where(picture.max(-1) > 1e-32, mantissa * 256 / picture.max(-1), 0)
    rgbe = np.concatenate([picture * scale[..., None], (exponent + 128)[..., None]], -1).astype(np.uint8)
    out = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % picture.shape[:2]
    if not compressed:
        path.write_bytes(out + rgbe.tobytes())
        return
    for row in rgbe:
        out += b"\2\2" + len(row).to_bytes(2, "big")
        for channel in row.T:
            at = 0
            while at < len(channel):
                run = 1
                while at + run < len(channel) and channel[at + run] == channel[at] and run < 127:
                    run += 1
                out += bytes([128 + run, channel[at]]) if run >= 4 else bytes([1, channel[at]]) * run
                at += run
    path.write_bytes(out)


def test_srgb_is_its_own_inverse_and_standard():
    x = np.linspace(0, 1, 1001, dtype=np.float32)
    assert np.abs(image.srgb_decode(image.srgb_encode(x)) - x).max() < 1e-6
    assert image.srgb_encode(np.float32(0.18)) == pytest.approx(0.46135, abs=1e-4)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_exr_round_trip(tmp_path, half, channels):
    picture = radiance(channels=channels)
    image.write_exr(tmp_path / "a.exr", {"Combined": picture}, half=half)
    assert np.allclose(image.read(tmp_path / "a.exr"), picture, rtol=1e-3 if half else 0, atol=1e-6 if half else 0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]


def test_multilayer_exr_uses_blenders_names(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    passes = {"Combined": radiance(), "Depth": radiance(channels=1), "Normal": radiance(channels=3),
              "Base Color": radiance(channels=3), "Shadow": radiance(channels=1)}
    image.write_exr(tmp_path / "a.exr", passes)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        names = set(file.channels())
    assert {"ViewLayer.Combined.R", "ViewLayer.Depth.Z", "ViewLayer.Normal.X", "ViewLayer.Base Color.B"} <= names
    layers = image.read_layers(tmp_path / "a.exr")
    for name, picture in passes.items():
        assert np.array_equal(layers[f"ViewLayer.{name}"], picture)
    assert np.array_equal(image.read(tmp_path / "a.exr"), passes["Combined"])


def test_multi_part_exr(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    a, b = radiance(channels=4), radiance(channels=1)
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
    parts = [OpenEXR.Part({**header, "name": "c"}, {"VL.Combined.RGBA": a}),
             OpenEXR.Part({**header, "name": "d"}, {"VL.Depth.Z": b[..., 0]})]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    layers = image.read_layers(tmp_path / "a.exr")
    assert np.array_equal(layers["VL.Depth"], b)
    assert np.array_equal(image.read(tmp_path / "a.exr")[..., :3], a[..., :3])


def test_exr_data_window_is_placed_in_the_picture(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.NO_COMPRESSION,
              "dataWindow": (np.array([2, 1], np.int32), np.array([4, 2], np.int32)),
              "displayWindow": (np.array([0, 0], np.int32), np.array([9, 4], np.int32))}
    OpenEXR.File(header, {"Y": np.ones((2, 3), np.float32)}).write(str(tmp_path / "a.exr"))
    picture = image.read(tmp_path / "a.exr")[..., 0]
    assert picture.shape == (5, 10) and picture.sum() == 6 and picture[1:3, 2:5].all()


@pytest.mark.parametrize("compressed", [False, True])
def test_hdr(tmp_path, compressed):
    picture = np.repeat(radiance(16, 40, 3), 2, axis=1)
    write_hdr(tmp_path / "a.hdr", picture, compressed)
    read = image.read(tmp_path / "a.hdr")
    assert read.shape == picture.shape
    assert np.all(np.abs(read - picture) <= picture.max(-1, keepdims=True) / 127)


def test_hdr_equals_blenders_reading(tmp_path):
    bpy = pytest.importorskip("bpy")
    write_hdr(tmp_path / "a.hdr", radiance(16, 40, 3), True)
    datablock = bpy.data.images.load(str(tmp_path / "a.hdr"))
    pixels = np.empty(16 * 40 * 4, np.float32)
    datablock.pixels.foreach_get(pixels)
    bpy.data.images.remove(datablock)
    assert np.array_equal(image.read(tmp_path / "a.hdr"), pixels.reshape(16, 40, 4)[::-1, :, :3])


@pytest.mark.parametrize("mode, dtype", [("L", np.uint8), ("RGB", np.uint8), ("RGBA", np.uint8), ("I;16", np.uint16)])
def test_png_as_stored_and_linear(tmp_path, mode, dtype):
    channels = {"L": 1, "I;16": 1, "RGB": 3, "RGBA": 4}[mode]
    values = RNG.integers(0, np.iinfo(dtype).max, (5, 6, channels)).astype(dtype)
    Image.fromarray(values[..., 0] if channels == 1 else values).save(tmp_path / "a.png")
    stored = values.astype(np.float32) / np.iinfo(dtype).max
    assert np.allclose(image.read(tmp_path / "a.png", linear=False), stored, atol=1e-6)
    linear = image.read(tmp_path / "a.png")
    assert np.allclose(linear[..., :3], image.srgb_decode(stored[..., :3]), atol=1e-6)
    if channels == 4:
        assert np.allclose(linear[..., 3], stored[..., 3], atol=1e-6)


def test_jpeg_is_turned_upright(tmp_path):
    values = np.zeros((32, 64, 3), np.uint8)
    values[:, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(values).save(tmp_path / "a.jpg", exif=exif)
    picture = image.read(tmp_path / "a.jpg")
    assert picture.shape == (64, 32, 3) and picture[:24].min() > 0.9 and picture[40:].max() < 0.1


def test_png_round_trip_has_straight_alpha(tmp_path):
    straight = np.concatenate([RNG.random((4, 5, 3)), np.full((4, 5, 1), 0.5)], 2).astype(np.float32)
    image.write_png(tmp_path / "a.png", image.premultiplied(straight))
    difference = image.srgb_encode(image.read(tmp_path / "a.png")) - image.srgb_encode(straight)
    assert np.abs(difference[..., :3]).max() < 0.003


def test_large_pictures_are_averaged_in_linear_light(tmp_path):
    values = np.zeros((40, 60, 3), np.uint8)
    values[::2] = 255
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = image.read(tmp_path / "a.png", max_side=30)
    assert picture.shape == (20, 30, 3) and np.allclose(picture, 0.5)


def test_20000_pixels_wide_and_one_pixel(tmp_path):
    Image.new("RGB", (20000, 3), (255, 0, 0)).save(tmp_path / "wide.png")
    assert image.read(tmp_path / "wide.png", max_side=1024).shape == (1, 1000, 3)
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    assert image.read(tmp_path / "one.png", max_side=1024).shape == (1, 1, 3)
    Image.new("1", (20000, 20000)).save(tmp_path / "huge.png")
    with pytest.raises(NearError, match="more"):
        image.read(tmp_path / "huge.png")


@pytest.mark.parametrize("kind", ["exr", "hdr", "png", "jpg"])
def test_damaged_files_are_named_and_never_crash(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "exr":
        image.write_exr(path, {"Combined": radiance(33, 47)})
    elif kind == "hdr":
        write_hdr(path, radiance(33, 47, 3), True)
    else:
        Image.fromarray(RNG.integers(0, 255, (33, 47, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    for cut in (0, 1, 7, 40, len(whole) // 3, len(whole) - 200):
        path.write_bytes(whole[:cut])
        with pytest.raises(NearError) as caught:
            image.read(path)
        assert path.name in caught.value.what and caught.value.fix
    for _ in range(200):
        bad = bytearray(whole)
        for at in RNG.integers(0, min(len(bad), 600), 3):
            bad[at] = RNG.integers(0, 256)
        path.write_bytes(bad)
        try:
            image.read(path)
        except NearError:
            pass


def test_missing_and_foreign_files():
    with pytest.raises(NearError, match="No such file"):
        image.read("nowhere.exr")
    with pytest.raises(NearError, match="not a picture"):
        image.read("notes.txt")


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(NearError, match="could not be written"):
        image.write_exr(tmp_path / "no" / "a.exr", {"Combined": radiance()})
    with pytest.raises(NearError, match="could not be written"):
        image.write_png(tmp_path / "no" / "a.png", radiance())


def _photo_with(path, size, orientation=1, **noted):
    """A JPEG that notes EXIF fields by number, as tag_N."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update({int(name[4:]): value for name, value in noted.items()})
    Image.new("RGB", size).save(path, exif=exif)
    return path


@pytest.mark.parametrize("size, orientation, noted, fov", [
    ((400, 300), 1, {"tag_41989": 26}, 67.3),  # a phone's 26 mm; 36 x 24 mm of film has the same diagonal
    ((400, 300), 6, {"tag_41989": 26}, 53.0),  # the same phone held upright
    ((360, 240), 1, {"tag_41989": 50}, 39.6),
    # 50 mm, 3,600 pixels on 36 mm of sensor, then scaled down to 360
    ((360, 240), 1, {"tag_37386": 50.0, "tag_41486": 1000.0, "tag_41488": 3, "tag_40962": 3600, "tag_40963": 2400}, 39.6),
    ((360, 240), 1, {"tag_37386": 50.0}, None),
    ((360, 240), 1, {"tag_41989": 0, "tag_41486": 0.0}, None),
    ((360, 240), 1, {"tag_41989": 65535}, None),
])
def test_a_cameras_own_notes_tell_the_field_of_view(tmp_path, size, orientation, noted, fov):
    found = image.field_of_view(_photo_with(tmp_path / "photo.jpg", size, orientation, **noted))
    assert found == (None if fov is None else pytest.approx(fov, abs=0.1))


def test_files_without_notes_tell_no_field_of_view(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes((_photo_with(tmp_path / "a.jpg", (64, 64), tag_41989=26)).read_bytes()[:40])
    for name in ("plain.png", "broken.jpg", "nothing.jpg"):
        assert image.field_of_view(tmp_path / name) is None
