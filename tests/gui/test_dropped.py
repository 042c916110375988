"""Files dropped on the viewport as a file manager drops them, by XDND."""

import pytest

from tests.gui.ball import save_ball

SCRIPT = "dropped"
prepare = save_ball
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_an_asset_lands_where_it_is_dropped(events):
    assert events["asset_taken"] == 0 and events["asset"] == ["Ball"] and events["place"][2] > 0


def test_a_photo_begins_to_be_an_asset(events):
    assert events["photo_taken"] == 0 and events["creating"] == "coffee"


def test_photos_that_are_dropped_together_are_shown_with_their_views_first(events):
    assert events["listed"][:2] == [["cup_front.jpg", "FRONT"], ["cup_right.jpg", "RIGHT"]]
    assert len(events["listed"]) == 4 and events["asked_first"]
