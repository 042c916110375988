"""Fitting a mesh to a photo in a Blender with a window."""

import pytest

from tests.gui.conftest import check_holds

SCRIPT = "pose"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_the_pose_is_shown_turned_and_given_back(events):
    print(events)
    assert events["turned"] > 0.001 and events["found_again"]


def test_what_is_accepted_is_painted_from_there(events):
    assert events["asset"] and events["stands_for"] and "NeAR Pose" not in events["images"]
    # a block is the same from behind, and nothing tells which way it is up
    assert min(events["degrees"], abs(180 - events["degrees"])) < 6


def test_blender_is_not_held(events):
    check_holds(events)
