"""Networks run without anybody being told."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """
from near_core.models.mini.runtime import NearMini
assert NearMini()._load("matte").get_inputs()
"""


@pytest.mark.skipif(os.name == "nt", reason="looks at what is left in a home of Unix")
@pytest.mark.parametrize("words", [["-c", RUN], ["-m", "near_core", "info"]], ids=["network", "info"])
def test_nothing_of_what_runs_is_kept_to_be_sent(tmp_path, words):
    """onnxruntime keeps in the person's home what it will send, and a name for the machine."""
    kept = {name: value for name, value in os.environ.items()  # with any of these it would be silent by itself
            if name not in ("CI", "ORT_DISABLE_TELEMETRY") and not name.startswith(("XDG_", "GITHUB_"))}
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, timeout=120,
                   env={**kept, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert not list(tmp_path.rglob("*"))


def test_it_is_loaded_in_one_place():
    """Whoever imports it first decides."""
    loads = re.compile(r"^\s*(import onnxruntime|from onnxruntime)|importorskip\(.onnxruntime", re.M)
    found = {path.relative_to(ROOT).as_posix() for room in ("near_core", "near_blender", "kernels", "release", "tests")
             for path in (ROOT / room).rglob("*.py") if path != Path(__file__) and loads.search(path.read_text())}
    assert found == {"near_core/models/onnx.py"}
