"""near_core.image.exif: what photos say of their lens."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from near_core import image


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
    ((360, 240), 1,
     {"tag_37386": 50.0, "tag_41486": 1000.0, "tag_41488": 3, "tag_40962": 3600, "tag_40963": 2400}, 39.6),
    ((360, 240), 1, {"tag_37386": 50.0}, None),
    ((360, 240), 1, {"tag_41989": 0, "tag_41486": 0.0}, None),
    ((360, 240), 1, {"tag_41989": 65535}, None),
])
def test_a_cameras_own_notes_tell_the_field_of_view(tmp_path, size, orientation, noted, fov):
    found = image.read_field_of_view(_photo_with(tmp_path / "photo.jpg", size, orientation, **noted))
    assert found == (None if fov is None else pytest.approx(fov, abs=0.1))


def test_files_without_notes_tell_no_field_of_view(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "broken.jpg").write_bytes((_photo_with(tmp_path / "a.jpg", (64, 64), tag_41989=26)).read_bytes()[:40])
    for name in ("plain.png", "broken.jpg", "nothing.jpg"):
        assert image.read_field_of_view(tmp_path / name) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_after_its_turns(tmp_path, orientation):
    """As Pillow has it."""
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=exif)
    quarters, mirrored = image.read_turn(tmp_path / "photo.png")
    upright = np.rot90(stored, -quarters)
    with Image.open(tmp_path / "photo.png") as file:
        assert np.array_equal(upright[:, ::-1] if mirrored else upright, np.asarray(ImageOps.exif_transpose(file)))
