"""Creating and importing in a Blender with a window: progress, Escape, undo, file dialogs."""

import re
from pathlib import Path

import numpy as np
import pytest

from near_core import asset
from tests.gui.conftest import check_holds
from tests.machine import slowness

SCRIPT = "creation"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def prepare(out: Path) -> None:
    cell = np.argwhere(np.ones((8, 8, 8))).astype(np.uint8) + 28
    plain = asset.NeuralAsset(cell, np.full((512, 8), 0.5, np.float16), np.zeros((512, 0), np.float16), name="Block")
    asset.save(plain, out / "block.near")


def test_creation_goes_on_beside_the_artist(events):
    assert events["is_modal"] and events["second_is_refused"]
    assert len(events["statuses"]) >= 3 and all(re.match(r"[A-Z].*, \d+%", status) for status in events["statuses"])


def test_creation_is_one_undo_step(events):
    assert len(events["created"]) == len(events["before"]) + 1
    assert events["undone"] == events["before"] and events["redone"] == ["Suzanne.001"]


def test_a_large_mesh_is_read_beside_the_artist(events):
    place, faces, is_made = events["large"]
    assert faces > 900_000 and is_made and np.allclose(place, (4, 0, 0), atol=1e-4)


def test_escape_changes_nothing_and_stops_the_worker(events):
    print(*(f"{name} {events[name]}" for name in ("mesh_stopped_after", "photo_stopped_after")))
    assert events["after_escape"] == events["created"] and not events["images_after_escape"]
    assert max(events["mesh_stopped_after"], events["photo_stopped_after"]) < 0.5 * slowness()


def test_the_file_dialog_imports_in_one_undo_step(events):
    assert events["imported"] == sorted([*events["created"], "Block"])
    assert events["import_undone"] == events["created"]


def test_the_clipboard_is_looked_at(events):
    assert events["clipboard"].startswith("Blender sees no picture")


def test_blender_is_not_held(events):
    check_holds(events)
