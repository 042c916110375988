"""Where things are in this folder, and commands that are run in it. Python's standard library alone."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
DIST = ROOT / "dist"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


class Stop(Exception):
    """What went wrong and what to do, for the person at the terminal."""


def say(text: str) -> None:
    print(f"build.py: {text}", flush=True)


@contextmanager
def step(name: str):
    """Prints how long a step took."""
    start = time.monotonic()
    yield
    say(f"{name}: {time.monotonic() - start:.1f} s")


def run(*command, check: bool = True, quiet: bool = False, **options) -> subprocess.CompletedProcess:
    """Runs a command in the repository; a failure stops with the command's own last words above it."""
    done = subprocess.run([str(c) for c in command], **{"cwd": ROOT, "text": True, "capture_output": quiet, **options})
    if check and done.returncode:
        if quiet:
            print(done.stdout or "", done.stderr or "", sep="", file=sys.stderr)
        shown = " ".join(Path(str(word)).name for word in command[:4])
        raise Stop(f"`{shown} …` failed with status {done.returncode}; see above.")
    return done
