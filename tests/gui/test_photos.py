"""Photos in the dialog of a Blender with a window: which thing is meant, before there is an asset."""

import time

import pytest

from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "photos"
BOX = [0.26, 0.02, 0.71, 0.66]
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_an_object_is_picked_in_a_window_of_its_own_while_the_dialog_waits(events):
    print(events)
    assert events["windows"] == [2, 1] and events["waits"] and events["box"] == pytest.approx(BOX, abs=0.02)


def test_what_is_drawn_is_followed_within_a_second(events):
    assert events["saucer_left"] < 0.85 * events["saucer"]
    assert events["box_followed_after"][1] < 4 * slowness(time.process_time), "two seconds of two cores"


def test_the_asset_is_made_of_what_was_picked_and_called_as_the_photo(events):
    assert events["creating"] == "My cup (front)"
    name, count, box = events["made"]
    assert (name, count) == ("My cup (front)", 3) and box == pytest.approx(BOX, abs=0.02)


def test_blender_is_not_held(events):
    check_holds(events)


def test_a_click_beside_the_dialog_loses_nothing(events):
    assert events["left"] and events["kept"] == ["My cup (front).jpg", "FRONT"]
