"""release.matrix: runs are counted as pytest counts them, and the README says what was run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from release import matrix, packing
from release.shell import Stop

FIRST = matrix.Trial("4.2.23", "module", "3.11", "Debian, x86_64", "A chip", {
    "blender/test_a.py": matrix.Outcome(7, 0, 1, "abc", "2026-01-01"),
    "blender/test_b.py": matrix.Outcome(5, 0, 0, "abc", "2026-01-01")})

PINNED = next(version for version in matrix.MODULES if f"bpy=={version}" in packing.list_pins(("build",)))


def test_counts_are_pytests_own(tmp_path):
    (tmp_path / "test_four.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n"
        "@pytest.fixture\ndef broken(): raise OSError\ndef test_d(broken): pass\n")
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=made.xml", "."],
                   cwd=tmp_path, capture_output=True)
    assert matrix.count((tmp_path / "made.xml").read_text()) == (1, 2, 1)


@pytest.fixture
def documents(tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "RECORD", tmp_path / "matrix.json")
    monkeypatch.setattr(matrix, "README", tmp_path / "README.md")
    matrix.README.write_text("above\n<!-- matrix -->\nold\n<!-- /matrix -->\nbelow\n")


def test_a_file_that_runs_again_takes_the_place_of_what_was_known_of_it(documents):
    matrix.record(FIRST)
    matrix.record(replace(FIRST, blender="5.0.1", files={"blender/test_a.py": matrix.Outcome(
        5, 2, 0, "abd", "2026-01-02")}))
    matrix.record(replace(FIRST, files={"blender/test_b.py": matrix.Outcome(9, 0, 0, "abe", "2026-01-02")}))
    text = matrix.README.read_text()
    assert text.startswith("above\n<!-- matrix -->\n| Blender |") and text.endswith("|\n<!-- /matrix -->\nbelow\n")
    assert "old" not in text and text.index("4.2.23") < text.index("5.0.1")
    assert "5 tests passed, **2 failed** of 1 files; 2026-01-02 |" in text
    assert "16 tests passed, 1 skipped of 2 files; 2026-01-01 to 2026-01-02 |" in text


def test_a_blender_that_ends_takes_no_other_file_along(documents, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "CACHE", tmp_path)
    for name, text in (("ends", "import os\ndef test_a(): os._exit(3)\n"), ("none", ""),
                       ("passes", "def test_a(): pass\n")):
        (tmp_path / f"test_{name}.py").write_text(text)
    assert matrix.go_through([PINNED], [], [str(tmp_path), "-p", "no:cacheprovider"]) == 1
    [found] = matrix.read_record()
    assert {name: (each.passed, each.failed) for name, each in found.files.items()} == {
        "test_ends.py": (0, 1), "test_passes.py": (1, 0)}
    with pytest.raises(Stop, match="No test"):
        matrix.go_through([PINNED], [], [str(tmp_path / "test_passes.py"), "-k", "nothing", "-p", "no:cacheprovider"])


def test_a_blender_that_does_not_end_is_stopped(documents, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(matrix, "CACHE", tmp_path)
    monkeypatch.setattr(matrix, "LONGEST", 5)
    (tmp_path / "test_waits.py").write_text("import time\ndef test_a(): time.sleep(100)\n")
    assert matrix.go_through([PINNED], [], [str(tmp_path), "-p", "no:cacheprovider"]) == 1
    assert f"Blender {PINNED} was stopped in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "5", "[5]", '[{"blender": "4.2"}]', '[{"files": {"a": [1]}}]', "[" * 100_000])
def test_a_record_that_is_none_is_said(documents, text):
    matrix.RECORD.write_text(text)
    with pytest.raises(Stop, match="Take it from the repository"):
        matrix.record(FIRST)


def test_a_readme_without_a_place_for_it_is_said(documents):
    matrix.README.write_text("nothing")
    with pytest.raises(Stop, match="<!-- matrix -->"):
        matrix.record(FIRST)


def test_the_readme_has_the_place():
    text = (Path(matrix.__file__).parents[1] / "README.md").read_text()
    assert 0 < text.find(matrix.MARKS[0]) < text.find(matrix.MARKS[1])


def test_a_python_that_is_not_here_is_none():
    assert matrix.find_python("2.9") is None
