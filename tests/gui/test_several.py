"""From Mesh with several objects selected, in a Blender with a window."""

import pytest

from tests.gui.conftest import check_holds

SCRIPT = "several"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_all_that_is_selected_is_made_and_counted(events):
    print(events)
    assert events["made"] == {"assets": ["Cone.001", "Cube.001"], "hidden": ["Cone", "Cube"],
                              "selected": ["Cone.001", "Cube.001"]}
    assert {status.split(":")[0] for status in events["statuses"]} >= {"1 of 3", "2 of 3"}


def test_it_is_one_undo_step(events):
    assert events["undone"] == events["before"] and not events["before"]["assets"]


def test_escape_keeps_what_is_done(events):
    assert len(events["stopped"]["assets"]) == len(events["stopped"]["hidden"]) == 1
    assert events["stopped_undone"] == events["before"]


def test_blender_is_not_held(events):
    check_holds(events)
