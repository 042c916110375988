"""The published networks equal the reference implementation, fixture by fixture, and have exactly its weights."""
import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kernels.twins import splat as twin
from near_core.errors import NearError
from near_core.lab.reference import reference
from near_core.models.near import (
    checkpoint,
    render,
)
from near_core.models.near.gaussians import DecodedGaussians, Representation

SHARED = Path(os.environ.get("NEAR_SHARED", Path(__file__).resolve().parents[4] / "shared"))
FOLDER = SHARED / "fixtures" / "reference"
FIXTURES = sorted(path.stem for path in FOLDER.glob("*.json"))
KEYS = sorted(path.stem for path in FOLDER.glob("state_dict_keys/*.json"))
pytestmark = pytest.mark.skipif(not FIXTURES, reason="no reference fixtures: set NEAR_SHARED")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow) if name.startswith("fullsize") else name for name in FIXTURES])
def test_equals_the_reference(name):
    row = reference.verify_one(FOLDER / f"{name}.json")
    assert row.verdict in ("pass", "not applicable"), reference.format_result(row)
    assert row.parts or row.reason


@pytest.mark.parametrize("name", KEYS)
def test_weights_have_the_published_keys_and_shapes(name):
    described = json.loads((FOLDER / "state_dict_keys" / f"{name}.json").read_text())
    kind = described["official_class"].split(" ")[0]
    with torch.device("meta"):
        network = checkpoint.NETWORKS[kind](**described["config"])
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == described["keys"]
    assert sum(parameter.numel() for parameter in network.parameters()) == described["n_parameters"]


def changed(tmp_path, name, change):
    """A copy of a fixture with one array changed."""
    shutil.copy(FOLDER / f"{name}.json", tmp_path)
    with np.load(FOLDER / f"{name}.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(tmp_path / f"{name}.npz", **arrays)


def run(tmp_path):
    parser = argparse.ArgumentParser()
    reference.add_arguments(parser)
    status = reference.run(parser.parse_args(["--fixtures", str(tmp_path), "--json", str(tmp_path / "rows.out")]))
    return status, json.loads((tmp_path / "rows.out").read_text())


def test_the_command_fails_on_a_difference_and_says_where(tmp_path):
    changed(tmp_path, "iad_decoder", lambda arrays: arrays["out/h"].__setitem__((3, 5), arrays["out/h"][3, 5] + 1e-3))
    shutil.copy(FOLDER / "tonemap_ocio.json", tmp_path), shutil.copy(FOLDER / "tonemap_ocio.npz", tmp_path)
    status, rows = run(tmp_path)
    assert status == 1
    by_name = {row["name"]: row for row in rows}
    assert by_name["iad_decoder"]["verdict"] == "fail" and by_name["iad_decoder"]["reason"] == "out/h"
    assert by_name["iad_decoder"]["max_error"] > by_name["iad_decoder"]["tolerance"]
    assert by_name["tonemap_ocio"]["verdict"] == "not applicable"


def test_a_weight_of_another_name_fails(tmp_path):
    changed(tmp_path, "neural_basis", lambda arrays: arrays.__setitem__("w/mlp.9.bias", arrays.pop("w/mlp.0.bias")))
    status, rows = run(tmp_path)
    assert status == 1 and "mlp.0.bias" in rows[0]["reason"]


def crop_frames(arrays, width, height):
    """The middle of every stored frame, as a camera with that smaller window has it."""
    for key in [key for key in arrays if key.startswith(("mid/", "out/ssaa"))]:
        del arrays[key]
    for key in [key for key in arrays if key.startswith("out/cam")]:
        rows, columns = ((full - part) // 2 for full, part in zip(arrays[key].shape[1:], (height, width)))
        full = arrays[key].shape[2], arrays[key].shape[1]
        arrays[key] = arrays[key][:, rows:rows + height, columns:columns + width].copy()
        if "normal_from" in key:  # the slope at the border is not known
            arrays[key][:, [0, -1]], arrays[key][:, :, [0, -1]] = 0, 0
    for key in [key for key in arrays if key.endswith("intrinsics")]:
        arrays[key] = arrays[key] * np.float32([[full[0] / width], [full[1] / height], [1]])


def draw_background(arrays, config, width, height):
    """The pass over a background drawn again in another size, in float64."""
    settings = config["gaussian"]
    gaussians = DecodedGaussians(
        {key[3:]: torch.from_numpy(value).double() for key, value in arrays.items() if key.startswith("in/_")},
        Representation({}, True, 1.5, 1, settings["kernel"], settings["scaling_bias"],
                                      settings["opacity_bias"], settings["scaling_activation"]))
    pixels = render.pixel_intrinsics(arrays["in/cam0/intrinsics"], width, height)
    seen = twin.project(*render.shape(gaussians, "_scaling_view"),
                        *(torch.from_numpy(each).double() for each in (arrays["in/cam0/extrinsics"], pixels)),
                        width, height, near=config["near"], far=config["far"])
    colors, behind = (torch.from_numpy(arrays[f"in/{name}"]).double() for name in ("background_colors", "background"))
    image, alpha, depth, _ = twin.rasterize(seen, colors, width, height, background=behind)
    arrays["out/background/rgbd"] = torch.cat([image, depth[..., None]], 2).float().numpy()
    arrays["out/background/alpha"] = alpha[..., None].float().numpy()


def test_frames_and_backgrounds_may_have_any_size(tmp_path):
    config = json.loads((FOLDER / "render_full.json").read_text())

    def change(arrays):
        crop_frames(arrays, 60, 56)
        draw_background(arrays, config, 40, 24)

    changed(tmp_path, "render_full", change)
    row = reference.verify_one(tmp_path / "render_full.json")
    assert row.verdict == "pass", reference.format_result(row)
    assert {"out/background/rgbd", "out/cam2/color"} <= {part.name for part in row.parts}


def test_a_folder_without_fixtures_is_named(tmp_path):
    with pytest.raises(NearError, match="no fixtures"):
        reference.verify(tmp_path)
