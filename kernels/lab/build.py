"""Compiles kernels/src into kernels/lib/<platform>: `python -m kernels.lab.build [--all | platform …]`.

Every source is compiled once per instruction set of the platform, except COMMON; the objects make one library. The
compiler is the ziglang wheel, which builds for every platform; without it the system's g++ builds for this machine.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..library import library_path, this_platform

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "kernels" / "src"
CACHE = ROOT / ".cache"
COMMON = ("dispatch", "memory", "threads")  # compiled for the baseline only
TARGETS = {
    "linux-x64": "x86_64-linux-gnu.2.17",
    "windows-x64": "x86_64-windows-gnu",
    "macos-arm64": "aarch64-macos.11.0",
    "macos-x64": "x86_64-macos.11.0",
    "linux-arm64": "aarch64-linux-gnu.2.28",
}
X64_LEVELS = {"baseline": "x86_64_v2", "avx2": "x86_64_v3", "avx512": "x86_64_v4"}
# No fast-math: only errno and trap bookkeeping, which the kernels never look at, and fused multiply-add are given up.
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra",
         "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
LINK = {"linux": ("-pthread",),
        "macos": ("-Wl,-install_name,@rpath/near_kernels.dylib",)}  # else it holds the path where it was linked


def build(platforms: Sequence[str] | None = None) -> list[Path]:
    """Builds the library for `platforms` (names of TARGETS, default: this machine's) where the sources changed.

    Returns the libraries' paths. Raises ValueError for an unknown platform, RuntimeError with the compiler's words.
    """
    platforms = list(platforms or [this_platform()])
    unknown = [name for name in platforms if name not in TARGETS]
    if unknown:
        raise ValueError(f"No build target is called {unknown[0]}; there are {', '.join(TARGETS)}.")
    return [_build_one(name) for name in platforms]


def _build_one(name: str) -> Path:
    library, compiler = library_path(name), _compiler(name)
    stamp = library.with_name("stamp")
    state = _hash(compiler)
    if library.is_file() and stamp.is_file() and stamp.read_text() == state:
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(exist_ok=True)
    units = _units(name, "ziglang" in compiler)
    with tempfile.TemporaryDirectory(dir=CACHE) as objects, ThreadPoolExecutor(os.cpu_count()) as pool:
        def compile_unit(unit: tuple[Path, str, list[str]]) -> str:
            source, target, flags = unit
            _run([*compiler, *flags, *FLAGS, "-c", str(source), "-o", f"{objects}/{target}"])
            return f"{objects}/{target}"

        linked = Path(objects) / library.name
        options = ["-shared", "-s", *LINK.get(name.split("-")[0], ())]
        _run([*compiler, *options, *pool.map(compile_unit, units), "-o", str(linked)])
        os.replace(linked, library)  # a process that has the old file mapped keeps it
    stamp.write_text(state)
    return library


def _units(name: str, ziglang: bool) -> list[tuple[Path, str, list[str]]]:
    """(source, object name, flags), the baseline first: the linker keeps the first of equal inline functions."""
    levels = X64_LEVELS if name.endswith("x64") else {"baseline": ""}
    units = []
    for isa, level in levels.items():
        flags = [f"-DNEAR_ISA={isa}"]
        if level:
            flags += [f"-mcpu={level}" if ziglang else f"-march={level.replace('_', '-')}"]
        if isa == "avx512":
            flags += ["-mprefer-vector-width=512", "-mamx-tile", "-mamx-bf16"]  # tiles are used by intrinsics only
        sources = [s for s in sorted(SOURCE.glob("*.cpp")) if isa == "baseline" or s.stem not in COMMON]
        units += [(source, f"{source.stem}.{isa}.o", flags) for source in sources]
    return units


def _compiler(name: str) -> list[str]:
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "c++", "-target", TARGETS[name]]
    if name == this_platform() and shutil.which("g++"):
        print("ziglang is not installed: building with the system's g++, for this machine only.", file=sys.stderr)
        return ["g++"]
    raise RuntimeError(f"Building for {name} needs the ziglang package: pip install ziglang.")


def _run(command: list[str]) -> None:
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=str(CACHE / "zig"), ZIG_LOCAL_CACHE_DIR=str(CACHE / "zig"),
                       SOURCE_DATE_EPOCH="0")  # else Windows' libraries have the time at which they were linked
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    if "warning:" in done.stderr:
        print(done.stderr, file=sys.stderr)


def _hash(compiler: list[str]) -> str:
    digest = hashlib.sha256(repr((compiler[1:], FLAGS, X64_LEVELS)).encode())
    for path in sorted([*SOURCE.glob("*.cpp"), *SOURCE.glob("*.h"), Path(__file__)]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("platforms", nargs="*", help=f"any of {', '.join(TARGETS)}; default: this machine's")
    parser.add_argument("--all", action="store_true", help="every platform")
    options = parser.parse_args()
    for built in build(list(TARGETS) if options.all else options.platforms):
        print(built.relative_to(ROOT))
