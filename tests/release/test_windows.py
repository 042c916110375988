"""What the zips for Windows hold, run under Wine: `pytest -m slow tests/release/test_windows.py` after `apt-get install
wine64` and `python -m kernels.lab.build windows-x64`. Kernels draw what they draw here, by this machine's own.

Not run so: kernels that take what is described by addresses (rays in the grid, lamps, skins' maps), and all Python.
"""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import library
from kernels.lab import build
from release.shell import CACHE
from tests.drawing import WAYS, make_drawing

WINE = next((found for name in ("wine64", "/usr/lib/wine/wine64", "wine") if (found := shutil.which(name))), None)
DLL = library.library_path("windows-x64")
CALLS = 3  # of each kernel
SHARE = 1e-3  # of a kernel's numbers that may differ by more than 1/255: of a few rays that meet an edge
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(WINE is None, reason="there is no Wine: apt-get install wine64"),
              pytest.mark.skipif(not DLL.is_file(), reason="run python -m kernels.lab.build windows-x64 first")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs a program of tests/release, compiled for Windows, with arguments; returns what it prints."""
    folder = tmp_path_factory.mktemp("wine")
    environment = os.environ | {"WINEPREFIX": str(folder / "prefix"), "WINEDEBUG": "-all",
                                "WINEDLLOVERRIDES": "mscoree,mshtml="}  # it would ask for both

    def compile_and_run(name: str, *arguments) -> str:
        program = folder / f"{name}.exe"
        if not program.is_file():
            build._run([sys.executable, "-m", "ziglang", "c++", "-target", build.TARGETS["windows-x64"], "-O3",
                        "-std=c++17", str(Path(__file__).with_name(f"{name}.cpp")), "-o", str(program)])
        done = subprocess.run([WINE, program, *map(str, arguments)], env=environment, capture_output=True, text=True,
                              timeout=900)
        assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
        return done.stdout
    yield compile_and_run
    subprocess.run([Path(WINE).with_name("wineserver"), "-k"], env=environment, check=False)


def record(monkeypatch) -> list[tuple[library.Kernel, list]]:
    """Calls of kernels while pictures are drawn, with their arguments as they were before."""
    found, call = {}, library.Kernel.__call__

    def note(kernel, *arguments) -> None:
        alone = all(isinstance(given, np.ndarray) or given is None
                    for given, kind in zip(arguments, kernel.argtypes) if kind is library.POINTER)
        if alone and len(found.setdefault(kernel.name, [])) < CALLS:
            found[kernel.name].append((kernel, copy(arguments)))
        call(kernel, *arguments)

    draw = make_drawing()
    with monkeypatch.context() as patch:
        patch.setattr(library.Kernel, "__call__", note)
        for way in WAYS:
            draw(2, way)
    return [each for calls in found.values() for each in calls]


def copy(arguments) -> list:
    return [given.copy() if isinstance(given, np.ndarray) else given for given in arguments]


def pack(name: str, arguments: list) -> bytes:
    """A call as replay.cpp reads it."""
    parts = [struct.pack("<q", len(name)), name.encode(), struct.pack("<q", len(arguments))]
    for given in arguments:
        if given is None:
            parts.append(struct.pack("<qq", 0, 0))
        elif isinstance(given, np.ndarray):
            parts += [struct.pack("<qq", 3, given.nbytes), given.tobytes()]
        else:
            parts.append(struct.pack("<qd", 2, given) if isinstance(given, float) else struct.pack("<qq", 1, given))
    return b"".join(parts)


def test_kernels_of_windows_give_what_those_of_this_machine_give(run, monkeypatch, tmp_path):
    calls, differing, off, total = record(monkeypatch), {}, {}, {}
    assert len({kernel.name for kernel, _ in calls}) > 20
    asked = []
    for isa in library.ISAS[:library.ISAS.index(library.isa()) + 1]:
        for kernel, arguments in calls:
            for threads in (1, 2, 5):
                counted = kernel.argtypes[-1] is library.INTEGER
                asked.append((isa, kernel, [*arguments[:-1], threads] if counted else arguments))
    (tmp_path / "calls").write_bytes(b"".join(pack(f"near_{kernel.name}_{isa}", [
        float(given) if kind is library.REAL else given for given, kind in zip(arguments, kernel.argtypes)])
        for isa, kernel, arguments in asked))
    told = run("replay", DLL, tmp_path / "calls", tmp_path / "answers").split()
    assert told == [str(library.ABI_VERSION), str(library.load().near_isa())]
    answers, at = (tmp_path / "answers").read_bytes(), 0
    for isa, kernel, arguments in asked:
        expected = copy(arguments)
        monkeypatch.setenv("NEAR_ISA", isa)
        kernel(*expected)
        assert struct.unpack_from("<q", answers, at)[0] == 0, kernel.name
        at += 8
        for before, ours in zip(arguments, expected):
            if not isinstance(ours, np.ndarray):
                continue
            theirs = np.frombuffer(answers, ours.dtype, ours.size, at).reshape(ours.shape)
            at += ours.nbytes
            if ours.tobytes() != before.tobytes() or theirs.tobytes() != before.tobytes():
                compare((isa, kernel.name), ours, theirs, differing, off, total)
    assert at == len(answers)
    (CACHE / "windows.txt").write_text("".join(
        f"{isa} {name}: {count} of {total[isa, name]} numbers differ, {off[isa, name]} by more than 1/255\n"
        for (isa, name), count in sorted(differing.items())))
    assert max(off[key] / total[key] for key in total) < SHARE, off


def compare(key, ours, theirs, differing, off, total) -> None:
    bits = [each.view(np.uint8).reshape(-1, each.itemsize) for each in (ours, theirs)]
    differing[key] = differing.get(key, 0) + int((bits[0] != bits[1]).any(1).sum())
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (np.abs(a - b) <= np.maximum(1, np.abs(a)) / 255) | (a == b) | (np.isnan(a) & np.isnan(b))
    off[key] = off.get(key, 0) + int((~same).sum())
    total[key] = total.get(key, 0) + ours.size
