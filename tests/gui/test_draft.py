"""Ordinary objects in Rendered mode, in a Blender with a window."""

import numpy as np
import pytest
from PIL import Image

from tests.gui.ball import save_ball
from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "ordinary"
prepare = save_ball
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def look(out, name: str) -> np.ndarray:
    """The viewport (H, W, 3), 0..1."""
    return np.asarray(Image.open(out / f"{name}.png").convert("RGB"), np.float32)[80:710, 60:920] / 255


@pytest.mark.parametrize("name", ["rest", "moving"])
def test_ordinary_objects_stand_around_the_asset(events, out, name):
    picture = look(out, name)
    red, green, blue = (picture[..., k] > 2 * picture[..., [j for j in range(3) if j != k]].max(-1) for k in range(3))
    gray = np.ptp(picture, axis=-1) < 0.06
    assert red.mean() > 0.004 and green.mean() > 0.005 and blue.mean() > 0.05 and gray.mean() > 0.05
    rows, columns = np.nonzero(red)
    around = gray[rows.min() - 20:rows.min(), columns.min():columns.max()]
    assert around.mean() > 0.3, "the cube stands before the grey ball"


def test_large_meshes_are_boxes_with_a_note(events):
    assert events["boxes"] == ["Sphere"] and "drawn as boxes: Sphere" in events["note"]


def test_drawing_and_reading_are_quick(events):
    assert max(events["draws"]) < 0.3 * slowness() and max(events["reads"]) < 0.3 * slowness(), "seconds, main thread"


def test_nothing_is_drawn_at_rest(events):
    assert events["draws_at_rest"] <= 1


@pytest.mark.parametrize("name", ["broken_draft", "broken_picture"])
def test_a_drawing_that_fails_leaves_all_as_it_was(events, name):
    before, after, message = events[name]
    assert before == after and "broken on purpose" in message


def test_drawing_goes_on_after_a_fault(events, out):
    assert np.abs(look(out, "healed") - look(out, "moved")).mean() < 0.01


@pytest.mark.parametrize("what, channel", [("cube", 0), ("sphere", 1), ("floor", 2), ("asset and World", None)])
def test_the_films_exposure_counts_for_all(events, out, what, channel):
    """The picture is shown as sRGB."""
    before, after = look(out, "healed"), look(out, "dim")
    if channel is None:
        chosen = np.ptp(before, axis=-1) < 0.06
    else:
        chosen = before[..., channel] > 2 * np.delete(before, channel, -1).max(-1)
    chosen &= (before.max(-1) < 0.98) & (before.max(-1) > 0.2)
    before, after = (np.where(p < 0.04045, p / 12.92, ((p + 0.055) / 1.055) ** 2.4)[chosen].max(-1)
                     for p in (before, after))
    assert len(before) > 1000 and np.median(after / before) == pytest.approx(0.5, abs=0.02)


def test_holdouts_are_holes(events, out):
    """In floor and World, through which the viewport is seen: the cube's, and the ball's before the floor."""
    before, after = look(out, "healed"), look(out, "holes")
    cube = before[..., 0] > 2 * before[..., 1:].max(-1)
    held = np.abs(before - after).max(-1) > 0.05
    behind = np.median(after[cube], 0)
    assert cube.sum() > 1000 and held[cube].mean() > 0.95 and held.sum() > 1.5 * cube.sum()
    assert np.abs(after[held] - behind).max(-1).mean() < 0.05, "nothing is seen through it"


def test_proxies_are_drawn_until_the_worker_answers(events, out):
    waiting, come = look(out, "waiting"), look(out, "come")
    assert events["waits"] and np.abs(waiting - come).mean() < 0.03
    ball = [(np.abs(picture - picture[5, 5]).max(-1) > 0.02) for picture in (waiting, come)]
    assert ball[1].mean() > 0.02 and (ball[0] & ball[1]).sum() > 0.8 * ball[1].sum()


def test_blender_is_not_held(events):
    check_holds(events)
