"""F12 with ordinary objects, in a Blender with a window. Screenshots stay in the folder `composed` of NEAR_GUI."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh

from near_core import asset
from near_core.create.create import create_from_mesh
from near_core.mesh import Mesh
from tests.machine import slowness

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture(scope="module")
def events(home, blender, packages) -> dict:
    out = home / "composed"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    asset.save(create_from_mesh(Mesh(ball.vertices.astype(np.float32), ball.faces.astype(np.int32)), name="Ball"),
               out / "ball.near")
    blender("--factory-startup", "-P", str(ROOT / "tests/gui/composed.py"), "--", str(out),
            NEAR_GUI_PACKAGES=str(packages), NUM="80")
    events = json.loads((out / "composed.json").read_text())
    assert "error" not in events, events["error"]
    return events


def test_f12_draws_both_parts_and_escape_stops_them(events):
    print(events["f12"], events["again"], events["escape"])
    assert events["f12"][0] == events["again"][0] == "complete" and events["escape"][0] == "cancelled"
    assert events["escape"][1] < slowness() + 1, "half a second, and what the window itself takes without a card"


def test_the_artists_file_is_left_alone(events):
    assert events["objects"] == ["Ball", "Camera", "Cube", "Light", "Plane"] and events["scenes"] == 1
    assert "Traceback" not in events["log"]
