"""The extension's zip: what goes into it, and its wheels. Python's standard library alone."""

import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

from .shell import CACHE, DIST, PYTHON, ROOT, VENV, Stop, run, say, step

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
PYTHONS = ("3.11", "3.13")
NEXT_PYTHON = "5.1.0"  # the first Blender that runs Python 3.13
HASHES = ROOT / "release" / "wheels.txt"  # of the wheels as they are fetched, as sha256sum writes them
# folders that artists do not get: developers' rooms, the kernels' sources and specification, other machines' libraries
DEVELOPERS = ("lab", "src", "twins", "lib", "__pycache__")
# files that developers make others from, or look at: weights become ONNX, the model the sample, pictures the demo; and
# what a stop left behind
MATERIAL = ("*.safetensors", "*.glb", "*.jpg", "armchair.png", "exported", "*.part")
ENTRY = '''"""The extension's root: hands over to near_blender."""


def register():
    from . import near_blender
    near_blender.register()


def unregister():
    from . import near_blender
    near_blender.unregister()
'''


def list_pins(extras: tuple[str, ...]) -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = [*project["dependencies"], *(pin for extra in extras for pin in project["optional-dependencies"][extra])]
    return sorted(set(pins))


def pack(platforms: list[str], pythons: list[str]) -> Path:
    """Packs the extension into dist/ and lets Blender's own tool check it. Returns the zip's path."""
    if "macos-x64" in platforms and len(platforms) > 1:
        raise Stop("There is no onnxruntime for macos-x64: pack it by itself, it gets the analytic renderer alone.")
    with step("pack"):
        run(PYTHON, "-m", "kernels.lab.build", *platforms, quiet=True)
        wheels = [wheel for name in platforms for python in pythons for wheel in fetch_wheels(name, python)]
        staging = CACHE / "package"
        shutil.rmtree(staging, ignore_errors=True)
        stage(staging, platforms, wheels, pythons)
        names = "-".join([*platforms, *(f"py{python.replace('.', '')}" for python in pythons)])
        archive = DIST / f"near-{read_version()}-{names}.zip"
        DIST.mkdir(exist_ok=True)
        write_zip(staging, archive)
    _report(archive)
    return archive


def pack_all(pythons: list[str]) -> list[Path]:
    """A zip for every platform and Python, in the place of those of other versions, and their listing: dist/ as it is,
    on any web server, is a repository."""
    archives = [pack([name], [python]) for name in PLATFORMS for python in pythons]
    for other in set(DIST.glob("near-[0-9]*.zip")) - set(DIST.glob(f"near-{read_version()}-*.zip")):
        other.unlink()  # of two versions that fit it, Blender may take either
    list_archives(DIST)
    return archives


def pack_source() -> None:
    """Packs what is committed into dist/: the licence wants the source given away with the zips."""
    name = f"near-{read_version()}"
    run("git", "archive", f"--prefix={name}/", "-o", DIST / f"{name}-source.tar.gz", "HEAD")


def list_archives(folder: Path) -> None:
    """Writes index.json, by which Blender finds updates among the extensions' zips of a folder."""
    run(PYTHON, _blenders_tool(), "server-generate", "--repo-dir", folder, quiet=True)
    listing = folder / "index.json"
    content = json.loads(listing.read_text(encoding="utf-8"))
    content["data"].sort(key=lambda entry: entry["archive_url"])  # the tool goes as the file system does
    listing.write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_version() -> str:
    """The extension's version, as its manifest says."""
    return re.search(r'^version = "(.+)"', (ROOT / "blender_manifest.toml").read_text(), re.M).group(1)


def _blenders_tool() -> Path:
    return next((VENV / "lib").glob("python*/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))


def write_zip(staging: Path, archive: Path) -> None:
    """Makes the zip, which Blender's own tool checks. The same files give the same bytes: in order, and without
    the time and the rights they have here. Wheels are compressed already."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(path for path in staging.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(staging).as_posix())
            entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".whl" else zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as under Unix
            packed.writestr(entry, path.read_bytes(), compresslevel=9)
    run(PYTHON, _blenders_tool(), "validate", archive, quiet=True)


def fetch_wheels(platform: str, python: str) -> list[Path]:
    """The wheels of PACKED for a platform and a Python; what else they require is in Blender or serves tools only."""
    packed = set(PACKED) - set(NOT_ON_INTEL_MACS if platform == "macos-x64" else ())
    return [_wheel(pin, platform, python) for pin in list_pins(()) if pin.partition("==")[0] in packed]


def _wheel(pin: str, platform: str, python: str) -> Path:
    folder = CACHE / "wheels" / f"{platform}-{python}" / pin.replace("==", "-")
    if not list(folder.glob("*.whl")):
        say(f"fetching {pin} for {platform}, Python {python}")
        shutil.rmtree(folder.with_suffix(".part"), ignore_errors=True)
        tags = [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
        run(PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", python,
            *tags, "--dest", folder.with_suffix(".part"), pin)
        for wheel in folder.with_suffix(".part").glob("*.whl"):
            _check_hash(wheel)
            slim(wheel)
        folder.with_suffix(".part").rename(folder)
    return next(folder.glob("*.whl"))


def _check_hash(wheel: Path) -> None:
    """A wheel is the one that was looked at when it was pinned, wherever it comes from."""
    line = f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel.name}"
    if line not in HASHES.read_text().splitlines():
        raise Stop(f"{wheel.name} is not the wheel that {HASHES.relative_to(ROOT)} names. Where the pin was changed on "
                   f"purpose, put this line there: {line}")


def slim(wheel: Path) -> None:
    """Takes out of onnxruntime what inference from Python never loads: the library's second copy, for C, and tools."""
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


def stage(staging: Path, platforms: list[str], wheels: list[Path], pythons: list[str]) -> None:
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
    (staging / "blender_manifest.toml").write_text(_limit(manifest, pythons))


def _limit(manifest: str, pythons: list[str]) -> str:
    """The manifest with the Blenders that run these Pythons alone."""
    least = 'blender_version_min = "4.2.0"'
    if pythons == ["3.11"]:
        return manifest.replace(least, f'{least}\nblender_version_max = "{NEXT_PYTHON}"')
    return manifest.replace(least, f'blender_version_min = "{NEXT_PYTHON}"') if pythons == ["3.13"] else manifest


def _report(archive: Path) -> None:
    sizes: dict[str, int] = {}
    for entry in zipfile.ZipFile(archive).infolist():
        room = entry.filename.split("/")[0] if "/" in entry.filename else "files"
        sizes[room] = sizes.get(room, 0) + entry.compress_size
    parts = ", ".join(f"{room} {size / 1e6:.1f}" for room, size in sorted(sizes.items(), key=lambda s: -s[1]))
    say(f"{archive.relative_to(ROOT)}: {archive.stat().st_size / 1e6:.1f} MB ({parts})")
