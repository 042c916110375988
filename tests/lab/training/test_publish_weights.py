"""Weights of runs are published."""

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

from near_core.commands.cli import main
from near_core.lab.training.publish_weights import PublishConfig, publish


def test_the_mean_of_runs_and_of_what_is_there(tmp_path):
    for name, value in (("first", 1.0), ("second", 3.0)):
        (tmp_path / name).mkdir()
        save_file({"slat.a": torch.full((2, 3), value), "other.b": torch.ones(1)}, tmp_path / name / "best.safetensors")
    runs = tmp_path / "first", tmp_path / "second"
    publish(PublishConfig(stage="slat", out=runs), tmp_path)
    kept = load_file(tmp_path / "slat.safetensors")
    assert kept.keys() == {"slat.a"} and kept["slat.a"].dtype == torch.float16
    assert torch.equal(kept["slat.a"], torch.full((2, 3), 2.0).half())
    publish(PublishConfig(stage="slat", out=(runs[1],), keep=0.75), tmp_path)
    assert torch.equal(load_file(tmp_path / "slat.safetensors")["slat.a"], torch.full((2, 3), 2.25).half())


def test_only_stages_are_published(capsys):
    assert main(["train", "publish", "nothing", "--out", "x"]) == 2
    assert "nvalid choice" in capsys.readouterr().err
