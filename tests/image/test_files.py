"""near_core.image.files: pictures in and out, damaged ones, too."""

import struct
import time
import zlib

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from near_core import image
from near_core.errors import NearError
from tests.machine import short_of_memory, slowness
from tests.pictures import radiance, write_hdr

RNG = np.random.default_rng(0)


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


def make_profile(primaries, gamma: float) -> bytes:
    """A minimal ICC profile (ICC.1:2001-04): chromaticities of red, green and blue with a white of D65, adapted to D50
    by Bradford, and one gamma."""
    def to_xyz(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    white, d50 = to_xyz(0.3127, 0.3290), np.array([0.9642, 1, 0.8249])
    matrix = np.stack([to_xyz(*each) for each in primaries], 1)
    matrix = matrix * np.linalg.solve(matrix, white)
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    matrix = np.linalg.inv(cone) @ np.diag((cone @ d50) / (cone @ white)) @ cone @ matrix
    fixed = lambda values: b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"Test\0" + bytes(81),
            b"cprt": b"text" + bytes(4) + b"none" + bytes(4), b"wtpt": b"XYZ " + bytes(4) + fixed(d50),
            **{name: b"XYZ " + bytes(4) + fixed(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T)},
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(d50)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("primaries, gamma, stored", [
    (((.68, .32), (.265, .69), (.15, .06)), 2.2, (183, 72, 48)),  # Display P3, Adobe RGB, ProPhoto RGB
    (((.64, .33), (.21, .71), (.15, .06)), 2.2, (173, 62, 37)),
    (((.7347, .2653), (.1596, .8404), (.0366, .0001)), 1.8, (134, 69, 34))])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_profiles_are_honoured(tmp_path, primaries, gamma, stored, mode):
    picture = Image.new("RGB", (8, 8), stored)
    picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    picture.save(tmp_path / "a.png", icc_profile=make_profile(primaries, gamma))
    read = image.read_photo(tmp_path / "a.png")[4, 4]
    assert np.abs(read[:3].astype(int) - (200, 60, 30)).max() <= 3
    assert mode != "RGBA" or read[3] == 100


def test_a_damaged_profile_does_not_matter(tmp_path):
    Image.new("RGB", (8, 8), (200, 60, 30)).save(tmp_path / "a.png", icc_profile=b"nonsense" * 30)
    assert image.read_photo(tmp_path / "a.png")[4, 4].tolist() == [200, 60, 30]


def test_grey_of_16_bits_with_a_transparent_grey(tmp_path):
    values = np.array([[0, 30000], [40000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", transparency=30000)
    read = image.read(tmp_path / "a.png", linear=False)
    assert np.allclose(read[..., :3], values[..., None] / 65535, atol=1e-6)
    assert read[..., 3].tolist() == [[1, 0], [1, 1]]


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
    image.write_png(tmp_path / "a.png", image.premultiply(straight))
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


@pytest.mark.parametrize("kind", ["exr", "hdr", "png", "bmp.png"])
def test_what_a_file_promises_and_cannot_hold_is_damage_and_takes_no_memory(tmp_path, kind):
    path, side = tmp_path / f"a.{kind}", 13000
    if kind == "exr":
        image.write_exr(path, {"Combined": np.zeros((9, 12, 4), np.float32)})
        window, huge = struct.pack("<4i", 0, 0, 11, 8), struct.pack("<4i", 0, 0, side - 1, side - 1)
        path.write_bytes(path.read_bytes().replace(window, huge))
    elif kind == "hdr":
        path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n\2\2\x40\0" % (side, side) + bytes(500))
    else:
        Image.new("RGB", (4, 4)).save(path, "BMP" if kind == "bmp.png" else "PNG")
        data = path.read_bytes()
        head = b"IHDR" + struct.pack(">2I", side, side) + data[24:29]
        path.write_bytes(data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:] if kind == "png" else
                         data[:18] + struct.pack("<2i", side, side) + data[26:])
    with short_of_memory(64), pytest.raises(NearError, match="damaged or not what"):
        image.read(path)


def test_a_large_picture_of_which_an_exr_has_a_corner_is_counted(tmp_path):
    """One of 16,384^2 in 60 channels is 64 GB, and its file 2 kB."""
    window = lambda side: (np.int32([0, 0]), np.int32([side - 1, side - 1]))
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, "dataWindow": window(4)}
    channels = {f"c{number}.V": np.ones((4, 4), np.float32) for number in range(60)}
    OpenEXR.File({**header, "displayWindow": window(16384)}, channels).write(str(tmp_path / "a.exr"))
    with pytest.raises(NearError, match="16106 million values"):
        image.read_layers(tmp_path / "a.exr")
    OpenEXR.File({**header, "displayWindow": window(2048)}, {"R": channels["c0.V"]}).write(str(tmp_path / "b.exr"))
    assert image.read(tmp_path / "b.exr").shape == (2048, 2048, 1) and image.read(tmp_path / "b.exr").sum() == 16


@pytest.mark.timing
def test_a_picture_one_pixel_wide_is_read_in_no_time(tmp_path):
    """One of 2^28 pixels is a file of 500 kB."""
    Image.new("L", (1, 4_000_000), 255).save(tmp_path / "a.png")
    start = time.process_time()
    assert image.read(tmp_path / "a.png").shape == (4_000_000, 1, 1)
    assert image.read(tmp_path / "a.png", max_side=1000).min() == 1
    assert time.process_time() - start < 5


def test_a_chunk_that_promises_gigabytes_takes_no_memory(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    at = data.index(b"IDAT")
    (tmp_path / "a.png").write_bytes(data[:at - 4] + struct.pack(">I", 2**30) + data[at:])
    with short_of_memory(64):
        assert image.read(tmp_path / "a.png").shape == (4, 4, 3), "all of its pixels are there"


@pytest.mark.timing
@pytest.mark.parametrize("crumbs", ["chunks", "fill"])
def test_a_picture_of_crumbs_is_damage_and_takes_no_time(tmp_path, crumbs):
    """What lies between a picture's parts is read piece by piece: a file of 100 MB would take minutes."""
    path = tmp_path / ("a.png" if crumbs == "chunks" else "a.jpg")
    Image.new("RGB", (4, 4)).save(path)
    data, text = path.read_bytes(), b"tEXta\0b"
    chunk = struct.pack(">I", 3) + text + struct.pack(">I", zlib.crc32(text))
    for count, whole in ((1000, True), (10**6, False)):
        path.write_bytes(data[:33] + chunk * count + data[33:] if crumbs == "chunks" else
                         data[:2] + b"\xff" * count + data[2:])
        start = time.process_time()
        if whole:
            assert image.read(path).shape == (4, 4, 3)
        else:
            with pytest.raises(NearError, match="damaged or not what"):
                image.read(path)
        assert time.process_time() - start < 3


@pytest.mark.timing
def test_a_bmp_of_short_runs_is_whole(tmp_path):
    """Pillow reads these byte by byte; what is no pixel of it still takes no time."""
    side, path = 768, tmp_path / "a.png"  # by any name
    codes = np.repeat(np.random.default_rng(0).integers(0, 256, (side, side // 2), np.uint8), 2, 1)
    row = np.stack([np.full_like(codes[:, ::2], 2), codes[:, ::2]], -1).reshape(side, -1)
    runs = np.concatenate([row, np.zeros((side, 2), np.uint8)], 1).tobytes() + b"\0\1"
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, 1).tobytes()

    def wrap(runs: bytes) -> bytes:
        return struct.pack("<2sIII", b"BM", 1078 + len(runs), 0, 1078) + struct.pack(
            "<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 2835, 2835, 256, 0) + palette + runs

    path.write_bytes(wrap(runs))
    assert np.array_equal(np.round(255 * image.srgb_encode(image.read(path)[::-1, :, 0])), codes)
    path.write_bytes(wrap(b"\0\2\0\0" * 10**6))
    start = time.process_time()
    with pytest.raises(NearError, match="damaged or not what"):
        image.read(path)
    assert time.process_time() - start < 3 * slowness(time.process_time)


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
