"""The sheet of photos: every photo has a row, a failure says why."""

import numpy as np
import pytest
from PIL import Image

from near_core import image
from near_core.lab.evaluation import photo_sheet
from near_core.models.mini.runtime import NearMini

SIZE = 48


def test_a_row_of_tiles_and_a_row_that_says_why(tmp_path):
    if not {"intrinsics", "structure", "slat"} <= set(NearMini().graphs):
        pytest.skip("this build has no photo networks")
    y, x = np.mgrid[:96, :96]
    ball = (x - 48) ** 2 + (y - 48) ** 2 < 30**2
    photo = np.where(ball[..., None], (200, 40, 30), (240, 240, 240)).astype(np.uint8)
    Image.fromarray(np.dstack([photo, np.where(ball, 255, 0).astype(np.uint8)])).save(tmp_path / "a.png")
    Image.fromarray(np.full((96, 96, 4), (240, 240, 240, 0), np.uint8)).save(tmp_path / "b.png")  # nothing there
    sky = np.full((16, 32, 4), 3.0, np.float32)
    image.write_exr(tmp_path / "sky.exr", {"Combined": sky})
    assert photo_sheet.main(["--photos", str(tmp_path), "--hdri", str(tmp_path / "sky.exr"), "--size", str(SIZE),
                             "--keep-alpha", "--out", str(tmp_path / "s.png")]) == 0
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    step = SIZE + photo_sheet.GAP
    assert sheet.shape == (2 * step - photo_sheet.GAP, 5 * step - photo_sheet.GAP, 3)
    tiles = sheet[:SIZE, :SIZE], sheet[:SIZE, step:][:, :SIZE], sheet[:SIZE, 2 * step:][:, :SIZE]
    assert tiles[0][24, 24].tolist() == [200, 40, 30] and tiles[1][24, 24].tolist() == [255, 255, 255]
    assert tiles[1][0, 0].tolist() == [0, 0, 0] and int(tiles[2][24, 24, 0]) > int(tiles[2][24, 24, 2])
    assert sheet[step + 2, step + 2].tolist() == [90, 20, 20]  # why there is none


def test_a_map_is_brought_to_one_brightness(tmp_path):
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.full((16, 32, 4), 4.0, np.float32)})
    assert photo_sheet.normalize_light(tmp_path / "sky.exr").strength == pytest.approx(0.25, rel=1e-3)


def test_wrong_folders_are_told_in_words(tmp_path, capsys):
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.ones((16, 32, 4), np.float32)})
    assert photo_sheet.main(["--photos", str(tmp_path), "--hdri", str(tmp_path / "sky.exr"), "--out", "s.png"]) == 2
    assert "no photos" in capsys.readouterr().err
