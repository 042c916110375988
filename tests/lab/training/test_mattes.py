"""What the matting network learns from: photos that are left out, held out and weighed, and composites that fit their
alpha."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from near_core.lab.training.data import mattes


def disc(alpha_inside=255):
    y, x = np.mgrid[:90, :120]
    inside = np.hypot(x - 70, y - 40) < 25
    return np.dstack([np.where(inside[..., None], [200, 30, 20], [40, 90, 60]), inside * alpha_inside]).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for number in range(30):
        rgba = disc(255 if number % 2 else 160)
        Image.fromarray(rgba[..., :3]).save(tmp_path / f"photo{number}.jpg")
        Image.fromarray(rgba[..., 3]).save(tmp_path / f"photo{number}.png")
    return tmp_path


def test_photos_are_left_out_held_out_and_weighed(folder, tmp_path_factory):
    apart = tmp_path_factory.mktemp("apart")
    (apart / "photo3.jpg").touch()
    learned, held = mattes.read_photos([folder], [apart])
    assert len(learned) + len(held) == 29 and 0 < len(held) < 15
    assert len(mattes.read_places([folder], [apart])) == len(learned)
    assert {photo.weight for photo in learned} == {0.2, 1.0}  # where the matte is grey, and where it is sure


def compositor(size=96):
    rng = np.random.default_rng(0)
    maps = [rng.uniform(0, 1, (32, 64, 3)).astype(np.float16)]
    places = [rng.integers(0, 255, (60, 80, 3), np.uint8)]
    return mattes.Compositor({"photo": [mattes.Matted(disc())]}, places, maps, size, rng)


def test_a_crop_shows_the_object_where_its_alpha_is():
    makes = compositor()
    for _ in range(20):
        picture, alpha = makes.crop(mattes.Matted(disc()))
        red = picture[0] - picture[1]
        assert alpha.max() > 0.9 and red[alpha > 0.95].min() > 0.3 and red[alpha < 0.05].max() < 0.1


def test_a_composite_shows_the_object_where_its_alpha_is(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(mattes, "GLASS", 0)
    monkeypatch.setattr(mattes, "MOTTLED", 0)
    makes = compositor()
    thing = mattes.Matted(disc())
    for _ in range(20):
        picture, alpha = makes.compose(thing)
        assert picture.shape == (3, 96, 96) and 0 <= picture.min() and picture.max() <= 1
        inside = picture[:, alpha > 0.99]
        assert alpha.max() > 0.9 and inside.std(1).max() < 0.02 and inside[0].mean() > inside[2].mean()


def test_glass_shows_what_is_behind_within_an_outline_that_stays():
    makes = compositor()
    y, x = makes.grid()
    alpha = (torch.hypot(x, y) < 0.6).float()
    light, behind = torch.full((3, 96, 96), 0.9) * alpha, torch.full((3, 96, 96), 0.1)
    for _ in range(20):
        seen = makes.see_through(light, alpha, behind)
        assert 0 <= seen.min() and seen.max() <= 0.91 and not seen[:, alpha == 0].any()
        assert seen[0, (alpha > 0) & (torch.hypot(x, y) > 0.57)].mean() > 0.7 and seen[0, alpha > 0].min() < 0.6


def test_things_put_together_are_all_the_object(monkeypatch):
    monkeypatch.setattr(mattes, "GLASS", 0)
    makes = compositor()
    alone, crowd = ([makes.compose(*[mattes.Matted(disc())] * count)[1].sum() for _ in range(30)] for count in (1, 3))
    assert np.mean(crowd) > 1.1 * np.mean(alone)
    assert mattes.Matted(disc()).intricacy < 1.3


def test_samples_are_pictures_as_a_camera_hands_them_over():
    torch.manual_seed(0)
    makes = compositor()
    for _ in range(20):
        picture, alpha, weight = makes.draw()
        assert picture.shape == (3, 96, 96) and alpha.shape == (96, 96) and weight == 1
        assert -1 <= picture.min() and picture.max() <= 1 and 0 <= alpha.min() and alpha.max() <= 1
