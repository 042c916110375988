"""A real Blender with a window, what the extension's zip would bring for its Python, and what happened in it.

A test file names the script of this folder that its Blender runs, SCRIPT, and may have a function prepare(out), which
puts into the script's folder what that begins with. Screenshots and notes stay in that folder of NEAR_GUI.

Blender is set up by the shared tool gui-blender.sh in NEAR_GUI (default .cache/gui; minutes and 1.5 GB the first time).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from release import packing
from tests.machine import slowness

ROOT = Path(__file__).resolve().parents[2]
SUITE = os.environ.get("SUITE", "sid")  # which of Debian's Blenders: sid's 5.2 or trixie's 4.3
PYTHON = {"sid": "3.14", "trixie": "3.13"}[SUITE]
WHEELS = ("onnxruntime==1.32.0", "safetensors==0.8.0", "pillow==13.0.0", "flatbuffers", "protobuf", "packaging")


@pytest.fixture(scope="session")
def home() -> Path:
    return Path(os.environ.get("NEAR_GUI", ROOT / ".cache" / "gui"))


@pytest.fixture(scope="session")
def packages(home) -> Path:
    folder = home / f"packages-{PYTHON}"
    if not (folder / "PIL").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(folder),
                        "--python-version", PYTHON, "--only-binary=:all:", "--no-deps", *WHEELS], check=True)
    return folder


@pytest.fixture(scope="session")
def blender(shared, home):
    """Runs that Blender with the given arguments and environment."""
    tool = shared / "tools" / "gui-blender.sh"
    if not tool.is_file() or os.geteuid() != 0:
        pytest.skip("needs the shared tool gui-blender.sh and root")

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"BIND": f"/tmp {ROOT} {home}", "LIMIT": "400"} | environment
        return subprocess.run([str(tool), str(home), *arguments], env=environment, timeout=900, check=False)
    return run


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """The extension's zip without its wheels, which are of other Pythons than that Blender's."""
    folder = tmp_path_factory.mktemp("zip")
    packing.stage(folder / "near", ["linux-x64"], [], ["3.11", "3.13"])
    manifest = folder / "near" / "blender_manifest.toml"
    manifest.write_text(re.sub(r"^(wheels|blender_version_max) = .*\n", "", manifest.read_text(), flags=re.M))
    with zipfile.ZipFile(folder / "near.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted((folder / "near").rglob("*")):
            packed.write(path, path.relative_to(folder / "near"))
    return folder / "near.zip"


@pytest.fixture(scope="module")
def out(request, home) -> Path:
    """The folder of the test file's script."""
    return home / request.module.SCRIPT


@pytest.fixture(scope="module")
def events(request, out, blender, packages) -> dict:
    """What the test file's script has noted."""
    script, displays = request.module.SCRIPT, sorted(path.stem for path in (ROOT / "tests/gui").glob("*.py"))
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    getattr(request.module, "prepare", lambda folder: None)(out)
    blender("--factory-startup", "-P", str(ROOT / "tests/gui/run.py"), "--", str(out), script,
            NEAR_GUI_PACKAGES=str(packages), NUM=str(int(os.environ.get("NUM", 78)) + displays.index(script)))
    noted = json.loads((out / f"{script}.json").read_text())
    assert "error" not in noted, noted["error"]
    return noted


def check_holds(events: dict) -> None:
    """That no function of ours kept Blender from its window for a tenth of a second."""
    print(events["holds"])
    long = {name: times for name, times in events["holds"].items() if times[0] > 0.1 * slowness()}
    assert not long, "seconds less those that another program had the processor, and of them of the processor"
