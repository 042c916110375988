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
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
DIST = ROOT / "dist"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = ("train", "build", "test")  # `cuda` is for machines with an NVIDIA GPU: build.py setup --cuda
WEIGHTS = ROOT / "near_core" / "weights"
ONNX = WEIGHTS / "onnx"

# the tags that wheels for a platform may carry
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64", "macosx_11_0_arm64"),
    "macos-x64": ("macosx_11_0_x86_64", "macosx_10_15_x86_64", "macosx_10_13_x86_64"),
}
# the wheels in the zip: networks, assets, photos, panoramas, rays; numpy is in Blender
PACKED = ("onnxruntime", "safetensors", "pillow", "OpenEXR", "embreex")
NOT_ON_INTEL_MACS = ("onnxruntime", "embreex")
# folders that artists do not get: developers' rooms, the kernels' sources and specification, other machines' libraries
DEVELOPERS = ("lab", "src", "twins", "lib", "__pycache__")
# files that developers make others from, or look at: weights become ONNX, the model the sample, pictures the demo; and
# what a stop left behind
MATERIAL = ("*.safetensors", "*.glb", "*.jpg", "*.png", "exported", "*.part")
# shared libraries of a Debian system that Blender's module loads
DEBIAN = {"libGL.so.1": "libgl1", "libICE.so.6": "libice6", "libSM.so.6": "libsm6", "libX11.so.6": "libx11-6",
          "libXext.so.6": "libxext6", "libXfixes.so.3": "libxfixes3", "libXi.so.6": "libxi6",
          "libxkbcommon.so.0": "libxkbcommon0", "libXrender.so.1": "libxrender1"}
ENTRY = '''"""The extension's root: hands over to near_blender."""


def register():
    from . import near_blender
    near_blender.register()


def unregister():
    from . import near_blender
    near_blender.unregister()
'''


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


# --- the environment

def setup(extras: tuple[str, ...] = EXTRAS) -> None:
    """Makes .venv with the pinned packages, checks the system's libraries and builds the kernels."""
    with step("environment"):
        _make_venv()
        _install(_pins(extras))
    _check_libraries()
    with step("kernels"):
        run(PYTHON, "-m", "kernels.lab.build", quiet=True)


def _make_venv() -> None:
    if PYTHON.exists() and run(PYTHON, "-m", "pip", "--version", check=False, quiet=True).returncode == 0:
        return
    say("making .venv")
    # --clear: what is there without a working pip was left by an interruption or belongs to a Python that has gone
    if run(sys.executable, "-m", "venv", "--clear", VENV, check=False).returncode:
        raise Stop("This Python cannot make virtual environments. On Debian: apt-get install -y python3-venv")


def _pins(extras: tuple[str, ...]) -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [*project["dependencies"], *(pin for extra in extras for pin in project["optional-dependencies"][extra])]
    return sorted(set(pins))


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


# --- the extension

def package(platforms: list[str], pythons: list[str]) -> Path:
    """Packs the extension into dist/ and lets Blender's own tool check it. Returns the zip's path."""
    if "macos-x64" in platforms and len(platforms) > 1:
        raise Stop("There is no onnxruntime for macos-x64: pack it by itself, it gets the analytic renderer alone.")
    _export()
    _make_sample()
    with step("pack"):
        run(PYTHON, "-m", "kernels.lab.build", *platforms, quiet=True)
        wheels = [wheel for name in platforms for python in pythons for wheel in _wheels(name, python)]
        staging = CACHE / "package"
        shutil.rmtree(staging, ignore_errors=True)
        _stage(staging, platforms, wheels)
        version = re.search(r'^version = "(.+)"', (ROOT / "blender_manifest.toml").read_text(), re.M).group(1)
        names = "-".join([*platforms, *(f"py{python.replace('.', '')}" for python in pythons)])
        archive = DIST / f"near-{version}-{names}.zip"
        DIST.mkdir(exist_ok=True)
        _zip(staging, archive)
    _report(archive)
    return archive


def _zip(staging: Path, archive: Path) -> None:
    """Blender's own tool makes the zip and checks it."""
    archive.unlink(missing_ok=True)
    tool = next((VENV / "lib").glob("python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    run(PYTHON, tool, "build", "--source-dir", staging, "--output-filepath", archive, quiet=True)
    run(PYTHON, tool, "validate", archive, quiet=True)


def _wheels(platform: str, python: str) -> list[Path]:
    """The wheels of PACKED for a platform and a Python; what else they require is in Blender or serves tools only."""
    packed = set(PACKED) - set(NOT_ON_INTEL_MACS if platform == "macos-x64" else ())
    return [_wheel(pin, platform, python) for pin in _pins(()) if pin.partition("==")[0] in packed]


def _wheel(pin: str, platform: str, python: str) -> Path:
    folder = CACHE / "wheels" / f"{platform}-{python}" / pin.replace("==", "-")
    if not list(folder.glob("*.whl")):
        say(f"fetching {pin} for {platform}, Python {python}")
        shutil.rmtree(folder.with_suffix(".part"), ignore_errors=True)
        tags = [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
        run(PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", python,
            *tags, "--dest", folder.with_suffix(".part"), pin)
        for wheel in folder.with_suffix(".part").glob("*.whl"):
            _slim(wheel)
        folder.with_suffix(".part").rename(folder)
    return next(folder.glob("*.whl"))


def _slim(wheel: Path) -> None:
    """Takes out of onnxruntime what inference from Python never loads: the library's second copy, for C, and tools."""
    import zipfile

    unused = re.compile(r"onnxruntime/(capi/(lib)?onnxruntime(\.\d[\d.]*)?\.(so[.\d]*|dll|dylib|lib)$"
                        r"|(tools|transformers|quantization|backend|datasets)/)")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(wheel.with_suffix(".slim"), "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith(".dist-info/RECORD"):
                data = b"".join(line for line in data.splitlines(True) if not unused.match(line.decode().split(",")[0]))
            if not unused.match(entry.filename):
                new.writestr(entry, data)
    os.replace(wheel.with_suffix(".slim"), wheel)


def _stage(staging: Path, platforms: list[str], wheels: list[Path]) -> None:
    """Lays out what goes into the zip: the three rooms, the libraries, the wheels, the licence. wheels: of one name,
    as an abi3 wheel that fits several Pythons, the last."""
    left_out = (*DEVELOPERS, *MATERIAL, *(("onnx",) if platforms == ["macos-x64"] else ()))
    for room in ("near_blender", "near_core", "kernels"):
        shutil.copytree(ROOT / room, staging / room, ignore=shutil.ignore_patterns(*left_out))
    for name in platforms:
        libraries = [f for f in (ROOT / "kernels/lib" / name).iterdir() if f.suffix in (".so", ".dll", ".dylib")]
        (staging / "kernels/lib" / name).mkdir(parents=True)
        for library in libraries:
            shutil.copy2(library, staging / "kernels/lib" / name)
    (staging / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy2(wheel, staging / "wheels")
    for name in ("LICENSE", "NOTICE"):
        shutil.copy2(ROOT / name, staging)
    (staging / "__init__.py").write_text(ENTRY)
    manifest = (ROOT / "blender_manifest.toml").read_text()
    packed = sorted(f"./wheels/{wheel.name}" for wheel in (staging / "wheels").iterdir())
    for key, values in (("platforms", platforms), ("wheels", packed)):
        listed = ", ".join(f'"{value}"' for value in values)
        manifest, count = re.subn(rf"^{key} = \[.*$", f"{key} = [{listed}]", manifest, flags=re.M)
        if count != 1:
            raise Stop(f"blender_manifest.toml must hold one line `{key} = […]`.")
    (staging / "blender_manifest.toml").write_text(manifest)


def _report(archive: Path) -> None:
    import zipfile

    sizes: dict[str, int] = {}
    for entry in zipfile.ZipFile(archive).infolist():
        room = entry.filename.split("/")[0] if "/" in entry.filename else "files"
        sizes[room] = sizes.get(room, 0) + entry.compress_size
    parts = ", ".join(f"{room} {size / 1e6:.1f}" for room, size in sorted(sizes.items(), key=lambda s: -s[1]))
    say(f"{archive.relative_to(ROOT)}: {archive.stat().st_size / 1e6:.1f} MB ({parts})")


# --- the commands

def demo(options: argparse.Namespace) -> int:
    """Installs the zip in a real Blender as an artist does, creates, renders; writes demo/contact_sheet.png."""
    start = time.monotonic()
    setup()
    archive = package([_this_platform()], ["3.11"])
    out = ROOT / "demo"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "BLENDER"))}
    environment["BLENDER_USER_RESOURCES"] = str(out / "user")
    script = ROOT / "near_blender/lab/demo.py"
    status = run(PYTHON, script, archive, out, cwd=out, env=environment, check=False).returncode
    say(f"demo: {time.monotonic() - start:.1f} s in all, {'done' if status == 0 else f'failed with status {status}'}")
    return status


def test(options: argparse.Namespace) -> int:
    """Builds the kernels, checks style and types and runs the tests; further arguments go to pytest."""
    setup()
    _export()
    _make_sample()
    with step("style and types, the tests go on whatever they find"):
        wrong = [run(PYTHON, "-m", *words, check=False).returncode for words in (("ruff", "check"), ("mypy",))]
    paced = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # busy waiting threads starve each other on few cores
    words = options.rest or ["-n2", "--dist=loadfile"]  # the whole suite in two processes: much of it keeps one core
    tests = run(PYTHON, "-m", "pytest", "-q", "--durations=8", *words, check=False, env=paced).returncode
    return tests or max(wrong)


def make_package(options: argparse.Namespace) -> int:
    """Packs dist/near-<version>-<platforms>-<Pythons>.zip."""
    setup()
    package(options.platform or [_this_platform()], options.python or ["3.11"])
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measures the engine: python -m near_core bench; further arguments go there."""
    setup()
    _export()
    return run(PYTHON, "-m", "near_core", "bench", *options.rest, check=False).returncode


def train(options: argparse.Namespace) -> int:
    """Trains near-mini, resuming where it stopped: python -m near_core train; further arguments go there."""
    setup()
    return run(PYTHON, "-m", "near_core", "train", *options.rest, check=False).returncode


def only_setup(options: argparse.Namespace) -> int:
    """Makes the environment and builds the kernels, nothing else."""
    setup(EXTRAS + (("cuda",) if options.cuda else ()))
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
    packing = command("package", make_package)
    packing.add_argument("--platform", action="append", choices=PLATFORMS,
                         help="may be given again; default: this machine's")
    packing.add_argument("--python", action="append", choices=("3.11", "3.13"),
                         help="Blender's Python, may be given again: 3.11 up to 5.0, 3.13 from 5.1; default: 3.11")
    command("bench", bench, takes_rest=True)
    command("train", train, takes_rest=True)
    command("setup", only_setup).add_argument("--cuda", action="store_true", help="add what full-size networks need")
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
