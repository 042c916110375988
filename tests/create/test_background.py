"""The object found without a network."""

import numpy as np
import pytest

from near_core import image
from near_core.create import photo
from near_core.create.background import follow_colors, remove_background
from tests.create.pictures import check_disc, disc, mask_of


def test_a_plain_background_is_removed():
    check_disc(photo.prepare(disc()))


def test_composites_over_environments(shared):
    """Intersection over union on dev set objects over HDRI crops; a network does better, this must not get worse."""
    overlaps = []
    for number, (name, hdri) in enumerate([("kh_avocado", "quarry_02"), ("ch_soap", "studio_small_08"),
                                           ("ch_poker_1", "spree_bank"), ("mk_present", "studio_small_03")]):
        picture = image.read(shared / "data/eval/views" / name / "0.exr")
        world = image.read(shared / "data/assets/hdris" / f"{hdri}.hdr")
        behind = world[90:218, 40 * number:40 * number + 128].repeat(2, 0).repeat(2, 1)
        behind = behind / np.percentile(behind, 90) * 0.8
        encoded = image.srgb_encode(picture[..., :3] + behind * (1 - picture[..., 3:]))[::2, ::2]
        found, true = remove_background(encoded) > 0.5, picture[::2, ::2, 3] > 0.5
        overlaps.append((found & true).sum() / (found | true).sum())
    assert np.mean(overlaps) > 0.6


def test_a_real_photo_gives_its_object():
    coffee = pytest.importorskip("skimage.data").coffee()
    found = photo.prepare(coffee)
    x, y, side = found.crop
    alpha = np.zeros(coffee.shape[:2])
    rows, columns = np.mgrid[:400, :600] + 0.5
    inside = (np.abs(columns - x - side / 2) < side / 2) & (np.abs(rows - y - side / 2) < side / 2)
    cell = photo.SIZE / side
    alpha[inside] = found.alpha[((rows - y) * cell)[inside].astype(int), ((columns - x) * cell)[inside].astype(int)]
    assert alpha[180:260, 150:400].mean() > 0.9  # cup and saucer
    assert alpha[:25].mean() < 0.05 and alpha[:, :40].mean() < 0.05 and alpha[:, 560:].mean() < 0.05  # the table


def test_what_a_network_is_unsure_of_follows_the_colours():
    """Of a red disc it is sure of the left, and unsure of the right; of a wall behind, of a corner."""
    picture, truth = disc(160, 160, 50, (80, 80)) / np.float32(255), mask_of(160, 160, 50, (80, 80)) > 0
    x = np.arange(160)[None]
    alpha = np.where(truth, np.where(x < 80, 0.95, 0.35), np.where(x < 130, 0.02, 0.6)).astype(np.float32)
    made = follow_colors(alpha, picture)
    assert ((made > 0.5) != truth).mean() < 0.01 < 0.2 < ((alpha > 0.5) != truth).mean()
    grey = np.random.default_rng(0).normal(0.5, 0.02, (160, 160, 3)).astype(np.float32)
    same = follow_colors(truth.astype(np.float32), grey)  # where colours tell nothing, it is right
    assert ((same > 0.5) != truth).mean() < 0.01
    assert (follow_colors(np.zeros((160, 160), np.float32), picture) == 0).all()


def machine(tray: bool) -> tuple[np.ndarray, np.ndarray]:
    """A machine on white, brown and grey above, of whose dark half a network is sure that it is none; it knows the
    tray below."""
    picture, alpha = np.full((160, 160, 3), 0.99, np.float32), np.full((160, 160), 0.02, np.float32)
    picture[40:80, 40:120] = 0.6, 0.3, 0.2
    picture[70:80, 40:120] = 0.4
    picture[80:132, 40:120] = 0.08
    alpha[40:80, 40:120] = 0.97
    if tray:
        picture[120:132, 40:120] = 0.5, 0.5, 0.7
        alpha[120:132, 40:120] = 0.97
    return picture, alpha


def cast_shadow(picture: np.ndarray, top: int) -> None:
    """Paints a shadow below what stands in columns 40 to 120 of a picture, dark where they touch, and to its right."""
    rows, columns = np.mgrid[:160, :160]
    dark = np.clip(1 - np.abs(rows - top) / np.where(rows < top, 12, 24), 0, 1)
    dark *= np.clip((152 - columns) / 30, 0, 1) * (columns > 36)
    dark = np.where((rows < top) & (columns < 120), 0, dark)
    picture *= 1 - (1 - 0.4) * np.clip(1.6 * dark, 0, 1)[..., None]


@pytest.mark.parametrize("tray", (False, True))
def test_what_differs_from_a_plain_backdrop_is_object(tray):
    picture, alpha = machine(tray)
    made = follow_colors(alpha, picture) > 0.5
    assert made[42:130, 42:118].all() and not made[134:].any() and not made[:38].any()
    picture[:, :30] = 0.3, 0.5, 0.2  # a wall of two colours is no backdrop
    assert not (follow_colors(alpha, picture) > 0.5)[100:108, 42:118].any()


@pytest.mark.parametrize("what", ("box", "machine"))
def test_a_shadow_on_a_plain_backdrop_stays_out(what):
    """As dark as sRGB 0.4 where it touches the object, softer farther away, and beside the object, too."""
    picture, alpha = machine(what == "machine")
    low = 132 if what == "machine" else 80
    if what == "box":
        picture[low:] = 0.99
    cast_shadow(picture, low)
    assert picture[low:].min() < 0.42
    made = follow_colors(alpha, picture) > 0.5
    assert made[42:low - 2, 42:118].all() and not made[low + 2:].any() and not made[:, 123:].any()
