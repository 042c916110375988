"""near_core.image.files: pictures in and out, damaged ones, too."""

import numpy as np
import pytest
from PIL import Image

from near_core import image
from near_core.errors import NearError
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
