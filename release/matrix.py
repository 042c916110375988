"""Which Blenders the tests ran in: a command that runs them, and the README's table that comes from it.

`build.py matrix` makes an environment for each of Blender's modules in .cache/matrix and runs tests/blender there; with
--window it runs tests/gui in Blenders with one. Each file of tests has a process of its own: a Blender that ends takes
no other's along, and parts may be run one after the other. docs/matrix.json keeps what was run on what.
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
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
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
NUMBERS = ("passed", "failed", "skipped")
NOTHING = 5  # pytest's status where no test was chosen
LONGEST = 1800  # seconds that a file of tests may take


@dataclass(frozen=True)
class Outcome:
    """What became of a file of tests."""

    passed: int
    failed: int
    skipped: int
    commit: str
    day: str


@dataclass(frozen=True)
class Trial:
    """Tests in one Blender. kind: "module" or "window". files: below tests -> what became of them."""

    blender: str
    kind: str
    python: str
    system: str
    device: str
    files: dict[str, Outcome]

    @property
    def key(self) -> tuple[str, str, str]:
        """What runs of the same have alike."""
        return self.blender, self.kind, self.system


def go_through(modules: list[str], windows: list[str], words: list[str]) -> int:
    """Runs the tests in these Blenders, records them and draws the table; 1 where any failed. words: files and folders
    of tests, in place of all, and options for pytest."""
    failed = 0
    for version in modules:
        with step(f"Blender {version}"):
            interpreter = make_environment(version)
            if interpreter is None:
                say(f"Blender {version} needs Python {MODULES[version]}, which is not here: not run")
                continue
            trial = Trial(version, "module", MODULES[version], describe_system(), describe_device(), {})
            failed += _run_all(trial, interpreter, "tests/blender", words, {})
    for version in windows:
        with step(f"Blender {version} with a window"):
            trial = Trial(version, "window", "", describe_system(), describe_device(), {})
            failed += _run_all(trial, PYTHON, "tests/gui", ["-m", "gui", *words], {"SUITE": WINDOWS[version]})
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


def _run_all(about: Trial, interpreter: Path, folder: str, words: list[str], extra: dict[str, str]) -> int:
    """Runs the tests that words name, or those of a folder, and records each file at once; how many failed."""
    named = [word for word in words if (ROOT / word.partition("::")[0]).exists()]
    options, failed, ran = [word for word in words if word not in named], 0, False
    files = [path for name in named or [folder] for path in
             (sorted((ROOT / name).rglob("test_*.py")) if (ROOT / name).is_dir() else [name])]
    for path in files:
        outcome = _run_file(about, interpreter, [*options, str(path)], extra)
        if outcome is None:  # it holds none that these options ask for
            continue
        name = Path(str(path).partition("::")[0]).resolve()
        where = name.relative_to(ROOT / "tests").as_posix() if name.is_relative_to(ROOT / "tests") else name.name
        record(replace(about, files={where: outcome}))
        failed, ran = failed + outcome.failed, True
    if not ran:
        raise Stop(f"No test of Blender {about.blender} was run: see above.")
    return failed


def _run_file(about: Trial, interpreter: Path, words: list[str], extra: dict[str, str]) -> Outcome | None:
    """What becomes of a file of tests in one Blender, which counts as one that failed where it ends before them, and is
    said where it ends badly after them; None where there is none."""
    listing = CACHE / "matrix" / f"{about.kind}-{about.blender}.xml"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.unlink(missing_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    try:
        ended = run(interpreter, "-m", "pytest", "-q", f"--junitxml={listing}", *words, check=False, timeout=LONGEST,
                    env={**os.environ, "OMP_WAIT_POLICY": "passive", **extra}).returncode
    except subprocess.TimeoutExpired:
        ended = None
    if ended == NOTHING:
        return None
    whole = listing.is_file()  # pytest writes it after the last test
    if not whole or ended not in (0, 1):  # of pytest: all passed, some failed
        how = "was stopped" if ended is None else f"ended with status {ended}"
        say(f"Blender {about.blender} {how} {'after' if whole else 'in'} {words[-1]}")
    return Outcome(*(count(listing.read_text()) if whole else (0, 1, 0)), commit.stdout.strip(),
                   time.strftime("%Y-%m-%d"))


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


def record(newest: Trial) -> None:
    """Puts a run into docs/matrix.json, its files in the place of what was known of them, and draws the table anew."""
    kept = {each.key: each for each in read_record()}
    known = kept[newest.key].files if newest.key in kept else {}
    kept[newest.key] = replace(newest, files=dict(sorted((known | newest.files).items())))
    ordered = sort(kept.values())
    RECORD.write_text("[\n" + ",\n".join(json.dumps(asdict(each)) for each in ordered) + "\n]\n")
    text = README.read_text()
    start, stop = (text.find(mark) for mark in MARKS)
    if not 0 <= start < stop:
        raise Stop(f"README.md must hold {MARKS[0]} and, below, {MARKS[1]}: the table goes between them.")
    README.write_text(f"{text[:start]}{MARKS[0]}\n{draw_table(ordered)}\n{text[stop:]}")


def read_record() -> list[Trial]:
    """What was run until now. Raises Stop where the file is none of ours."""
    try:
        rows = json.loads(RECORD.read_text()) if RECORD.is_file() else []
        found = [Trial(**{**row, "files": {name: Outcome(**each) for name, each in row["files"].items()}})
                 for row in rows]
        draw_table(sort(found))
        return list({each.key: each for each in found}.values())
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Stop(f"{RECORD.name} is not what this command writes ({error!r}). "
                   "Take it from the repository.") from error


def sort(trials: Iterable[Trial]) -> list[Trial]:
    """In the order of the table: those without a window first, then by version."""
    return sorted(trials, key=lambda each: (each.kind, [int(n) for n in each.blender.split(".")]))


def draw_table(runs: list[Trial]) -> str:
    """The README's table of what was run, in Markdown."""
    rows = []
    for each in runs:
        how = f"as a module, Python {each.python}" if each.kind == "module" else "in a window"
        found = list(each.files.values())
        passed, failed, skipped = (sum(getattr(file, name) for file in found) for name in NUMBERS)
        tests = f"{passed} tests passed" + (f", **{failed} failed**" if failed else "") \
            + (f", {skipped} skipped" if skipped else "") + f" of {len(found)} files"
        when = " to ".join(sorted({min(file.day for file in found), max(file.day for file in found)}))
        rows.append(f"| {each.blender} | {each.system} | {each.device} | {how}: {tests}; {when} |")
    return "\n".join(["| Blender | system | device | what was run |", "|---|---|---|---|", *rows])
