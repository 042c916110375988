"""Creating and importing in a Blender with a window: progress, Escape, undo, file dialogs.

Set up like test_window.py, with the Blender's folder `packages` on its path: onnxruntime for its Python has to be
there. Screenshots and creation.json stay in the folder `creation`.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from near_core import asset

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture(scope="module")
def events(shared) -> dict:
    tool, home = shared / "tools" / "gui-blender.sh", Path(os.environ.get("NEAR_GUI", ROOT / ".cache" / "gui"))
    if not tool.is_file() or os.geteuid() != 0:
        pytest.skip("needs the shared tool gui-blender.sh and root")
    out = home / "creation"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    cell = np.argwhere(np.ones((8, 8, 8))).astype(np.uint8) + 28
    plain = asset.NeuralAsset(cell, np.full((512, 8), 0.5, np.float16), np.zeros((512, 0), np.float16), name="Block")
    asset.save(plain, out / "block.near")
    environment = os.environ | {"BIND": f"/tmp {ROOT} {home}", "LIMIT": "300", "NUM": "78"}
    session = str(ROOT / "tests/gui/creation.py")
    subprocess.run([str(tool), str(home), "--factory-startup", "-P", session, "--", str(out)], env=environment,
                   timeout=900, check=False)
    events = json.loads((out / "creation.json").read_text())
    assert "error" not in events, events["error"]
    if "onnxruntime is not there" in events["log"]:
        pytest.skip("onnxruntime for this Blender's Python is not in NEAR_GUI/packages")
    return events


def test_creation_goes_on_beside_the_artist(events):
    assert events["is_modal"] and events["second_is_refused"]
    assert len(events["statuses"]) >= 3 and all(re.match(r"[A-Z].*, \d+%", status) for status in events["statuses"])


def test_creation_is_one_undo_step(events):
    assert len(events["created"]) == len(events["before"]) + 1
    assert events["undone"] == events["before"] and events["redone"] == ["Suzanne.001"]


def test_escape_changes_nothing_and_stops_the_worker(events):
    assert events["after_escape"] == events["created"]
    assert events["worker_stopped_after"] < 0.6


def test_the_file_dialog_imports_in_one_undo_step(events):
    assert events["imported"] == sorted([*events["created"], "Block"])
    assert events["import_undone"] == events["created"]
