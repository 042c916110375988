"""F12 with ordinary objects, in a Blender with a window."""

import pytest

from tests.gui.ball import save_ball
from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "composed"
prepare = save_ball
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_f12_draws_both_parts_and_escape_stops_them(events):
    print(events["f12"], events["again"], events["escape"])
    assert events["f12"][0] == events["again"][0] == "complete" and events["escape"][0] == "cancelled"
    assert events["escape"][1] < slowness() + 1, "half a second, and what the window itself takes without a card"


def test_the_artists_file_is_left_alone(events):
    assert events["objects"] == ["Ball", "Camera", "Cube", "Light", "Plane"] and events["scenes"] == 1
    assert "Traceback" not in events["log"]


def test_blender_is_not_held(events):
    check_holds(events)
