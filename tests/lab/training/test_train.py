"""The command train: every stage takes a step, says what its options are, and goes on where it was."""

import dataclasses
import importlib
import json
import shutil
import typing

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from near_core.commands.cli import main
from near_core.lab import options
from near_core.lab.training.train import STAGES

MOMENT = ("--minutes", "1e-6")  # one step


def train(stage, *words):
    assert main(["train", stage, *map(str, words)]) == 0


def learned(folder):
    """Checks what a run leaves, and returns its steps and its config."""
    from safetensors.torch import load_file
    state = torch.load(folder / "state.pt", weights_only=True)
    # earlier runs go on with these
    assert state.keys() == {"network", "optimizer", "average", "step", "minutes", "best"}
    assert all(torch.isfinite(value).all() for value in load_file(folder / "best.safetensors").values())
    line = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert np.isfinite(line["score"])
    return state["step"], json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="module")
def runs(tiny):
    """The folder of the runs, with the stage `latent` and the samples of both sets."""
    train("latent", "--assets", tiny / "assets", "--held", "dev", "--out", tiny / "latent", *MOMENT)
    for part in ("data", "dev"):
        train("samples", "--data", tiny / part, "--out", tiny / f"samples_{part}")
    return tiny


@pytest.fixture(scope="module")
def photos(runs):
    return ("--data", runs / "data", "--prepared", runs / "samples_data", "--dev", runs / "dev",
            "--prepared-dev", runs / "samples_dev", "--batch", 2)


@pytest.fixture(scope="module")
def intrinsics(runs, photos):
    train("intrinsics", *photos, "--out", runs / "intrinsics", *MOMENT)
    return runs / "intrinsics" / "best.safetensors"


def test_a_run_goes_on_where_it_was_and_says_what_it_is(runs):
    steps, config = learned(runs / "latent")
    assert steps == 1
    train("latent", "--assets", runs / "assets", "--held", "dev", "--out", runs / "latent", "--minutes", 1e-6)
    assert learned(runs / "latent")[0] == 1  # its minutes are over
    assert config == {"config": "LatentConfig", "out": str(runs / "latent"), "minutes": 1e-6, "rate": 2e-3,
                      "warm_up": 100, "threads": 2, "check_every": 5.0, "save_every": 4.0,
                      "assets": str(runs / "assets"), "held": ["dev"]}


def test_intrinsics(runs, intrinsics):
    steps, config = learned(runs / "intrinsics")
    assert steps == 1 and config["data"] == [str(runs / "data")] and config["rate"] == 6e-4


@pytest.fixture(scope="module")
def pools(runs):
    train("pool", "--hdris", runs / "hdris", "--exclude", runs / "dev" / "meta.json",
          "--out", runs / "pool" / "maps.safetensors")
    train("pool", "--data", runs / "data", "--out", runs / "pool" / "data")
    train("pool", "--procedural", 1, "--out", runs / "pool" / "procedural")
    return ("--pool", runs / "pool" / "data", "--pool", runs / "pool" / "procedural",
            "--lights", runs / "pool" / "maps.safetensors")


def test_structure(runs, pools, intrinsics):
    train("looks", *pools, "--intrinsics", intrinsics, "--objects", 2, "--views", 2, "--real", 0.5,
          "--out", runs / "looks")
    train("structure", "--looks", runs / "looks", "--dev", runs / "dev", "--prepared-dev", runs / "samples_dev",
          "--intrinsics", intrinsics, "--batch", 2, "--cells", 256, "--still", "overview", "--out", runs / "structure",
          *MOMENT)
    assert learned(runs / "structure")[0] == 1


def test_slat(runs, intrinsics):
    train("slat", "--data", runs / "data", "--data", runs / "dev", "--dev", runs / "dev", "--assets", runs / "assets",
          "--latent", runs / "latent" / "best.safetensors", "--intrinsics", intrinsics, "--out", runs / "slat", *MOMENT)
    assert learned(runs / "slat")[0] == 1


def test_matte_and_before_what_things_are_put(runs, capsys):
    photos, places = runs / "photos", runs / "places"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(photos / f"{number}.jpg")
        Image.fromarray(np.pad(np.full((24, 32), 255, np.uint8), ((12, 12), (16, 16)))).save(photos / f"{number}.png")
    shutil.copytree(photos, places)
    shutil.copy(photos / "1.jpg", places / "sea.jpg")
    train("matte", "--data", runs / "data", "--dev", runs / "dev", "--photos", photos, "--places", places,
          "--size", 64, "--batch", 2, "--out", runs / "matte", *MOMENT)
    assert learned(runs / "matte")[0] == 1
    assert "'place': 1," in capsys.readouterr().out  # what has a matte shows a thing, and is no place


def test_renderer(runs):
    for part in ("data", "dev"):
        train("renderer", "--prepare", "--data", runs / part, "--assets", runs / "assets", "--views", 1,
              "--out", runs / f"lit_{part}")
    train("renderer", "--prepared", runs / "lit_data", "--held", runs / "lit_dev", "--out", runs / "renderer",
          "--latent", runs / "latent" / "best.safetensors", *MOMENT)
    assert learned(runs / "renderer")[0] == 1


def test_joint(runs, pools, intrinsics):
    train("joint", *pools, "--pool", runs / "pool" / "procedural", "--device", "cpu",
          "--dev-pool", runs / "pool" / "data", "--start", intrinsics, "--objects", 2, "--views", 1, "--solids", 1,
          "--out", runs / "joint", *MOMENT)
    assert learned(runs / "joint")[0] == 1


@pytest.mark.parametrize("stage, networks", [
    ("latent", "Autoencoder"), ("renderer", "RendererNetworks"), ("intrinsics", "IntrinsicsOnly"),
    ("structure", "StructureOnly"), ("slat", "SlatOnly"), ("matte", "MatteOnly")])
def test_a_stage_goes_on_from_the_committed_weights(stage, networks):
    from safetensors.torch import load_file

    from near_core.lab.networks import graphs
    module = importlib.import_module(f"near_core.lab.training.stages.{stage}")
    own, kept = getattr(module, networks)().state_dict(), load_file(graphs.WEIGHTS / f"{stage}.safetensors")
    assert {key: value.shape for key, value in own.items()} == {key: value.shape for key, value in kept.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_every_option_has_help_and_a_unit(stage, capsys):
    module = importlib.import_module(STAGES[stage].module, "near_core.lab.training")
    config, function = getattr(module, STAGES[stage].config), getattr(module, STAGES[stage].function)
    assert dataclasses.is_dataclass(config) and config.__dataclass_params__.frozen
    assert config.__doc__ and function.__doc__
    hints = typing.get_type_hints(config)
    for each in dataclasses.fields(config):
        about = options.described(config, each.name)
        assert about["meaning"], each.name
        assert about["unit"] or about["positional"] or hints[each.name] is bool \
            or typing.get_origin(hints[each.name]) is typing.Literal, each.name
    with pytest.raises(SystemExit) as ended:
        main(["train", stage, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{each.name.replace('_', '-')}" in shown or options.described(config, each.name)["positional"]
               for each in dataclasses.fields(config))


@pytest.mark.parametrize("words, complaint", [
    ([], "No stage is named. Choose one of latent, "), (["latent"], "The following arguments are required"),
    (["pool", "--out", "x"], "What is packed is told 0 times"),
    (["pool", "--out", "x", "--procedural", "1", "--ldraw", "y"], "What is packed is told 2 times"),
    (["pool", "--out", "OUT", "--procedural", "1", "--shard", "1"], "is not I/N"),
    (["renderer", "--out", "x"], "needs --prepared and --held"),
    (["renderer", "--prepare", "--out", "x"], "needs --data and --assets"),
    (["samples", "--data", "nothing", "--out", "x", "--limit", "few"], "invalid int value"),
    (["ceiling", "--data", "x", "--json", "y", "--counts", "1,two"], "invalid list of int value"),
    (["intrinsics", "--data", "a", "--data", "b", "--prepared", "c", "--dev", "d", "--prepared-dev", "e", "--backbone",
      "f", "--out", "OUT"], "2 --data and 1 --prepared don't fit together")])
def test_mistakes_are_named_in_one_line(words, complaint, capsys, tmp_path):
    assert main(["train", *(str(tmp_path / "out") if word == "OUT" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert complaint in error and error.count("\n") == 1
