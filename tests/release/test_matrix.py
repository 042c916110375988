"""release.matrix: runs are counted as pytest counts them, and the README says what was run."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from release import matrix, packing
from release.shell import Stop

FIRST = matrix.Outcome("4.2.23", "module", "3.11", "Debian, x86_64", "A chip", "abc", "2026-01-01", 7, 0, 1)


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


def test_a_run_replaces_its_older_one_in_the_table(documents):
    matrix.record([FIRST])
    later = matrix.Outcome("5.0.1", "module", "3.11", FIRST.system, FIRST.device, "abd", "2026-01-02", 5, 2, 0,
                           "of one")
    again = dataclasses.replace(FIRST, passed=9, commit="abe")
    matrix.record([later, again])
    text = matrix.README.read_text()
    assert text.startswith("above\n<!-- matrix -->\n| Blender |") and text.endswith("|\n<!-- /matrix -->\nbelow\n")
    assert "old" not in text and text.index("4.2.23") < text.index("5.0.1")
    assert "abc" not in text and "5 tests passed, **2 failed** of one" in text
    assert "9 tests passed, 1 skipped; 2026-01-01, abe" in text


def test_what_was_run_is_kept_where_a_later_run_breaks_off(documents, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix, "CACHE", tmp_path)
    pinned = next(version for version in matrix.MODULES if f"bpy=={version}" in packing.list_pins(("build",)))
    test = tmp_path / "test_short.py"
    test.write_text("import os\nif 'SUITE' in os.environ: os._exit(3)\ndef test_a(): pass\n")
    with pytest.raises(Stop, match="5.2 did not run to their end"):
        matrix.go_through([pinned], ["5.2"], [str(test), "-p", "no:cacheprovider"])
    with pytest.raises(Stop, match="did not run"):
        matrix.go_through([pinned], [], [str(test), "-k", "nothing", "-p", "no:cacheprovider"])
    assert [(each.blender, each.passed) for each in matrix.read_record()] == [(pinned, 1)]


def test_a_readme_without_a_place_for_it_is_said(documents):
    matrix.README.write_text("nothing")
    with pytest.raises(Stop, match="<!-- matrix -->"):
        matrix.record([FIRST])


def test_the_readme_has_the_place():
    text = (Path(matrix.__file__).parents[1] / "README.md").read_text()
    assert 0 < text.find(matrix.MARKS[0]) < text.find(matrix.MARKS[1])


def test_a_python_that_is_not_here_is_none():
    assert matrix.find_python("2.9") is None
