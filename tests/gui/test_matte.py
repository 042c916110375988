"""Correcting a matte in a Blender with a window. Screenshots and matte.json stay in the folder `matte` of NEAR_GUI."""

import json
import shutil
from pathlib import Path

import pytest

from tests.machine import slowness

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture(scope="module")
def events(home, blender, packages) -> dict:
    out = home / "matte"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    blender("--factory-startup", "-P", str(ROOT / "tests/gui/matte.py"), "--", str(out),
            NEAR_GUI_PACKAGES=str(packages), NUM="79")
    events = json.loads((out / "matte.json").read_text())
    assert "error" not in events, events["error"]
    return events


def test_a_box_and_a_stroke_are_followed_within_a_second(events):
    print(events)
    assert events["saucer_left"] < 0.85 * events["saucer"]
    assert events["box_followed_after"] < 1 + slowness() and events["stroke_followed_after"] < slowness()
    assert events["undone"] > 0.9 * events["cup"]


def test_the_asset_is_made_again_and_nothing_stays(events):
    assert events["box"] == pytest.approx([0.26, 0.02, 0.71, 0.66], abs=0.02)
    assert events["after"] != events["before"] and "NeAR Matte" not in events["images"]
