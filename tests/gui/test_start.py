"""The pictures of docs/start.md, made in a Blender with a window from a zip without its wheels; they stay in the folder
`start` of NEAR_GUI."""

import json
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_five_minutes(home, blender, archive, packages, tmp_path):
    out = home / "start"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    blender("-P", str(ROOT / "tests/gui/start.py"), "--", str(archive), str(out), NEAR_GUI_PACKAGES=str(packages),
            BLENDER_USER_RESOURCES=str(tmp_path), BIND=f"/tmp {ROOT} {home}", LIMIT="800")
    told = json.loads((out / "start.json").read_text())
    assert "error" not in told, told["error"]
    assert len(list(out.glob("*.png"))) == 8
