"""build.py and what it packs: starts with nothing, names what is missing, ships what runs and nothing else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import build
import near_core
from kernels import library

ROOT = Path(build.__file__).parent


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """The zip's content for this machine, without wheels."""
    folder = tmp_path_factory.mktemp("package") / "near"
    build._stage(folder, [library.this_platform()], [])
    return folder


def test_starts_with_the_standard_library_alone():
    shown = subprocess.run([sys.executable, "-I", "-S", ROOT / "build.py", "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in ("demo", "test", "package", "bench", "train", "clean"))


def test_every_pin_is_exact_and_every_packed_wheel_is_pinned():
    pins = build._pins((*build.EXTRAS, "cuda"))
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert {"torch==2.13.0", "bpy==4.5.15"} <= set(pins)
    assert set(build.PACKED) <= {pin.partition("==")[0] for pin in build._pins(())}


def test_versions_agree():
    manifest, project = (build.ROOT / name for name in ("blender_manifest.toml", "pyproject.toml"))
    assert re.search(r'^version = "(.+)"', manifest.read_text(), re.M).group(1) == near_core.__version__
    assert re.search(r'^version = "(.+)"', project.read_text(), re.M).group(1) == near_core.__version__


def test_a_missing_system_library_is_named_with_its_package(monkeypatch, tmp_path):
    (tmp_path / "lib/python3.11/site-packages/bpy").mkdir(parents=True)
    (tmp_path / "lib/python3.11/site-packages/bpy/__init__.so").touch()
    monkeypatch.setattr(build, "VENV", tmp_path)
    listing = "\tlibXi.so.6 => not found\n"
    monkeypatch.setattr(build, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, listing, ""))
    with pytest.raises(build.Stop, match="apt-get install -y libxi6"):
        build._check_libraries()


def test_the_package_holds_what_runs_and_nothing_for_developers(staged):
    files = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()}
    assert {"__init__.py", "blender_manifest.toml", "LICENSE", "NOTICE", "near_blender/__init__.py",
            "near_core/worker/worker.py",
            f"kernels/lib/{library.this_platform()}/{library.library_path().name}"} <= files
    unwanted = re.compile(r"tests?/|lab/|/src/|demo|\.safetensors|__pycache__|\.cpp|near_blender/dataset\.py")
    assert not [name for name in files if unwanted.search(name)]
    assert sum(path.stat().st_size for path in staged.rglob("*") if path.is_file()) < 40e6


def test_the_package_runs_on_numpy_and_onnxruntime_alone(staged):
    """Draws a picture with no other package on the path, near_core inside a package as in the extension."""
    packages = Path(__import__("numpy").__file__).parents[1]
    path = staged.parent / "only"
    path.mkdir()
    for name in ("numpy", "numpy.libs", "onnxruntime"):
        if (packages / name).is_dir():
            (path / name).symlink_to(packages / name)
    script = """
import sys, importlib, types
extension = types.ModuleType("near"); extension.__path__ = [sys.argv[1]]; sys.modules["near"] = extension
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
heavy = {"torch", "scipy", "skimage", "trimesh", "PIL", "OpenEXR", "safetensors", "bpy", "onnx"} & set(sys.modules)
assert not heavy, heavy
"""
    script = f"import sys; sys.path.insert(0, {str(path)!r})\n{script}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script, staged], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_machine_without_onnxruntime_gets_no_networks(tmp_path):
    (build.ROOT / "kernels/lib/macos-x64").mkdir(parents=True, exist_ok=True)
    build._stage(tmp_path / "near", ["macos-x64"], [])
    assert not list((tmp_path / "near").rglob("*.onnx")) and not list((tmp_path / "near").rglob("model.json"))
    with pytest.raises(build.Stop, match="macos-x64"):
        build.package(["macos-x64", "linux-x64"], ["3.11"])


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
    build._slim(wheel)
    with zipfile.ZipFile(wheel) as archive:
        kept = archive.namelist()
        listed = [line.split(",")[0] for line in archive.read("onnxruntime-1.dist-info/RECORD").decode().splitlines()]
    assert kept[:-1] == listed == [names[0], names[1], names[4], names[6]]
