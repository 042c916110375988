"""The evaluator: what it needs, and when a kept number is too old."""

import shutil

import pytest

from near_core.errors import NearError
from near_core.lab.datasets.dataset import Dataset
from near_core.lab.evaluation.evaluator import ROOT, Evaluator, fingerprint
from near_core.models.mini.runtime import NearMini
from near_core.scene import Settings


def test_photo_tasks_need_photo_networks(tmp_path):
    (tmp_path / "meta.json").write_text('{"assets": []}')
    with pytest.raises(NearError, match="photo networks"):
        Evaluator(Dataset(tmp_path), (1, 2), Settings(), model=NearMini(tmp_path / "no weights"))


@pytest.fixture
def checkout(tmp_path):
    """A copy of the code, and weights of a few bytes."""
    for folder in ("near_core", "kernels"):
        left_out = shutil.ignore_patterns("weights", "lib", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=left_out)
    for name in ("renderer.safetensors", "onnx/lad.onnx"):
        path = tmp_path / "near_core" / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize("name", [
    "near_core/create/shape.py", "near_core/render/renderer.py", "near_core/models/mini/runtime.py",
    "near_core/lab/evaluation/metrics.py", "near_core/lab/datasets/dataset.py", "near_core/_kernels.py",
    "near_core/weights/renderer.safetensors", "near_core/weights/onnx/lad.onnx", "kernels/splat.py",
    "kernels/src/splat_rasterize.cpp"])
def test_the_fingerprint_follows_what_makes_a_number(checkout, name):
    before = fingerprint.__wrapped__(checkout)
    path = checkout / name
    path.write_bytes(path.read_bytes() + b"\n")
    assert fingerprint.__wrapped__(checkout) != before


def test_the_fingerprint_leaves_out_what_makes_none(checkout):
    before = fingerprint.__wrapped__(checkout)
    for name in ("training/loop.py", "bench/bench.py", "reference/checks.py"):
        (checkout / "near_core" / "lab" / name).write_text("")
    assert fingerprint.__wrapped__(checkout) == before


def test_a_file_that_moves_changes_the_fingerprint(checkout):
    before = fingerprint.__wrapped__(checkout)
    (checkout / "near_core" / "create" / "shape.py").rename(checkout / "near_core" / "render" / "shape.py")
    assert fingerprint.__wrapped__(checkout) != before
