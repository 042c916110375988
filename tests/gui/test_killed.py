"""Workers are killed while two viewports draw and an asset is made: the window lives, and all ends as without that."""

import pytest

SCRIPT = "killed"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_both_viewports_show_what_they_showed_before(events):
    assert len(events["killed"]) == 6 and all(events["killed"]), "each round met a process"
    assert len(events["before"]) == 2 and events["after"] == events["before"]
    assert events["messages"] == ["", ""] and "Traceback" not in events["log"]


def test_the_asset_is_the_same(events):
    first, second = events["made"]
    assert events["maker"] and len(first) == 1 and second == first
    assert events["warnings"][0] == "" and "crashed" in events["warnings"][1]


def test_no_process_is_left(events):
    assert events["workers"] == 2, "one that draws, one that makes assets"
