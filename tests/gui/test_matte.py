"""Correcting a matte in a Blender with a window."""

import time

import pytest

from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "matte"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_a_box_and_a_stroke_are_followed_within_a_second(events):
    print(events)
    assert events["saucer_left"] < 0.85 * events["saucer"]
    # of the processor: two seconds, one, of two cores
    assert events["box_followed_after"][1] < 4 * slowness(time.process_time)
    assert events["stroke_followed_after"][1] < 2 * slowness(time.process_time)
    assert events["undone"] > 0.9 * events["cup"]


def test_the_asset_is_made_again_and_nothing_stays(events):
    assert events["box"] == pytest.approx([0.26, 0.02, 0.71, 0.66], abs=0.02)
    assert events["after"] != events["before"] and "NeAR Matte" not in events["images"]


def test_a_window_of_its_own_goes_and_what_it_began_goes_on(events):
    assert events["windows"] == [2, 1] and events["goes_on"]


def test_blender_is_not_held(events):
    check_holds(events)
