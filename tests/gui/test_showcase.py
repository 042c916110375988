"""A turntable and Check Setup in a Blender with a window: to the end, and stopped."""

import pytest

from tests.gui.ball import save_ball
from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "showcase"
prepare = save_ball
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_the_setup_is_checked_beside_the_artist(events):
    assert all(well for well, _ in events["found"]) and len(events["found"]) >= 6
    assert events["check_was_under_way"] and max(events["check_stopped_after"]) < 0.5 * slowness()
    assert events["check_says"] == ["Check Setup stopped"] * 2, "by Esc and by the button"


def test_a_turntable_comes_to_its_end(events):
    assert {"turntable_0003.png", "turntable_sheet.png"} <= set(events["files"]) and events["camera_is_back"]


def test_escape_stops_a_turntable(events):
    print(events["turntable_stopped_after"])
    assert max(events["turntable_stopped_after"]) < 0.5 * slowness()
    assert events["sheets"] == [True, True], "of the pictures that there are"


def test_blender_is_not_held(events):
    check_holds(events)
