"""The pictures of docs/start.md, made in a Blender with a window from a zip without its wheels; they stay in the folder
`start` of NEAR_GUI."""

import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from release import packing

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_five_minutes(home, blender, packages, tmp_path):
    out = home / "start"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    packing.stage(tmp_path / "near", ["linux-x64"], [], ["3.11", "3.13"])
    manifest = tmp_path / "near" / "blender_manifest.toml"
    manifest.write_text(re.sub(r"^(wheels|blender_version_max) = .*\n", "", manifest.read_text(), flags=re.M))
    archive = tmp_path / "near.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((tmp_path / "near").rglob("*")):
            packed.write(path, path.relative_to(tmp_path / "near"))
    blender("-P", str(ROOT / "tests/gui/start.py"), "--", str(archive), str(out), NEAR_GUI_PACKAGES=str(packages),
            BLENDER_USER_RESOURCES=str(tmp_path), BIND=f"/tmp {ROOT} {home} {tmp_path}", LIMIT="800")
    told = json.loads((out / "start.json").read_text())
    assert "error" not in told, told["error"]
    assert len(list(out.glob("*.png"))) == 8
