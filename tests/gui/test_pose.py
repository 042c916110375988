"""Fitting a mesh to a photo in a Blender with a window. Screenshots and pose.json stay in `pose` of NEAR_GUI."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture(scope="module")
def events(home, blender, packages) -> dict:
    out = home / "pose"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    blender("--factory-startup", "-P", str(ROOT / "tests/gui/pose.py"), "--", str(out),
            NEAR_GUI_PACKAGES=str(packages), NUM="78")
    events = json.loads((out / "pose.json").read_text())
    assert "error" not in events, events["error"]
    return events


def test_the_pose_is_shown_turned_and_given_back(events):
    print(events)
    assert events["turned"] > 0.001 and events["found_again"]


def test_what_is_accepted_is_painted_from_there(events):
    assert events["asset"] and "NeAR Pose" not in events["images"]
    # a block is the same from behind, and nothing tells which way it is up
    assert min(events["degrees"], abs(180 - events["degrees"])) < 6
