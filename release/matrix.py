"""Which Blenders the tests ran in: a command that runs them, and the README's table that comes from it.

`build.py matrix` makes an environment for each of Blender's modules in .cache/matrix and runs tests/blender there; with
--window it runs tests/gui in Blenders with one. It writes down in docs/matrix.json what was run on what.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

from . import packing
from .shell import CACHE, PYTHON, ROOT, Stop, run, say, step

# Blender's module -> its Python. A window comes from Debian's own packages, by tests/gui
MODULES = {"4.2.23": "3.11", "4.5.15": "3.11", "5.0.1": "3.11", "5.2.3": "3.13"}
WINDOWS = {"4.3": "trixie", "5.2": "sid"}
NUMPY = {"3.11": "numpy==1.26.4", "3.13": "numpy==2.3.5"}  # near what these Blenders have
TESTS = ("pytest==9.2.0",)
RECORD, README = ROOT / "docs" / "matrix.json", ROOT / "README.md"
MARKS = "<!-- matrix -->", "<!-- /matrix -->"


@dataclass(frozen=True)
class Outcome:
    """A run of tests in one Blender. kind: "module" or "window". what: which of them, "" for the whole folder."""

    blender: str
    kind: str
    python: str
    system: str
    device: str
    commit: str
    day: str
    passed: int
    failed: int
    skipped: int
    what: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What a later run of the same replaces."""
        return self.blender, self.kind, self.system


def go_through(modules: list[str], windows: list[str], words: list[str]) -> int:
    """Runs the tests in these Blenders, records them and draws the table; 1 where any failed. words: for pytest,
    instead of the whole folder."""
    failed = 0
    for version in modules:
        with step(f"Blender {version}"):
            interpreter = make_environment(version)
            if interpreter is None:
                say(f"Blender {version} needs Python {MODULES[version]}, which is not here: not run")
                continue
            failed += _run(version, "module", MODULES[version], interpreter, words or ["tests/blender"], {})
    for version in windows:
        with step(f"Blender {version} with a window"):
            chosen = ["-m", "gui", *(words or ["tests/gui"])]
            failed += _run(version, "window", "", PYTHON, chosen, {"SUITE": WINDOWS[version]})
    return int(failed > 0)


def make_environment(version: str) -> Path | None:
    """An environment with Blender's module of a version and what the zip brings; its Python, or None where that Python
    is not on this machine."""
    wanted = MODULES[version]
    if f"bpy=={version}" in packing.list_pins(("build",)):
        return PYTHON
    base = find_python(wanted)
    if base is None:
        return None
    folder = CACHE / "matrix" / version
    interpreter, stamp = folder / "bin" / "python", folder / "installed"
    pins = [f"bpy=={version}", NUMPY[wanted], *TESTS,
            *(pin for pin in packing.list_pins(()) if not pin.startswith("numpy=="))]
    if not stamp.is_file() or stamp.read_text() != "\n".join(pins):
        say(f"making an environment for Blender {version}")
        run(base, "-m", "venv", "--clear", folder)
        run(interpreter, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *pins)
        stamp.write_text("\n".join(pins))
    return interpreter


def find_python(version: str) -> str | None:
    """The command that starts Python `version`; None where there is none that works."""
    name = shutil.which(f"python{version}")
    if name is None:
        return None
    said = run(name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])", check=False, quiet=True)
    return name if said.stdout.strip() == version else None


def _run(version: str, kind: str, python: str, interpreter: Path, words: list[str], extra: dict[str, str]) -> int:
    """Runs the tests in one Blender and records them at once, so that another's end loses nothing; how many failed."""
    listing = CACHE / "matrix" / f"{kind}-{version}.xml"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.unlink(missing_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    done = run(interpreter, "-m", "pytest", "-q", f"--junitxml={listing}", *words, check=False,
               env={**os.environ, "OMP_WAIT_POLICY": "passive", **extra})
    if done.returncode not in (0, 1) or not listing.is_file():  # of pytest: all passed, some failed
        raise Stop(f"The tests of Blender {version} did not run to their end (status {done.returncode}); see above.")
    passed, failed, skipped = count(listing.read_text())
    whole = words in (["tests/blender"], ["-m", "gui", "tests/gui"])
    what = "" if whole else f"of {' '.join(words)}" if len(words) < 4 else f"of {len(words)} files"
    record([Outcome(version, kind, python, describe_system(), describe_device(), commit.stdout.strip(),
                    time.strftime("%Y-%m-%d"), passed, failed, skipped, what)])
    return failed


def count(listing: str) -> tuple[int, int, int]:
    """Passed, failed and skipped tests of a JUnit file."""
    suites = list(ElementTree.fromstring(listing).iter("testsuite"))
    total, failures, errors, skipped = (sum(int(suite.get(name, 0)) for suite in suites)
                                        for name in ("tests", "failures", "errors", "skipped"))
    return total - failures - errors - skipped, failures + errors, skipped


def describe_system() -> str:
    """The system's name as people know it."""
    named = platform.freedesktop_os_release() if sys.platform.startswith("linux") else {}
    return f"{named.get('PRETTY_NAME', platform.system()).split(' (')[0]}, {platform.machine()}"


def describe_device() -> str:
    """What computed: the processor's name. NeAR and these tests use no graphics card."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    found = re.search(r"model name\s*: (.+)", text)
    return found[1].strip() if found else platform.processor()


def record(runs: list[Outcome]) -> None:
    """Puts runs into docs/matrix.json, each in place of the older one of its kind, and draws the table anew."""
    kept = {each.key: each for each in read_record()} | {each.key: each for each in runs}
    ordered = sorted(kept.values(), key=lambda each: (each.kind, [int(n) for n in each.blender.split(".")]))
    RECORD.write_text(json.dumps([asdict(each) for each in ordered], indent=1) + "\n")
    text = README.read_text()
    start, stop = (text.find(mark) for mark in MARKS)
    if not 0 <= start < stop:
        raise Stop(f"README.md must hold {MARKS[0]} and, below, {MARKS[1]}: the table goes between them.")
    README.write_text(f"{text[:start]}{MARKS[0]}\n{draw_table(ordered)}\n{text[stop:]}")


def read_record() -> list[Outcome]:
    return [Outcome(**each) for each in json.loads(RECORD.read_text())] if RECORD.is_file() else []


def draw_table(runs: list[Outcome]) -> str:
    """The README's table of what was run, in Markdown."""
    rows = []
    for each in runs:
        how = f"as a module, Python {each.python}" if each.kind == "module" else "in a window"
        tests = f"{each.passed} tests passed" + (f", **{each.failed} failed**" if each.failed else "") \
            + (f", {each.skipped} skipped" if each.skipped else "") + (f" {each.what}" if each.what else "")
        rows.append(f"| {each.blender} | {each.system} | {each.device} | {how}: {tests}; {each.day}, {each.commit} |")
    return "\n".join(["| Blender | system | device | what was run |", "|---|---|---|---|", *rows])
