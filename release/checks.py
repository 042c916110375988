"""What must be true of a zip before it is given away."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import packing
from .natives import find_faults, read_demand
from .shell import DIST, ROOT, say

# the newest system that a native library may ask for: glibc, Windows' subsystem, macOS (14 because of onnxruntime)
NEWEST = {"linux-x64": (2, 28), "windows-x64": (6, 2), "macos-arm64": (14, 0), "macos-x64": (11, 0)}
LIBRARY = {"linux-x64": "near_kernels.so", "windows-x64": "near_kernels.dll", "macos-arm64": "near_kernels.dylib",
           "macos-x64": "near_kernels.dylib"}
CODE = ("near_blender", "near_core", "kernels")
PICTURES = (".jpg", ".png", ".webp", ".svg", ".exr", ".hdr", ".glb")
ASSETS = ("SOURCES.md", "manual.html", "sample.near", "setup.png", "translations.tsv")  # of near_blender


def check_zip(path: Path) -> list[str]:
    """What is wrong with a zip, a line each: what is missing, too much, or asks for a newer system."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        wrong = [f"{name} is damaged" for name in filter(None, [archive.testzip()])]
        wrong += _check_names(names, manifest) + _check_natives(archive, manifest["platforms"])
    return [f"{path.name}: {each}" for each in wrong]


def list_code() -> set[str]:
    """The modules that a zip holds: every one in the repository but those of developers."""
    return {path.relative_to(ROOT).as_posix() for room in CODE for path in (ROOT / room).rglob("*.py")
            if not set(packing.DEVELOPERS) & set(path.relative_to(ROOT).parts)} | {"__init__.py"}


def _check_names(names: set[str], manifest: dict) -> list[str]:
    platforms = manifest["platforms"]
    wheels = {wheel.removeprefix("./") for wheel in manifest["wheels"]}
    networks = set() if platforms == ["macos-x64"] else {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "near_core/weights/onnx").iterdir()
        if path.suffix in (".onnx", ".json")}
    samples = {f"near_blender/assets/{name}" for name in ASSETS}
    wanted = (list_code() | wheels | networks | samples | {"LICENSE", "NOTICE", "blender_manifest.toml"}
              | {f"kernels/lib/{name}/{LIBRARY[name]}" for name in platforms})
    return ([f"{name} is missing" for name in sorted(wanted - names)]
            + [f"{name} does not belong there" for name in sorted(names - wanted)]
            + [f"the wheel of {name} is missing" for name in packing.PACKED
               if not (platforms == ["macos-x64"] and name in packing.NOT_ON_INTEL_MACS)
               and not any(wheel.lower().startswith(f"wheels/{name.lower()}-") for wheel in wheels)])


def _check_natives(archive: zipfile.ZipFile, platforms: list[str]) -> list[str]:
    """Every native library, those in wheels too, is of a platform of the zip and asks for no newer system; ours
    are whole and say nothing of the machine that built them."""
    wrong = []
    for place, data in _list_files(archive):
        demand = read_demand(data)
        if place.startswith("kernels/lib/"):
            wrong += [f"{place} {fault}" for fault in find_faults(data, ROOT)]
        if demand is None:
            continue
        name = f"{demand.system}-{demand.machine}"
        if name not in platforms:
            wrong.append(f"{place} is for {name}")
        elif demand.version > NEWEST[name]:
            wrong.append(f"{place} asks for {demand.system} {demand.version[0]}.{demand.version[1]}")
    return wrong


def _list_files(archive: zipfile.ZipFile):
    for name in archive.namelist():
        data = archive.read(name)
        if name.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(data)) as wheel:
                yield from ((f"{Path(name).name}/{inner}", wheel.read(inner)) for inner in wheel.namelist())
        else:
            yield name, data


def check_notice(archives: Sequence[Path] = ()) -> list[str]:
    """NOTICE names everything that is packed, each library inside the zips' wheels, each file of weights, where each
    picture of the repository comes from, by itself or by its folder, and nothing that is not there."""
    text = (ROOT / "NOTICE").read_text()
    notice, names = text.lower(), set(re.findall(r"(?:docs|near_blender|near_core|tests)/[\w./]*\w", text))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    shown = [path for path in listed if path.endswith(PICTURES) and not path.startswith("tests/attacks/")]
    missing = [name for name in packing.PACKED if name.lower() not in notice]
    missing += [path for path in shown if not names.intersection({path, *map(str, Path(path).parents)})]
    missing += [path for path in listed if path.endswith(".safetensors") and Path(path).name not in text]
    return ([f"NOTICE does not name {name}" for name in missing]
            + [f"NOTICE names {path}, which is not there" for path in sorted(names) if not (ROOT / path).exists()]
            + sorted({problem for archive in archives for problem in _check_wheels(archive, notice)}))


def _check_wheels(archive: Path, notice: str) -> Iterator[str]:
    """What the wheels of a zip hold and NOTICE lacks, and wheels without a licence."""
    with zipfile.ZipFile(archive) as packed:
        for name in (name for name in packed.namelist() if name.endswith(".whl")):
            with zipfile.ZipFile(io.BytesIO(packed.read(name))) as wheel:
                names = wheel.namelist()
            if not any(re.search(r"licen[cs]e", inner, re.I) for inner in names):
                yield f"{name} holds no licence"
            for inner in (Path(inner).name.lower() for inner in names):
                library = re.fullmatch(r"(?:lib)?([a-z]+)[-.\d]*.*\.(?:so|dylib|dll)[.\d]*", inner)
                if library and "cpython" not in inner and not re.search(rf"\b(lib)?{library[1]}", notice):
                    yield f"NOTICE does not name {library[1]}, which is in {name}"


def check_version() -> list[str]:
    """The version is written alike everywhere, and the change log says what is new in it."""
    version, log = packing.read_version(), (ROOT / "CHANGELOG.md").read_text()
    places = {"pyproject.toml": f'version = "{version}"', "near_core/__init__.py": f'__version__ = "{version}"'}
    return ([f"{name} has another version than {version}" for name, line in places.items()
             if line not in (ROOT / name).read_text()]
            + ([] if re.search(rf"^## {re.escape(version)}\b", log, re.M) else [f"CHANGELOG.md has no {version}"]))


def check_tree() -> list[str]:
    """What is packed is what is committed."""
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True).stdout
    return [f"not committed: {line[3:]}" for line in status.splitlines()]


def check_listing(archives: list[Path]) -> list[str]:
    """dist/index.json lists every zip as it is and no other."""
    try:
        listed = {entry["archive_url"]: (entry["archive_size"], entry["archive_hash"])
                  for entry in json.loads((DIST / "index.json").read_text(encoding="utf-8"))["data"]}
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        return [f"index.json is no listing ({type(error).__name__})"]
    found = {f"./{path.name}": (path.stat().st_size, f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
             for path in archives}
    return ([f"{name} is not in index.json" for name in sorted(found.keys() - listed.keys())]
            + [f"index.json lists {name}, which is not there" for name in
               sorted(map(str, listed.keys() - found.keys()))]
            + [f"{name} is another file than index.json says" for name in sorted(found.keys() & listed.keys())
               if found[name] != listed[name]])


def go_through(archives: list[Path]) -> int:
    """The list before a release, each line with what is wrong; 1 where anything is."""
    listed = [*archives, *DIST.glob("near-matte.zip")]  # which release/matte.py packs
    lines = [("what is packed is committed", check_tree()), ("versions and change log", check_version()),
             ("licences", check_notice(archives)), ("listing", check_listing(listed)),
             *((f"{path.name}, {path.stat().st_size / 1e6:.0f} MB", check_zip(path)) for path in archives)]
    for title, wrong in lines:
        say(f"{'NOT ' if wrong else ''}right: {title}" + "".join(f"\n    {each}" for each in wrong))
    say("by hand: `build.py test`, `pytest -m slow tests/attacks tests/blender/test_*faults.py`, the demo's pictures, "
        "and one F12 on every platform that the README claims")
    return int(any(wrong for _, wrong in lines))
