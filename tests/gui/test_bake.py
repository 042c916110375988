"""Baking in a Blender with a window."""

import pytest

from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "bake"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_an_artist_watches_and_a_script_waits(events):
    assert events["started"] == ["RUNNING_MODAL"] and events["away_for"] < 2 * slowness()
    assert events["baked"] == 1 and events["last"][-1] == "NEAR_OT_bake_mesh"
    assert events["baked_again"] == 2 and events["splats"] > 1000


def test_blender_is_not_held(events):
    check_holds(events)
