"""A Python with torch, in which the published networks run: what is there, and setting one up in a folder.

Only Python's standard library: this runs in Blender's own Python.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .. import files
from ..errors import NearError
from ..progress import Progress, part, silent
from . import download

TORCH = "2.13.0"
OTHERS = ("numpy>=1.26", "safetensors==0.8.0", "pyyaml==6.0.3", "pillow==13.0.0")
MODULES = ("torch", "numpy", "safetensors", "yaml", "PIL")  # what the published networks import
READY = "ready.json"  # in the folder, once everything is installed
LOOK_EVERY = 0.1  # seconds between looks at pip

_PROBE = """
import importlib.util, json, platform, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
found = {"python": platform.python_version(), "missing": missing, "torch": "", "device": ""}
if "torch" not in missing:
    import torch
    found["torch"] = torch.__version__
    found["device"] = ("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Build:
    """What is installed. gigabytes: to download and on the disk, roughly; index: where pip looks besides its own."""

    key: str
    title: str
    packages: tuple[str, ...]
    gigabytes: tuple[float, float]
    index: str = ""


def list_builds(system: str = sys.platform, machine: str = platform.machine()) -> dict[str, Build]:
    """The builds of torch that there are for a system, by key."""
    wheels = "https://download.pytorch.org/whl/"
    if system == "darwin":
        if machine != "arm64":
            return {}
        return {"mps": Build("mps", "Apple GPU (Metal)", (f"torch=={TORCH}", *OTHERS), (0.2, 0.8))}
    windows = system == "win32"
    cpu = Build("cpu", "Processor only", (f"torch=={TORCH}" + ("" if windows else "+cpu"), *OTHERS), (0.25, 0.9),
                "" if windows else wheels + "cpu")
    cuda = Build("cuda", "NVIDIA GPU (CUDA)", (f"torch=={TORCH}", *OTHERS), (3.0, 7.0),
                 wheels + "cu130" if windows else "")
    return {"cpu": cpu, "cuda": cuda}


def choose_build() -> Build:
    """The build for this machine: CUDA where an NVIDIA driver answers. Raises NearError where there is none."""
    offered = list_builds()
    if not offered:
        raise NearError("There is no torch for Intel Macs any more.", "Use near-mini, or another machine.")
    if "cuda" in offered and not _has_nvidia():
        return offered["cpu"]
    return offered.get("cuda") or next(iter(offered.values()))


def _has_nvidia() -> bool:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


def locate_python(folder: Path) -> Path:
    """The interpreter that set_up makes in a folder."""
    return Path(folder) / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_ready(folder: Path) -> bool:
    """Whether set_up has come to its end in a folder."""
    return os.path.isfile(Path(folder) / READY) and os.path.exists(locate_python(folder))


def probe(python: str | Path, seconds: float = 120.0) -> dict:
    """What an interpreter has: python and torch versions, device, missing modules. Raises NearError where it fails."""
    try:
        done = subprocess.run([str(python), "-I", "-c", _PROBE, *MODULES], capture_output=True, text=True,
                              timeout=seconds, stdin=subprocess.DEVNULL, **_hidden())
        return json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise NearError("{name} could not be started as a Python.",
                        "Choose a Python's executable that has torch, or use Set Up.",
                        name=Path(python).name) from error


def set_up(folder: Path, build: Build, progress: Progress = silent, packages: tuple[str, ...] | None = None) -> dict:
    """Makes a virtual environment of this Python in a folder and installs a build, or goes on with that.

    packages: instead of the build's. Returns probe's answer. Raises NearError, or what progress raises; both leave
    what has come so far for the next call.
    """
    folder = Path(folder)
    wanted = tuple(packages or build.packages)
    files.make_folder(folder)
    files.remove(folder / READY)
    python = locate_python(folder)
    if not _runs([python, "-m", "pip", "--version"]):
        _follow([sys.executable, "-m", "venv", "--clear", folder / "venv"], folder, part(progress, 0.0, 0.04),
                "Making the environment", "Install Python's venv module, or name an interpreter with torch instead.")
    plan = _plan(folder, python, build, wanted, part(progress, 0.04, 0.08))
    wheels = _fetch(folder / "wheels", plan, part(progress, 0.08, 0.85))
    _follow([python, "-m", "pip", "install", "--no-index", "--no-deps", "--no-input", "--no-compile", *wheels], folder,
            part(progress, 0.85, 0.97), "Installing", "Start again; nothing is downloaded twice.")
    progress("Trying it", 0.97)
    found = probe(python)
    files.write(folder / READY, json.dumps({"build": build.key, **found}))
    shutil.rmtree(folder / "wheels", ignore_errors=True)
    progress("Done", 1.0)
    return found


def remove(folder: Path) -> None:
    """Deletes what set_up made."""
    for name in (READY, "venv", "wheels", "plan.json", "report.json", "log.txt"):
        files.remove(Path(folder) / name)


def _plan(folder: Path, python: Path, build: Build, wanted: tuple[str, ...], progress: Progress) -> list[dict]:
    """Addresses and hashes of the wheels that pip chooses, kept so that a second call asks nobody."""
    kept, report = folder / "plan.json", folder / "report.json"
    if (known := read_plan(kept, wanted)) is not None:
        return known
    index = ["--extra-index-url", build.index] if build.index else []
    _follow([python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--no-input",
             "--only-binary", ":all:", "--report", report, *index, *wanted], folder, progress, "Choosing packages",
            "Check the network and start again.")
    chosen = [each["download_info"] for each in json.loads(report.read_text(encoding="utf-8"))["install"]]
    wheels = [{"url": each["url"], "sha256": each["archive_info"].get("hashes", {}).get("sha256", "")}
              for each in chosen]
    files.write(kept, json.dumps({"packages": list(wanted), "wheels": wheels}))
    report.unlink()
    return wheels


def read_plan(path: Path, wanted: tuple[str, ...]) -> list[dict] | None:
    """The wheels of an earlier call for the same packages, {"url", "sha256"} each; None where there was none."""
    try:
        stored = json.loads(files.read(path))
        if stored["packages"] == list(wanted) and all(
                isinstance(each[name], str) for each in stored["wheels"] for name in ("url", "sha256")):
            return stored["wheels"] or None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _fetch(folder: Path, plan: list[dict], progress: Progress) -> list[Path]:
    found = []
    for number, each in enumerate(sorted(plan, key=lambda wheel: "/torch-" not in wheel["url"])):
        path = folder / unquote(urlsplit(each["url"]).path).rpartition("/")[2]
        digest = f"sha256:{each['sha256']}" if each["sha256"] else ""
        # torch is nearly all of it
        step = part(progress, 0.7 + 0.3 * number / len(plan) if number else 0.0, 0.7 + 0.3 * (number + 1) / len(plan))
        if not os.path.isfile(path):
            download.fetch(each["url"], path, digest, progress=step)
        found.append(path)
    return found


def _follow(command: list, folder: Path, progress: Progress, phase: str, fix: str) -> None:
    """Runs a command to its end, asking progress meanwhile; the command dies with what progress raises."""
    with open(folder / "log.txt", "ab") as log:
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   cwd=folder, env=_environment(), **_hidden())
        try:
            while process.poll() is None:
                progress(phase, 0.5)
                time.sleep(LOOK_EVERY)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode:
        last = (folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1:]
        raise NearError("{phase} failed ({reason}).", fix, phase=phase, reason=" ".join(last)[:200])


def _environment() -> dict[str, str]:
    """This environment without what would send pip or Python elsewhere."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
    return {key: value for key, value in os.environ.items() if key not in dropped}


def _runs(command: list) -> bool:
    try:
        return subprocess.run([str(word) for word in command], capture_output=True, env=_environment(),
                              stdin=subprocess.DEVNULL, **_hidden()).returncode == 0
    except OSError:
        return False


def _hidden() -> dict:
    return {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
