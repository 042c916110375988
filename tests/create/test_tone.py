"""What the networks' colours are corrected by as a whole."""

import numpy as np
import pytest

from near_core.asset import Surfels, Texels
from near_core.create.config import ToneConfig
from near_core.create.tone import boost_saturation, calm_highlights, correct_brightness, scale_colors
from near_core.image import srgb_decode, srgb_encode
from tests.surfaces import lay

SIDE = 40  # surfels along the side of a board


def board(colors: np.ndarray) -> tuple[Surfels, Texels]:
    """A board of SIDE x SIDE surfels in linear colours (SIDE * SIDE, 3), a texel on each, slightly lighter."""
    at = np.linspace(-0.4, 0.4, SIDE, dtype=np.float32)
    place = np.stack(np.meshgrid(at, [0], at, indexing="ij"), -1).reshape(-1, 3)
    surfels = lay(place, (0, -1, 0), colors, 0.5)
    return surfels, Texels(np.arange(len(place), dtype=np.int32), place, np.full_like(place, 0.05), surfels.area)


def plain(*color: float) -> np.ndarray:
    return np.tile(np.float32(color), (SIDE * SIDE, 1))


def test_saturation_grows_around_the_mean():
    paint = board(srgb_decode(plain(0.6, 0.5, 0.4)))[0]
    np.testing.assert_allclose(srgb_encode(boost_saturation(paint, 2.0).base_color)[0], [0.7, 0.5, 0.3], atol=1e-4)


def test_texels_follow_their_surfels():
    surfels, texels = board(plain(0.4, 0.2, 0.1))
    made, finer = scale_colors(surfels, texels, np.full((len(surfels), 1), 0.5, np.float32))
    np.testing.assert_allclose(made.base_color[0], [0.2, 0.1, 0.05], rtol=1e-5)
    np.testing.assert_allclose(finer.compute_colors(made), 0.5 * texels.compute_colors(surfels), rtol=1e-3)


@pytest.mark.parametrize(("found", "made"), [(0.002, 0.006), (0.01, 0.03), (0.1, 0.073), (0.47, 0.47), (0.6, 0.6),
                                              (1.0, 0.75)])
def test_an_object_becomes_as_bright_as_things_are_that_are_found_so_bright(found, made):
    surfels, texels = board(plain(found, found, found))
    np.testing.assert_allclose(correct_brightness(surfels, texels)[0].base_color, made, rtol=1e-4)


@pytest.mark.parametrize("curve", [ToneConfig.brightness, ToneConfig.several_brightness])
def test_who_is_found_brighter_is_made_brighter(curve):
    boards = [board(plain(found, found, found)) for found in np.geomspace(0.01, 1, 40)]
    made = [correct_brightness(*each, curve)[0].base_color[0, 0] for each in boards]
    assert (np.diff(made) > 0).all()


@pytest.mark.parametrize(("found", "factor"), [(0.8, 1.0), (0.47, 1.0), (0.047, 10**-0.2)])
def test_of_several_photos_the_darker_an_object_the_darker_it_becomes(found, factor):
    made = correct_brightness(*board(plain(found, found, found)), ToneConfig.several_brightness)[0]
    np.testing.assert_allclose(made.base_color, found * factor, rtol=1e-3)


def test_what_no_photo_shows_says_nothing_of_how_dark_an_object_is():
    colors = plain(0.1, 0.1, 0.1)
    colors[: len(colors) // 2] = 0.9
    surfels, texels = board(colors)
    surfels.confidence[: len(colors) // 2] = 0  # the bright half
    assert correct_brightness(surfels, texels)[0].base_color[-1, 0] == pytest.approx(0.073, rel=1e-3)


def test_highlights_are_calmed_and_what_has_a_color_of_its_own_is_not():
    """Three spots on red: one twice as bright, a white one, and one but a tenth brighter."""
    red = plain(0.3, 0.03, 0.03)
    spot = np.zeros((SIDE, SIDE), int)
    for number, at in enumerate((8, 20, 32), 1):
        spot[at - 1:at + 2, 19:22] = number
    row = spot.ravel()
    red[row == 1] *= 2
    red[row == 2] = 0.7
    red[row == 3] *= 1.1
    surfels, texels = board(red)
    made, finer = calm_highlights(surfels, texels)
    factor = made.base_color[:, 0] / red[:, 0]
    most = ToneConfig.highlight_share * np.log(2 / ToneConfig.highlight)  # were nothing around it bright, too
    assert 0.7 * most < -np.log(factor[row == 1]).mean() < most
    np.testing.assert_allclose(factor[row != 1], 1, atol=1e-5)
    fine, before = finer.compute_colors(made), texels.compute_colors(surfels)
    np.testing.assert_allclose(fine[row != 1], before[row != 1], atol=1e-3)
