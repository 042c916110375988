"""Baking in a Blender with a window. bake.json stays in the folder `bake` of NEAR_GUI."""

import json
import shutil
from pathlib import Path

import pytest

from tests.machine import slowness

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_an_artist_watches_and_a_script_waits(home, blender, packages):
    out = home / "bake"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    blender("--factory-startup", "-P", str(ROOT / "tests/gui/bake.py"), "--", str(out),
            NEAR_GUI_PACKAGES=str(packages), NUM="80")
    events = json.loads((out / "bake.json").read_text())
    print(events)
    assert "error" not in events, events["error"]
    assert events["started"] == ["RUNNING_MODAL"] and events["away_for"] < 2 * slowness()
    assert events["baked"] == 1 and events["last"][-1] == "NEAR_OT_bake_mesh"
    assert events["baked_again"] == 2 and events["splats"] > 1000
