"""Photos of every kind and what becomes of them."""

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from near_core import image
from near_core.create import photo
from near_core.create.photo_config import MattingConfig
from near_core.errors import NearError
from near_core.scene import camera
from tests.create.pictures import RED, check_disc, disc, mask_of


def test_alpha_is_honoured():
    cut = np.dstack([disc(), mask_of()])
    found = photo.prepare(cut)
    check_disc(found)
    assert found.box == (90, 40, 210, 160) and found.source_size == (300, 200)
    np.testing.assert_allclose(found.crop, (78, 28, 144))
    assert (found.rgb[found.alpha == 0] == 0).all()


def test_hints_beside_a_mask_are_refused():
    with pytest.raises(NearError, match="mask already says what is object"):
        photo.prepare(np.full((40, 40, 3), 255, np.uint8), np.ones((40, 40), np.float32), hinted=True)


def test_a_mask_that_is_faint_everywhere_shows_no_object():
    with pytest.raises(NearError, match="faint everywhere"):
        photo.prepare(np.dstack([disc(), mask_of() // 3]))


def opaque_but_for(what: str) -> np.ndarray:
    """(200, 300) uint8 alpha that cuts nothing out."""
    alpha = Image.new("L", (300, 200), 255)
    draw = ImageDraw.Draw(alpha)
    if what == "a pixel":
        alpha.putpixel((0, 0), 254)
    elif what == "rounded corners":
        alpha = Image.new("L", (300, 200))
        ImageDraw.Draw(alpha).rounded_rectangle((0, 0, 299, 199), 24, fill=255)
    elif what == "a corner":
        draw.polygon([(0, 0), (60, 0), (0, 60)], fill=0)
    elif what == "a strip":
        draw.rectangle((0, 0, 20, 199), fill=0)
    elif what == "two strips":
        draw.rectangle((0, 0, 299, 10), fill=0)
        draw.rectangle((280, 0, 299, 199), fill=0)
    return np.asarray(alpha)


@pytest.mark.parametrize("what", ["a pixel", "rounded corners", "a corner", "a strip", "two strips"])
def test_alpha_that_cuts_nothing_out_is_no_mask(what):
    shown = np.dstack([disc(), opaque_but_for(what)])
    matte = lambda encoded: (encoded[..., 0] > encoded[..., 2]).astype(np.float32)
    check_disc(photo.prepare(shown, matte=matte))
    mask = np.dstack([mask_of()] * 3 + [opaque_but_for(what)])
    assert not photo.cuts_out(mask[..., 3] / 255)


def test_a_box_that_stands_on_the_edge_is_cut_out():
    alpha = np.zeros((200, 300), np.float32)
    alpha[50:, 100:200] = 1
    assert photo.cuts_out(alpha)
    assert photo.cuts_out(mask_of()[40:160, 90:210] / 255), "a disc that touches all four edges"


@pytest.mark.parametrize("kind", ["array", "grey", "white with alpha"])
def test_masks(tmp_path, kind):
    mask = mask_of()
    if kind == "array":
        mask = mask / np.float32(255)
    else:
        shown = mask if kind == "grey" else np.dstack([np.full((200, 300, 3), 255, np.uint8), mask])
        Image.fromarray(shown).save(tmp_path / "m.png")
        mask = tmp_path / "m.png"
    check_disc(photo.prepare(disc(background=RED), mask=mask))


def test_a_mask_of_half_the_size_fits():
    check_disc(photo.prepare(disc(), mask=np.float32(mask_of()[::2, ::2] / 255)))
    with pytest.raises(NearError, match="does not fit"):
        photo.prepare(disc(), mask=np.ones((200, 200), np.float32))


def test_a_network_gets_small_srgb_and_is_believed():
    asked = []

    def matte(encoded):
        asked.append(encoded)
        return (encoded[..., 0] > encoded[..., 2]).astype(np.float32)

    check_disc(photo.prepare(disc(1200, 800, 240, (600, 400)), matte=matte))
    assert asked[0].shape == (683, 1024, 3) and asked[0].dtype == np.float32
    np.testing.assert_allclose(asked[0][341, 512], np.array(RED) / 255, atol=0.02)


@pytest.mark.parametrize("mode, suffix", [("RGB", ".png"), ("RGB", ".jpg"), ("RGB", ".webp"), ("RGB", ".avif"),
                                          ("P", ".png"), ("RGBA", ".webp"), ("RGBA", ".avif"), ("CMYK", ".jpg")])
def test_formats(tmp_path, mode, suffix):
    picture = Image.fromarray(disc())
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(mask_of()))
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / f"a{suffix}", quality=95, lossless=True)
    check_disc(photo.prepare(tmp_path / f"a{suffix}"))


def test_a_palette_with_alpha(tmp_path):
    picture = Image.fromarray(disc(background=RED)).quantize(15)
    indexed = Image.fromarray(np.where(mask_of() > 0, np.asarray(picture), 15).astype(np.uint8), "P")
    indexed.putpalette(picture.getpalette()[:45] + [0, 0, 0])
    indexed.save(tmp_path / "a.png", transparency=15)
    check_disc(photo.prepare(tmp_path / "a.png"))


def test_grey_and_sixteen_bit(tmp_path):
    deep = np.where(mask_of() > 0, 52000, 14000).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    check_disc(photo.prepare(tmp_path / "a.png"), color=(202.3,) * 3)
    Image.fromarray(np.where(mask_of() > 0, 30, 200).astype(np.uint8)).save(tmp_path / "b.png")
    check_disc(photo.prepare(tmp_path / "b.png"), color=(30,) * 3)


def test_exif_orientation(tmp_path):
    upright = disc(300, 200, 40, (70, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned; a viewer turns it by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "a.png", exif=exif)
    found = photo.prepare(tmp_path / "a.png")
    check_disc(found)
    assert found.source_size == (300, 200)
    np.testing.assert_allclose(found.box, (30, 20, 110, 100), atol=2.5)


def test_an_exr_is_a_photo_too(tmp_path):
    linear = image.srgb_decode(disc() / 255)
    alpha = mask_of()[..., None] / np.float32(255)
    image.write_exr(tmp_path / "a.exr", {"Combined": np.concatenate([linear * alpha, alpha], 2)})
    check_disc(photo.prepare(tmp_path / "a.exr"))


@pytest.mark.parametrize("picture", [
    np.full((1, 1, 3), 128, np.uint8), np.full((200, 300, 3), 128, np.uint8), np.zeros((200, 300, 4), np.uint8),
    np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8), np.zeros((0, 5, 3), np.uint8),
    np.zeros((5, 5), np.uint8), np.zeros((20000, 1, 3), np.uint8),
    np.linspace(0, 255, 300).astype(np.uint8)[None, :, None].repeat(200, 0).repeat(3, 2)],
    ids=["one pixel", "even", "no alpha", "noise", "nothing", "flat", "a line", "gradient"])
def test_no_object(picture):
    with pytest.raises(NearError) as failure:
        photo.prepare(picture)
    assert failure.value.what.endswith(".") and failure.value.fix


@pytest.mark.parametrize("channels, value", [(3, 255), (4, 255), (3, 90)])
def test_a_photo_of_one_colour_shows_nothing_whatever_a_network_says(channels, value):
    """White paper, and a wall with the noise of a camera."""
    noise = np.random.default_rng(0).integers(-3, 4, (64, 80, channels)) * (value < 255)
    picture = np.uint8(np.full((64, 80, channels), value) + noise * np.array([1, 1, 1, 0])[:channels])
    with pytest.raises(NearError, match="one colour all over"):
        photo.prepare(picture, matte=lambda seen: np.pad(np.ones((32, 48), np.float32), 16))


def test_one_solid_pixel_is_an_object():
    found = photo.prepare(np.uint8([[[255, 255, 255, 255], [0, 0, 0, 0]]]))
    assert np.isfinite(found.rgb).all() and found.alpha.max() > 0.5
    assert np.isfinite(found.guess_camera().world_to_camera).all()


def test_empty_masks_and_mattes():
    for options in ({"mask": np.zeros((200, 300), np.float32)}, {"matte": lambda rgb: np.zeros(rgb.shape[:2])},
                    {"matte": lambda rgb: np.full(rgb.shape[:2], np.nan)}):
        with pytest.raises(NearError):
            photo.prepare(disc(), **options)


def test_damaged_and_missing_files(tmp_path):
    Image.fromarray(disc()).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for length in (0, 7, 30, len(whole) // 2):
        (tmp_path / "a.png").write_bytes(whole[:length])
        with pytest.raises(NearError):
            photo.prepare(tmp_path / "a.png")
    for name in ("none.png", "a.txt"):
        with pytest.raises(NearError):
            photo.prepare(tmp_path / name)


@pytest.mark.slow
def test_a_picture_of_twenty_thousand_pixels(tmp_path):
    Image.new("L", (20000, 20000)).save(tmp_path / "a.png")
    with pytest.raises(NearError, match="more pixels than NeAR reads"):
        photo.prepare(tmp_path / "a.png")


@pytest.mark.timing
def test_twelve_megapixels_take_seconds_at_most(tmp_path):
    """Measured: 27 times as long, 41 where decoding was quick."""
    Image.fromarray(disc()).resize((4000, 3000)).save(tmp_path / "a.jpg", quality=90)

    def least(function):  # of two: a machine may be slow for a while, and the first run imports what it needs
        seconds = []
        for _ in range(2):
            started = time.process_time()  # other work on the machine does not count
            function()
            seconds.append(time.process_time() - started)
        return min(seconds)

    decoding = least(lambda: np.asarray(Image.open(tmp_path / "a.jpg")))  # says how quick the machine is just now
    assert least(lambda: photo.prepare(tmp_path / "a.jpg")) < 80 * decoding, decoding


def test_the_crop_is_carried_through_a_known_camera():
    found = photo.prepare(np.dstack([disc(at=(200, 80)), mask_of(at=(200, 80))]))
    known = camera.orbit(30, 20, 3, 50, 600, 400)  # of the same picture at twice the resolution
    cropped = found.cropped(known)
    assert (cropped.width, cropped.height) == (photo.SIZE, photo.SIZE)
    x, y, side = found.crop
    for u, v in ((0.1, 0.2), (0.5, 0.5), (0.9, 0.6)):  # the same ray through the same place of the picture
        pixel = np.array([(x + u * side) * 2, (y + v * side) * 2, 1])
        window = np.array([u * photo.SIZE, v * photo.SIZE, 1])
        np.testing.assert_allclose(np.linalg.inv(known.intrinsics) @ pixel,
                                   np.linalg.inv(cropped.intrinsics) @ window, atol=1e-9)


@pytest.mark.parametrize("at", [(150, 100), (235, 65), (66, 134)])
def test_the_default_camera_frames_the_cube_by_the_matte(at):
    found = photo.prepare(np.dstack([disc(at=at), mask_of(at=at)]))
    seen = found.guess_camera(azimuth=25, elevation=10, fov=60)
    centre = seen.intrinsics @ seen.world_to_camera[:3, 3]
    np.testing.assert_allclose(centre[:2] / centre[2], photo.SIZE / 2, atol=0.1)  # the cube's middle, the crop's middle
    distance = np.linalg.norm(seen.position)
    np.testing.assert_allclose(seen.position / distance, camera.orbit(25, 10, 1, 60, 8, 8).position, atol=1e-9)
    # a ball of diameter 1 has the matte's outline
    ball = np.random.default_rng(0).normal(size=(20000, 3))
    points = 0.5 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    pixels = (points @ seen.world_to_camera[:3, :3].T + seen.world_to_camera[:3, 3]) @ seen.intrinsics.T
    extent = np.ptp(pixels[:, :2] / pixels[:, 2:], axis=0).max()
    assert extent == pytest.approx(photo.SIZE / MattingConfig.photo_margin, rel=0.02)


def test_the_default_distance_is_right_for_typical_objects(shared):
    """Distances by the matte against the true ones of the dev set's input views."""
    import json
    ratios = []
    for view in sorted((shared / "data/eval/views").glob("*/0.json")):
        true = camera.from_json(json.loads(view.read_text())["camera"])
        cut = image.read_photo(view.with_suffix(".exr"))
        ratios.append(np.linalg.norm(photo.prepare(cut).guess_camera().position) / np.linalg.norm(true.position))
    assert 0.95 < np.median(ratios) < 1.05 and np.percentile(np.abs(np.log(ratios)), 90) < 0.35


def test_examples_with_alpha(shared):
    for path in sorted((shared / "data/near_examples/images").glob("*.png")):
        found = photo.prepare(path)
        assert 0.1 < found.alpha.mean() < 0.75
        border = np.concatenate([found.alpha[0], found.alpha[-1], found.alpha[:, 0], found.alpha[:, -1]])
        assert border.max() < 0.05


@pytest.mark.parametrize(("width", "is_fine"), [(240, False), (900, True)])
def test_a_larger_photo_is_kept_finer_too(width, is_fine):
    """A disc with a black line, 1 / 300 of it wide: darker where it is kept finer."""
    made = disc(width, width, 0.4 * width, (width / 2, width / 2))
    made[:, width // 2:width // 2 + max(width // 300, 1)] = 0
    found = photo.prepare(made, mask=mask_of(width, width, 0.4 * width, (width / 2, width / 2)) / 255)
    assert (found.fine is not None) == is_fine
    if is_fine:
        middle = slice(photo.FINE // 2 - 20, photo.FINE // 2 + 20)
        coarse = image.srgb_encode(found.rgb[photo.SIZE // 2, :, 0])
        assert found.fine.dtype == np.uint8 and found.fine.shape == (photo.FINE, photo.FINE, 4)
        assert found.fine[photo.FINE // 2, middle, 0].min() / 255 < 0.75 * coarse[100:156].min()
        assert (found.mirror().fine == found.fine[:, ::-1]).all()
