"""What an artist says of a matte is followed."""

import time

import numpy as np
import pytest

from near_core.create import create
from near_core.create.hints import Hints, box_of_pixels, follow_hints
from near_core.create.matting import MatteFinder, open_near, predict_matte
from near_core.create.photo import prepare
from near_core.create.photo_config import MattingConfig
from near_core.errors import NearError
from near_core.models.mini.runtime import NearMini
from tests.create.pictures import RED, check_disc, disc, mask_of


def dabs(*points: tuple[float, float], radius: float = 0.02) -> np.ndarray:
    return np.array([[*point, radius] for point in points], np.float32)


def overlap(alpha: np.ndarray, truth: np.ndarray) -> float:
    return ((alpha > 0.5) & truth).sum() / ((alpha > 0.5) | truth).sum()


def two_discs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H, W, 3) of a red disc and a green one on a wall, and where they are."""
    red, green = (mask_of(480, 320, 80, at) > 0 for at in ((130, 160), (350, 160)))
    picture = np.where(green[..., None], (40, 150, 60), disc(480, 320, 80, (130, 160))).astype(np.float32) / 255
    return picture, red, green


def test_a_dab_takes_what_is_of_one_colour_with_it_and_no_more():
    picture, red, green = two_discs()
    none, all_ = np.full(red.shape, 0.02, np.float32), np.full(red.shape, 0.98, np.float32)
    across = lambda x: dabs(*((x + step, y) for step in (-0.08, 0, 0.08) for y in (0.4, 0.5, 0.6)))
    taken = follow_hints(none, picture, Hints(inside=across(130 / 480))) > 0.5
    assert taken[red].mean() > 0.7 and not taken[~red].any()
    left = follow_hints(np.where(red | green, all_, none), picture, Hints(outside=across(350 / 480))) > 0.5
    assert left[green].mean() < 0.3 and left[red].all()
    faint = follow_hints(np.zeros(red.shape, np.float32), picture, Hints(inside=across(130 / 480)))
    assert not faint[:, 400:].any()  # where no dab speaks, nothing changes
    both = follow_hints(none, picture, Hints(inside=dabs((130 / 480, 0.5)), outside=dabs((130 / 480, 0.3))))
    assert (both[160, 130] > 0.9) and (both[96, 130] < 0.1)  # the nearer one counts


def test_nothing_outside_a_box_belongs_to_the_object(model):
    picture, red, green = two_discs()
    for truth, at in ((red, 130), (green, 350)):
        hints = Hints(box_of_pixels((at - 90, 70, at + 90, 250), 480, 320))
        found = predict_matte(open_near(model), picture, hints=hints)
        assert overlap(found, truth) > 0.9 and not found[:, :at - 91].any() and not found[:60].any()
    made = prepare((picture * 255).astype(np.uint8), matte=lambda small: predict_matte(
        open_near(model), small, hints=Hints((50 / 480, 80 / 320, 210 / 480, 240 / 320))))
    check_disc(made, RED, 0.05)


def test_a_box_or_a_number_takes_one_of_a_cut_out_sheet_of_views():
    picture, red, green = two_discs()
    sheet = np.dstack([picture * 255, (red | green) * 255]).astype(np.uint8)
    cut = lambda hints: prepare(sheet, matte=create.matte_of(NearMini(), hints=hints), hinted=True)
    boxed, second = cut(Hints((0, 0, 0.5, 1))), cut(Hints(number=2))
    check_disc(boxed, RED, 0.05)
    assert not boxed.is_found and boxed.box == (50, 80, 210, 240) and second.box == (270, 80, 430, 240)
    stroke = [(350 / 480 + x, y) for x in (-0.1, 0, 0.1) for y in (0.35, 0.5, 0.65)]
    assert cut(Hints(outside=dabs(*stroke, radius=0.06))).box == boxed.box  # no rim of the green one is left
    kept = cut(Hints(outside=dabs(*stroke, radius=0.06), inside=dabs((429 / 480, 0.5), radius=0.005)))
    assert kept.box[2] > 400


@pytest.mark.timing
def test_several_objects_are_offered_and_the_next_hint_is_quick(model):
    picture, red, green = two_discs()
    finder = MatteFinder(open_near(model), picture)
    assert len(MatteFinder(open_near(model), picture, MattingConfig(offered_objects=1)).list_objects()) == 1
    offered = finder.list_objects()
    for truth in (red, green):
        assert max(overlap(matte, truth) for matte in offered) > 0.9
    assert (finder.find(Hints(number=1)) == offered[0]).all()
    for number in (9, -1):
        with pytest.raises(NearError, match=f"no object {number}"):
            finder.find(Hints(number=number))
    finder.find(Hints(inside=dabs((0.5, 0.5))))
    start = time.process_time()
    finder.find(Hints(inside=dabs((0.5, 0.5), (0.27, 0.5)), outside=dabs((0.7, 0.5))))
    assert time.process_time() - start < 1


@pytest.mark.timing
def test_a_stroke_on_a_large_photo_with_alpha_is_quick():
    """And right to the pixel."""
    picture, red, green = (each.repeat(2, 0).repeat(2, 1) for each in two_discs())
    finder = MatteFinder(open_near(NearMini()), np.dstack([picture, red | green]).astype(np.float32))
    stroke = dabs(*((350 / 480 + x, y) for x in (-0.1, 0, 0.1) for y in (0.35, 0.5, 0.65)), radius=0.06)
    start = time.process_time()
    left = finder.find(Hints(outside=stroke))
    assert time.process_time() - start < 0.5
    assert (left[red] == 1).all() and left[~red].max() < 0.06


def test_a_hint_counts_in_a_window_as_in_the_photo():
    hints = Hints((0.2, 0.3, 0.6, 0.7), dabs((0.4, 0.5)), number=2).crop(0.2, 0.1, 0.5, 0.8)
    assert hints.box == pytest.approx((0, 0.25, 0.8, 0.75)) and hints.number == 2
    assert hints.inside[0] == pytest.approx((0.4, 0.5, 0.04))


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.6), (1.1, 0, 1.2, 1), (0.6, 0, 0.2, 1),
                                 (0, 0, np.inf, 1)])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(NearError, match="box"):
        Hints(box)


@pytest.mark.parametrize("far", [3e38, 1e308, np.inf, np.nan])
def test_what_lies_farther_away_than_a_hand_draws_is_none(far):
    for box in ((-far, 0, 1, 1), (0, 0, far, 1)):
        with pytest.raises(NearError, match="box around the object"):
            Hints(box)
    for dab in ((far, 0.5, 0.1), (0.5, far, 0.1), (0.5, 0.5, far)):
        for side in ("inside", "outside"):
            with pytest.raises(NearError, match="stroke on the photo is damaged"), np.errstate(over="ignore"):
                Hints(**{side: np.float32([dab])})
