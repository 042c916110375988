"""build.py and what it packs: starts with nothing, names what is missing, ships what runs and nothing else."""

import ast
import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

import build
import near_core
from kernels import library
from near_core.published import interpreter
from release import checks, matrix, packing

ROOT = Path(build.__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the packed zip as the package `near`, and one with what its wheels and Blender's numpy bring."""
    folder = tmp_path_factory.mktemp("installed")
    staging, archive = folder / "staging", folder / "near.zip"
    packing.stage(staging, [library.this_platform()], packing.fetch_wheels(library.this_platform(), "3.11"), ["3.11"])
    packing.write_zip(staging, archive)
    zipfile.ZipFile(archive).extractall(folder / "extensions" / "near")
    for wheel in (folder / "extensions/near/wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "wheels")
    link(folder / "wheels", ["numpy"])
    return folder


def link(folder: Path, names: list[str]) -> Path:
    """Links installed distributions and what they require into a folder, which then serves as a site-packages."""
    folder.mkdir(exist_ok=True)
    done: set[str] = set()
    while names:
        name = re.match(r"[\w.-]+", names.pop())[0].lower()
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name in done:
            continue
        done.add(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
        names += [each for each in found.requires or () if "extra ==" not in each]
    return folder


def module_names(folder: Path) -> dict[str, Path]:
    """Every module below a package's folder: its name with `near.` before it -> its file."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.py"))]
    return {".".join(("near", *path.with_suffix("").parts)).removesuffix(".__init__"): folder / path for path in paths}


def imported(module: str, modules: dict[str, Path], at_once: bool = False) -> set[str]:
    """The modules of the zip, and torch, that a module imports. at_once: at its top alone, else in functions too."""
    package = module if modules[module].name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(modules[module].read_text())
    found = set()
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[:len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*base, *filter(None, [node.module])])
            target = target if node.level or f"near.{target}" not in modules else f"near.{target}"
            found |= {target, target.partition(".")[0], *(f"{target}.{alias.name}" for alias in node.names)}
    return found & (modules.keys() | {"torch"}) - {module}


def needing_torch(modules: dict[str, Path]) -> set[str]:
    """The modules that import torch at their top, themselves or through one of ours: the published networks, which run
    in the artist's own Python."""
    found = {"torch"}
    while more := {name for name in modules if imported(name, modules, at_once=True) & found} - found:
        found |= more
    return found - {"torch"}


def import_all(names: set[str], *folders: Path) -> str:
    """Imports modules in a process that has these folders and Python's standard library; returns what went wrong."""
    script = """
import importlib, os, sys
sys.path += sys.argv[2:]
for name in sys.argv[1].split():
    try:
        importlib.import_module(name)
    except BaseException as error:
        print(name, repr(error))
sys.stdout.flush()
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, " ".join(sorted(names)), *folders],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_starts_with_the_standard_library_alone():
    shown = subprocess.run([sys.executable, "-I", "-S", ROOT / "build.py", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("demo", "test", "package", "bench", "train", "clean"))


def test_every_pin_is_exact_and_every_packed_wheel_is_pinned():
    pins = packing.list_pins((*build.EXTRAS, "cuda"))
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert {"torch==2.13.0", "bpy==4.5.15"} <= set(pins)
    assert set(packing.PACKED) <= {pin.partition("==")[0] for pin in packing.list_pins(())}


def test_versions_licences_and_change_log_agree():
    assert checks.check_version() == [] and checks.check_notice() == []
    assert packing.read_version() == near_core.__version__


def test_every_packed_wheel_is_pinned_by_its_hash_for_every_platform():
    lines = packing.HASHES.read_text().lower().splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  [\w.-]+\.whl", line) for line in lines)
    for pin in packing.list_pins(()):
        name, _, version = pin.partition("==")
        if name in packing.PACKED:
            found = [line for line in lines if f"  {name.lower()}-{version}-" in line]
            assert all(any(part in line for line in found) for part in ("manylinux", "win_amd64", "macosx")), name


def test_a_wheel_that_is_not_the_pinned_one_is_not_packed(tmp_path):
    (tmp_path / "pillow-13.0.0-cp311-cp311-win_amd64.whl").write_bytes(b"another")
    with pytest.raises(build.Stop, match="is not the wheel that .*wheels.txt names"):
        packing._check_hash(tmp_path / "pillow-13.0.0-cp311-cp311-win_amd64.whl")


@pytest.mark.parametrize(("pythons", "limits"), [
    (["3.11"], ("4.2.0", "5.1.0")), (["3.13"], ("5.1.0", None)), (["3.11", "3.13"], ("4.2.0", None))])
def test_a_zip_goes_to_the_blenders_that_run_its_python(tmp_path, pythons, limits):
    packing.stage(tmp_path / "near", [library.this_platform()], [], pythons)
    manifest = tomllib.loads((tmp_path / "near/blender_manifest.toml").read_text())
    assert (manifest["blender_version_min"], manifest.get("blender_version_max")) == limits


def test_a_missing_system_library_is_named_with_its_package(monkeypatch, tmp_path):
    (tmp_path / "lib/python3.11/site-packages/bpy").mkdir(parents=True)
    (tmp_path / "lib/python3.11/site-packages/bpy/__init__.so").touch()
    monkeypatch.setattr(build, "VENV", tmp_path)
    listing = "\tlibXi.so.6 => not found\n"
    monkeypatch.setattr(build, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, listing, ""))
    with pytest.raises(build.Stop, match="apt-get install -y libxi6"):
        build._check_libraries()


def test_the_zip_holds_what_it_should_and_nothing_else(installed, tmp_path):
    assert checks.check_zip(installed / "near.zip") == []
    wheels = sum(path.stat().st_size for path in (installed / "extensions/near/wheels").iterdir())
    packed = [path for path in (installed / "extensions/near").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in packed) - wheels < 40e6
    changed = tmp_path / "near.zip"
    shutil.copy(installed / "near.zip", changed)
    with zipfile.ZipFile(changed, "a") as archive:
        archive.writestr("near_core/lab/evaluate.py", "")
        archive.writestr("kernels/lib/windows-x64/near_kernels.dll", windows_library())
    said = checks.check_zip(changed)
    assert len(said) == 3 and "near_kernels.dll does not belong" in said[0] and "evaluate.py does not" in said[1]
    assert said[2].endswith("near_kernels.dll is for windows-x64")


def test_the_same_files_give_the_same_zip_whenever_and_in_whatever_order_they_were_written(tmp_path):
    manifest, made = (ROOT / "blender_manifest.toml").read_text(), []
    for number, order in enumerate((1, -1)):
        folder = tmp_path / str(number)
        for name in ("__init__.py", "a/b.py", "a.py", "b.py", "wheels/c.whl")[::order]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"pass  # {name}")
            (folder / name).chmod(0o600 + number)
            os.utime(folder / name, (number * 10**9, number * 10**9))
        (folder / "blender_manifest.toml").write_text(manifest)
        packing.write_zip(folder, tmp_path / f"{number}.zip")
        made.append((tmp_path / f"{number}.zip").read_bytes())
    assert made[0] == made[1]
    with zipfile.ZipFile(tmp_path / "0.zip") as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 6


def windows_library() -> bytes:
    """The head of one that says it needs Windows 6.0."""
    head = bytearray(256)
    head[:2], head[0x3C:0x40], head[64:68] = b"MZ", struct.pack("<I", 64), b"PE\0\0"
    head[68:70], head[64 + 24 + 48:64 + 24 + 52] = struct.pack("<H", 0x8664), struct.pack("<HH", 6, 0)
    return bytes(head)


def test_every_module_of_the_zip_can_be_imported_where_it_runs(installed, tmp_path):
    """near_core and kernels with the zip's wheels and numpy; near_blender with Blender's module; and what needs torch
    with the packages that Set Up installs."""
    extensions, wheels = installed / "extensions", installed / "wheels"
    modules = module_names(extensions / "near")
    blender = {name for name in modules if name.startswith("near.near_blender")}
    torch = needing_torch(modules)
    assert {name.split(".")[2] for name in torch} == {"models", "published"}
    assert import_all(modules.keys() - blender - torch, extensions, wheels) == ""
    assert import_all(blender, extensions, wheels, link(tmp_path / "blender", ["bpy"])) == ""
    assert import_all(torch, extensions, link(tmp_path / "torch", ["torch", *interpreter.OTHERS])) == ""


def test_every_module_of_the_zip_serves_something_that_an_artist_starts(installed):
    """The extension, the worker, the command line, and the script that Blender runs; all else they must import."""
    modules = module_names(installed / "extensions/near")
    waiting = ["near", "near.near_blender.cycles.main", "near.near_core.worker.__main__", "near.near_core.__main__",
               *(name for name in modules if name.startswith("near.near_core.commands."))]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in modules and name not in reached:
            reached.add(name)
            waiting += [name.rpartition(".")[0], *imported(name, modules)]
    assert sorted(modules.keys() - reached) == []


def test_the_zip_draws_a_picture_with_its_own_wheels(installed):
    """near_core inside a package as in the extension; photos and panoramas load their packages when the first comes."""
    script = """
import sys
sys.path += sys.argv[1:]
import numpy as np
from near.near_core import asset, mesh, scene
from near.near_core.create import create
from near.near_core.render import renderer
from near.near_core.scene import camera, environment
from near.near_core.worker import worker
corner = np.array([[x, y, z] for x in (-.4, .4) for y in (-.4, .4) for z in (-.4, .4)], np.float32)
faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                  [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)
box = create.create_from_mesh(mesh.Mesh(corner, faces), name="box")
picture = renderer.Renderer().render([scene.Instance(asset.from_bytes(asset.to_bytes(box)), np.eye(4))],
                                     camera.orbit(30, 20, 2, 40, 64, 64), environment.uniform((1, 1, 1)))
assert picture["Combined"][32, 32, 3] > 0.8, picture["Combined"][32, 32]
assert not {"PIL", "OpenEXR"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, installed / "extensions", installed / "wheels"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_onnxruntime_gets_no_networks(tmp_path):
    (build.ROOT / "kernels/lib/macos-x64").mkdir(parents=True, exist_ok=True)
    packing.stage(tmp_path / "near", ["macos-x64"], [], ["3.11"])
    assert not list((tmp_path / "near").rglob("*.onnx")) and not list((tmp_path / "near").rglob("model.json"))
    with pytest.raises(build.Stop, match="macos-x64"):
        packing.pack(["macos-x64", "linux-x64"], ["3.11"])


def test_a_wheel_for_several_pythons_is_packed_once(tmp_path):
    wheels = [tmp_path / python / "one-1-cp310-abi3-any.whl" for python in ("3.11", "3.13")]
    for wheel in wheels:
        wheel.parent.mkdir()
        wheel.write_bytes(b"wheel")
    packing.stage(tmp_path / "near", [library.this_platform()], wheels, ["3.11", "3.13"])
    assert (tmp_path / "near/blender_manifest.toml").read_text().count(wheels[0].name) == 1


def test_slimmed_wheel_keeps_its_record_right(tmp_path):
    wheel = tmp_path / "onnxruntime-1-cp311-cp311-any.whl"
    names = ["onnxruntime/__init__.py", "onnxruntime/capi/onnxruntime_pybind11_state.so",
             "onnxruntime/capi/libonnxruntime.so.1.32.0", "onnxruntime/capi/onnxruntime.dll",
             "onnxruntime/capi/libonnxruntime_providers_shared.so", "onnxruntime/tools/a.py",
             "onnxruntime/capi/onnxruntime_inference_collection.py"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(name, name)
        archive.writestr("onnxruntime-1.dist-info/RECORD", "".join(f"{name},sha256=x,1\n" for name in names))
    packing.slim(wheel)
    with zipfile.ZipFile(wheel) as archive:
        kept = archive.namelist()
        listed = [line.split(",")[0] for line in archive.read("onnxruntime-1.dist-info/RECORD").decode().splitlines()]
    assert kept[:-1] == listed == [names[0], names[1], names[4], names[6]]


def test_a_test_that_hangs_tells_where_and_ends(tmp_path):
    (tmp_path / "test_hangs.py").write_text("import time\ndef test_a(): time.sleep(100)\ndef test_b(): pass\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n1", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path,
         "-p", "no:cacheprovider", "-o", "faulthandler_timeout=2", tmp_path], cwd=tmp_path, capture_output=True,
        text=True, timeout=300)
    assert ended.returncode == 1 and "1 failed, 1 passed" in ended.stdout
    assert "test_hangs.py\", line 2 in test_a" in ended.stderr + ended.stdout


def test_a_test_that_measures_time_is_tried_once_more(tmp_path):
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_times.py").write_text(
        "import pytest\ntries = []\n"
        "@pytest.fixture\ndef leaks():\n    yield\n    assert tries.count('leaks') > 1\n"
        "@pytest.mark.timing\ndef test_a(): tries.append('a'); assert len(tries) == 2\n"
        "@pytest.mark.timing\ndef test_b(): assert 0\n"
        "def test_c(): tries.append('c'); assert len(tries) > 3\n"
        "@pytest.mark.timing\ndef test_d(leaks): tries.append('leaks'); assert tries.count('leaks') > 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n1", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path,
         "-p", "no:cacheprovider", "--junitxml", tmp_path / "made.xml", tmp_path], cwd=tmp_path, capture_output=True,
        text=True, timeout=300)
    assert ended.returncode == 1 and "2 failed, 2 passed, 1 error, 3 tried again" in ended.stdout, ended.stdout
    assert matrix.count((tmp_path / "made.xml").read_text()) == (1, 3, 0)


def test_tests_that_do_not_end_are_stopped(monkeypatch):
    def run(*command, **options):
        if "pytest" in command:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        return subprocess.CompletedProcess(command, 0)
    monkeypatch.setattr(build, "run", run)
    for name in ("setup", "_make_parts"):
        monkeypatch.setattr(build, name, lambda: None)
    with pytest.raises(build.Stop, match="did not end within 4 hours"):
        build.test(SimpleNamespace(rest=["tests/create"]))
