"""Flags after `--`, and what they change."""

import re
import sys
from pathlib import Path

import bpy
import pytest
import stage

from near_blender import flags
from near_core.errors import NearError

JOB_TYPE = Path(__file__).parents[2] / "docs" / "flamenco" / "near_render.js"


def test_flags_are_read_after_two_dashes():
    read = flags.read(["blender", "--near-quality", "draft", "-b", "x.blend", "--", "--near-threads=3", "--other", "1",
                       "--near-device", "cpu"])
    assert read == flags.Flags("", 3, "cpu")
    assert flags.read(["blender", "-b", "--near-threads", "3"]) == flags.Flags()


@pytest.mark.parametrize("words", [["--near-quality", "best"], ["--near-threads", "many"], ["--near-colour", "1"],
                                   ["--near-quality"]])
def test_what_means_nothing_is_told(words):
    with pytest.raises(NearError, match="means nothing"):
        flags.read(["blender", "--", *words])


def test_they_win_over_the_scene(monkeypatch):
    scene = bpy.context.scene
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    assert (flags.choose_quality(scene), flags.choose_threads(scene)) == ("final", 2)
    monkeypatch.setattr(sys, "argv", ["blender", "--", "--near-quality", "draft", "--near-threads", "0"])
    assert (flags.choose_quality(scene), flags.choose_threads(scene)) == ("draft", 0)


def test_a_wrong_flag_leaves_the_preferences_alone(monkeypatch):
    for words, chosen in (["--near-device", "mps"], "mps"), (["--near-device", "gpu"], "cuda"), ([], "cuda"):
        monkeypatch.setattr(sys, "argv", ["blender", "--", *words])
        assert flags.choose_device("cuda") == chosen


def test_a_wrong_flag_stops_the_picture(ball, tmp_path, monkeypatch):
    scene = stage.make_stage(16, 12)
    stage.add_asset(ball)
    monkeypatch.setattr(sys, "argv", ["blender", "--", "--near-quality", "best"])
    with pytest.raises(RuntimeError, match="means nothing"):
        stage.render(scene, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_job_type_of_flamenco_uses_known_flags():
    used = re.findall(r'"(--near-\w+)", (?:settings\.quality|String\(settings\.threads\))', JOB_TYPE.read_text())
    assert used == ["--near-quality", "--near-threads"]
    for quality in re.search(r"choices: \[(.*?)\]", JOB_TYPE.read_text())[1].replace('"', "").split(", "):
        flags.read(["--", "--near-quality", quality])


def test_the_device_of_cycles_is_handed_on():
    argv = ["blender", "-b", "x.blend", "--", "--near-threads", "2", "--cycles-device", "OPTIX+CPU", "--other"]
    assert flags.list_cycles(argv) == ["--cycles-device", "OPTIX+CPU"]
    assert flags.list_cycles(["blender", "--", "--cycles-device=CUDA"]) == ["--cycles-device=CUDA"]
    assert flags.list_cycles(["blender", "--cycles-device", "CUDA"]) == []
