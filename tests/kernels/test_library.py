"""The compiled library: found, loaded, refused with a reason, called safely, built for every platform."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from kernels import library, splat
from kernels.lab import build

ROOT = build.ROOT


@pytest.fixture
def unloaded(monkeypatch):
    """As in a process that has not loaded the library yet."""
    monkeypatch.setattr(library, "_library", None)
    monkeypatch.setattr(library, "_failure", None)


def one_gaussian():
    return (np.zeros((1, 3), np.float32), np.array([[0.01, 0, 0, 0.01, 0, 0.01]], np.float32), np.ones(1, np.float32),
            np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 2], [0, 0, 0, 1]], np.float32),
            np.array([[60, 0, 32], [0, 60, 32], [0, 0, 1]], np.float32))


def test_importing_neither_builds_nor_loads():
    code = ("import sys, kernels.splat, kernels.library as l; "
            "assert l._library is None and 'kernels.lab' not in sys.modules and 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_loads_with_the_right_version():
    assert library.load().near_abi_version() == library.ABI_VERSION
    assert library.isa() in library.ISAS


def test_missing_library_is_one_clear_sentence_remembered(unloaded, monkeypatch, tmp_path):
    monkeypatch.setattr(library, "library_path", lambda name=None: tmp_path / "absent.so")
    with pytest.raises(library.KernelsMissing, match="missing. Run python -m kernels.lab.build") as first:
        library.load()
    monkeypatch.undo()
    monkeypatch.setattr(library, "_failure", str(first.value))
    monkeypatch.setattr(library, "_library", None)
    with pytest.raises(library.KernelsMissing, match="missing"):
        splat.project(*one_gaussian(), 64, 64)


def test_a_file_that_is_no_library_is_refused(unloaded, monkeypatch, tmp_path):
    (tmp_path / "broken.so").write_bytes(b"not a library")
    monkeypatch.setattr(library, "library_path", lambda name=None: tmp_path / "broken.so")
    with pytest.raises(library.KernelsMissing, match="cannot be loaded .*broken.so.*Run python"):
        library.load()


def test_another_abi_is_refused(unloaded, monkeypatch):
    monkeypatch.setattr(library, "ABI_VERSION", library.ABI_VERSION + 1)
    with pytest.raises(library.KernelsMissing, match="ABI"):
        library.load()


def test_isa_variable(monkeypatch):
    monkeypatch.setenv("NEAR_ISA", "baseline")
    assert library.isa() == "baseline"
    monkeypatch.setenv("NEAR_ISA", "mmx")
    with pytest.raises(library.KernelsMissing, match="NEAR_ISA"):
        library.isa()


@pytest.mark.parametrize("array, reason", [
    ([1.0, 2.0], "numpy array"),
    (np.zeros((4, 3)), "float32, not float64"),
    (np.zeros((4, 2), np.float32), r"shape \(any, 3\)"),
    (np.zeros(3, np.float32), r"shape \(any, 3\)"),
    (np.zeros((3, 4), np.float32).T, "C-contiguous"),
])
def test_require_names_the_argument(array, reason):
    with pytest.raises(ValueError, match=f"colour must.*{reason}"):
        library.require("colour", array, (None, 3))


def test_kernel_checks_the_number_of_arguments():
    with pytest.raises(TypeError, match="splat_contributions takes"):
        library.Kernel("splat_contributions", library.POINTER)()


def test_calls_from_several_python_threads_at_once():
    rng = np.random.default_rng(1)
    scene = one_gaussian()
    xyz = rng.uniform(-0.5, 0.5, (3000, 3)).astype(np.float32)
    gaussians = xyz, np.repeat(scene[1] * 0.1, 3000, 0), np.full(3000, 0.5, np.float32)
    seen = splat.project(*gaussians, *scene[3:], 64, 64)
    features = rng.normal(size=(3000, 3)).astype(np.float32)
    expected = splat.rasterize(seen, features, 64, 64)[0]
    results = []
    callers = [threading.Thread(target=lambda: results.append(splat.rasterize(seen, features, 64, 64, threads=3)[0]))
               for _ in range(8)]
    [caller.start() for caller in callers], [caller.join() for caller in callers]
    assert len(results) == 8 and all(np.array_equal(result, expected) for result in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_gets_threads_of_its_own():
    scene = one_gaussian()
    many = [np.repeat(part, 5000, 0) for part in scene[:3]]
    splat.project(*many, *scene[3:], 64, 64, threads=2)
    child = os.fork()
    if child == 0:
        splat.project(*many, *scene[3:], 64, 64, threads=2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_building_again_changes_nothing():
    before = library.library_path().stat().st_mtime_ns
    assert build.build() == [library.library_path()]
    assert library.library_path().stat().st_mtime_ns == before


def test_an_unknown_platform_is_named():
    with pytest.raises(ValueError, match="amiga"):
        build.build(["amiga"])


@pytest.mark.slow
@pytest.mark.parametrize("name, magic", [
    ("linux-x64", b"\x7fELF\x02\x01"), ("linux-arm64", b"\x7fELF\x02\x01"), ("windows-x64", b"MZ"),
    ("macos-x64", b"\xcf\xfa\xed\xfe\x07\0\0\x01"), ("macos-arm64", b"\xcf\xfa\xed\xfe\x0c\0\0\x01"),
])
def test_cross_builds(name, magic):
    (path,) = build.build([name])
    data = path.read_bytes()
    assert data.startswith(magic)
    assert b"near_splat_rasterize_baseline" in data
    assert (b"near_splat_rasterize_avx512" in data) == name.endswith("x64")
