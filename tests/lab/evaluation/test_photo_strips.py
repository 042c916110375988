"""What becomes of photos, one strip an object."""

import numpy as np
import pytest
from PIL import Image

from near_core import image
from near_core.lab.evaluation import photo_strips
from near_core.models.mini.runtime import NearMini
from near_core.render.renderer import Renderer
from near_core.scene.environment import uniform


def ball(color) -> np.ndarray:
    y, x = np.mgrid[:96, :96]
    return np.dstack([np.full((96, 96, 3), color, np.uint8),
                      np.where((x - 48) ** 2 + (y - 48) ** 2 < 30**2, 255, 0).astype(np.uint8)])


@pytest.mark.slow
def test_a_row_for_one_photo_and_one_for_all():
    if not {"intrinsics", "structure", "slat"} <= set(NearMini().graphs):
        pytest.skip("this build has no photo networks")
    photos = [ball((200, 40, 30)), ball((40, 60, 200))]
    strip = photo_strips.compose_strip(photos[:1], "ball", uniform((1, 1, 1)), 32, Renderer())
    assert strip.shape == (32, 5 * 32, 3)
    red, _, blue = strip[16, 48].astype(int)
    assert strip[16, 16].tolist() == [200, 40, 30] and red > blue + 40  # the photo, and the asset's front


def test_what_is_no_object_says_why(tmp_path):
    Image.fromarray(np.full((96, 96, 3), 240, np.uint8)).save(tmp_path / "wall.png")
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.ones((16, 32, 4), np.float32)})
    assert photo_strips.main(["--photos", str(tmp_path), "--hdri", str(tmp_path / "sky.exr"), "--size", "32",
                              "--out", str(tmp_path / "made")]) == 0
    strip = np.asarray(Image.open(tmp_path / "made/wall.jpg")).astype(int)
    assert strip.shape == (32, 5 * 32, 3) and strip[30, 60, 0] > strip[30, 60, 1] + 40


def test_a_map_is_brought_to_one_brightness(tmp_path):
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.full((16, 32, 4), 4.0, np.float32)})
    assert photo_strips.normalize_light(tmp_path / "sky.exr").strength == pytest.approx(0.25, rel=1e-3)


def test_a_folder_without_photos_is_told_in_words(tmp_path, capsys):
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.ones((16, 32, 4), np.float32)})
    assert photo_strips.main(["--photos", str(tmp_path), "--hdri", str(tmp_path / "sky.exr"),
                              "--out", str(tmp_path / "made")]) == 2
    assert "no photos" in capsys.readouterr().err
