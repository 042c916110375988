#!/usr/bin/env python3
"""The one door: sets everything up in this folder, then demonstrates, tests, packages, measures or trains.

It starts with Python's standard library alone, makes .venv with the packages pinned in pyproject.toml, says what it
does, and takes up where an interrupted run stopped.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from release import checks, matrix, matte, packing
from release.shell import CACHE, DIST, PYTHON, VENV, Stop, run, say, step

LONGEST = 4 * 3600  # seconds that all tests may take
EXTRAS = ("train", "build", "test")  # `cuda` is for machines with an NVIDIA GPU: build.py setup --cuda
WEIGHTS = ROOT / "near_core" / "weights"
ONNX = WEIGHTS / "onnx"

# shared libraries of a Debian system that Blender's module loads
DEBIAN = {"libGL.so.1": "libgl1", "libICE.so.6": "libice6", "libSM.so.6": "libsm6", "libX11.so.6": "libx11-6",
          "libXext.so.6": "libxext6", "libXfixes.so.3": "libxfixes3", "libXi.so.6": "libxi6",
          "libxkbcommon.so.0": "libxkbcommon0", "libXrender.so.1": "libxrender1"}


# --- the environment

def setup(extras: tuple[str, ...] = EXTRAS) -> None:
    """Makes .venv with the pinned packages, checks the system's libraries and builds the kernels."""
    with step("environment"):
        _make_venv()
        _install(packing.list_pins(extras))
    _check_libraries()
    with step("kernels"):
        say("compiling the kernels; the first time this takes some minutes")
        run(PYTHON, "-m", "kernels.lab.build", quiet=True)


def _make_venv() -> None:
    if PYTHON.exists() and run(PYTHON, "-m", "pip", "--version", check=False, quiet=True).returncode == 0:
        return
    say("making .venv")
    # --clear: what is there without a working pip was left by an interruption or belongs to a Python that has gone
    if run(sys.executable, "-m", "venv", "--clear", VENV, check=False).returncode:
        raise Stop("This Python cannot make virtual environments. On Debian: apt-get install -y python3-venv")


def _install(pins: list[str]) -> None:
    stamp = VENV / "installed"
    if stamp.is_file() and stamp.read_text() == "\n".join(pins):
        return
    say(f"installing {len(pins)} pinned packages into .venv; the first time this takes some minutes")
    run(PYTHON, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *pins)
    stamp.write_text("\n".join(pins))


def _make_sample() -> None:
    """Makes the asset that `Add > Sample` adds, again whenever the code that makes it changed."""
    made = ROOT / "near_blender/assets/sample.near"
    stamp = CACHE / "sample"
    sources = sorted(path for path in (ROOT / "near_core").rglob("*.py") if "lab" not in path.parts)
    state = _digest([*sources, *sorted(WEIGHTS.glob("*.safetensors"))])
    if made.is_file() and stamp.is_file() and stamp.read_text() == state:
        return
    with step("sample asset"):
        run(PYTHON, "-m", "near_core", "create", "--mesh", made.with_name("keg.glb"), "--name", "Keg", "--out", made,
            quiet=True)
        stamp.write_text(state)


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _check_libraries() -> None:
    """Names the system libraries that Blender's module wants and does not find, with the command that installs them."""
    if not sys.platform.startswith("linux") or not shutil.which("ldd"):
        return
    modules = list((VENV / "lib").glob("python*/site-packages/bpy/__init__*.so"))
    listing = "".join(run("ldd", module, check=False, quiet=True).stdout for module in modules)
    missing = sorted(set(re.findall(r"(\S+) => not found", listing)))
    if missing:
        packages = sorted({DEBIAN.get(name, name) for name in missing})
        raise Stop(f"Blender needs {', '.join(missing)}. On Debian: apt-get install -y {' '.join(packages)}")


def _export() -> None:
    """Exports near-mini to ONNX, where its trained weights are there and changed."""
    if not list(WEIGHTS.glob("*.safetensors")):
        say("near-mini has no trained weights yet: the analytic renderer works alone")
        return
    stamp = ONNX / "exported"
    networks = [*sorted((ROOT / "near_core/lab/networks").glob("*.py")), ROOT / "near_core/models/mini/layout.py"]
    state = _digest([*networks, *sorted(WEIGHTS.glob("*.safetensors"))])
    if stamp.is_file() and stamp.read_text() == state:
        return
    with step("export near-mini"):
        (ONNX / "model.json").unlink(missing_ok=True)  # else only new weights would count
        run(PYTHON, "-c", "from near_core.lab.networks.graphs import export; export()", quiet=True)
        stamp.write_text(state)


# --- the commands

def demo(options: argparse.Namespace) -> int:
    """Installs the zip in a real Blender as an artist does, creates, renders; writes demo/contact_sheet.png."""
    start = time.monotonic()
    setup()
    _make_parts()
    archive = packing.pack([_this_platform()], ["3.11"])
    out = ROOT / "demo"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "BLENDER"))}
    environment["BLENDER_USER_RESOURCES"] = str(out / "user")
    script = ROOT / "near_blender/lab/demo.py"
    status = run(PYTHON, script, archive, out, cwd=out, env=environment, check=False).returncode
    say(f"demo: {time.monotonic() - start:.1f} s in all, {'done' if status == 0 else f'failed with status {status}'}")
    return status


def _make_parts() -> None:
    """What is packed and not kept in the repository."""
    _export()
    _make_sample()


def test(options: argparse.Namespace) -> int:
    """Builds the kernels, checks style and types and runs the tests; further arguments go to pytest."""
    setup()
    _make_parts()
    with step("style and types, the tests go on whatever they find"), nullcontext() if options.rest else _compiling():
        wrong = [run(PYTHON, "-m", *words, check=False).returncode for words in (("ruff", "check"), ("mypy",))]
    paced = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # busy waiting threads starve each other on few cores
    words = options.rest or ["-n2", "--dist=loadfile"]  # the whole suite in two processes: much of it keeps one core
    try:
        tests = run(PYTHON, "-m", "pytest", "-q", "--durations=8", *words, check=False, env=paced,
                    timeout=LONGEST).returncode
    except subprocess.TimeoutExpired as error:
        raise Stop(f"The tests were stopped: they did not end within {LONGEST / 3600:.0f} hours.") from error
    return tests or max(wrong)


@contextmanager
def _compiling():
    """Meanwhile pytest, on another core, rewrites all tests and keeps what it compiled: else each of its processes does
    so for itself, in 8 s."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen([PYTHON, "-m", "pytest", "-q", "--collect-only"], cwd=ROOT, env=environment,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        yield


def make_package(options: argparse.Namespace) -> int:
    """Packs dist/near-<version>-<platforms>-<Pythons>.zip, checked by Blender's own tool and by release/checks.py."""
    setup()
    _make_parts()
    platforms = options.platform or [_this_platform()]
    if "all" in platforms:
        archives = packing.pack_all(options.python or list(packing.PYTHONS))
    else:
        archives = [packing.pack(platforms, options.python or ["3.11"])]
    wrong = [problem for archive in archives for problem in checks.check_zip(archive)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


def release(options: argparse.Namespace) -> int:
    """Goes through what must be true before zips are given away, packs all of them and the source, says what is not."""
    setup()
    _make_parts()
    archives = packing.pack_all(list(packing.PYTHONS))
    packing.pack_source()
    return checks.go_through(archives)


def run_matrix(options: argparse.Namespace) -> int:
    """Runs the Blender tests in several Blenders and writes the README's table; further arguments go to pytest."""
    setup()
    _make_parts()
    modules = options.module or ([] if options.window else list(matrix.MODULES))
    return matrix.go_through(modules, options.window or [], options.rest)


def bench(options: argparse.Namespace) -> int:
    """Measures the engine: python -m near_core bench; further arguments go there."""
    setup()
    _export()
    return run(PYTHON, "-m", "near_core", "bench", *options.rest, check=False).returncode


def train(options: argparse.Namespace) -> int:
    """Trains near-mini, resuming where it stopped: python -m near_core train; further arguments go there."""
    setup()
    return run(PYTHON, "-m", "near_core", "train", *options.rest, check=False).returncode


def library(options: argparse.Namespace) -> int:
    """Packs dist/near-library.zip, six samples for the Asset Browser: --models FOLDER."""
    setup()
    _export()
    return run(PYTHON, "-m", "near_blender.lab.library", *options.rest, check=False).returncode


def pack_matte(options: argparse.Namespace) -> int:
    """Packs dist/near-matte.zip, an extension with a larger network that finds objects: --package FILE."""
    setup()
    matte.pack(options.package)
    return 0


def example(options: argparse.Namespace) -> int:
    """Writes dist/near-example.blend: an asset on a table with a lamp, and a camera that goes around it."""
    setup()
    _make_parts()
    return run(PYTHON, "-m", "near_blender.lab.example", *options.rest, check=False).returncode


def only_setup(options: argparse.Namespace) -> int:
    """Makes the environment and builds the kernels, nothing else."""
    setup(EXTRAS + tuple(name for name in ("cuda", "fuzz") if getattr(options, name)))
    return 0


def clean(options: argparse.Namespace) -> int:
    """Removes what was built: dist, demo, kernels/lib, exported networks, caches; with --all the environment too."""
    caches = [ROOT / f".{tool}_cache" for tool in ("mypy", "pytest", "ruff")]
    made = [DIST, ROOT / "demo", ROOT / "kernels/lib", ONNX, *caches]
    for folder in made + ([VENV, CACHE] if options.all else []):
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _this_platform() -> str:
    program = "from kernels.library import this_platform; print(this_platform())"
    return run(PYTHON, "-c", program, quiet=True).stdout.strip()


def _right_python() -> None:
    """Goes on with Python 3.11, the only one the pinned Blender runs in."""
    if sys.version_info[:2] == (3, 11):
        return
    other = shutil.which("python3.11")
    if other is None:
        raise Stop(f"This is Python {sys.version.split()[0]}; Blender's module needs 3.11. "
                   "On Debian 12: apt-get install -y python3.11 python3.11-venv")
    os.execv(other, [other, __file__, *sys.argv[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(prog="build.py", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, function, takes_rest: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(function=function, takes_rest=takes_rest)
        return sub

    command("demo", demo)
    command("test", test, takes_rest=True)
    parts = command("package", make_package)
    parts.add_argument("--platform", action="append", choices=[*packing.PLATFORMS, "all"],
                         help="may be given again; default: this machine's; all: a zip for each, and their listing")
    parts.add_argument("--python", action="append", choices=packing.PYTHONS,
                         help="Blender's Python, may be given again: 3.11 up to 5.0, 3.13 from 5.1; default: 3.11,\n"
                              "with --platform all each")
    command("release", release)
    parts = command("matrix", run_matrix, takes_rest=True)
    parts.add_argument("--module", action="append", choices=matrix.MODULES, help="a Blender as a module; default: all")
    parts.add_argument("--window", action="append", choices=matrix.WINDOWS, help="a Blender in a window, Debian's")
    command("bench", bench, takes_rest=True)
    command("train", train, takes_rest=True)
    command("library", library, takes_rest=True)
    command("matte", pack_matte).add_argument(
        "--package", type=Path, required=True, help=f"the file that `npm pack {matte.PACKAGE}` writes")
    command("example", example, takes_rest=True)
    parts = command("setup", only_setup)
    parts.add_argument("--cuda", action="store_true", help="add what full-size networks need")
    parts.add_argument("--fuzz", action="store_true", help="add what tests/attacks/guided.py needs")
    command("clean", clean).add_argument("--all", action="store_true", help="the environment and downloads too")
    options, rest = parser.parse_known_args()
    options.rest = rest
    if rest and not options.takes_rest:
        parser.error(f"unknown argument {rest[0]}")
    try:
        _right_python()
        return options.function(options)
    except Stop as stop:
        print(f"build.py: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build.py: stopped; the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
