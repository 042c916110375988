"""evaluate on a small set whose truth the renderer itself drew: the numbers are known in advance."""

import argparse
import json

import numpy as np
import pytest

from near_core import image, mesh
from near_core.create.create import create_from_mesh
from near_core.errors import NearError
from near_core.lab.evaluation import evaluate
from near_core.models.mini.runtime import NearMini
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings, camera, environment

HEADER = """ply
format ascii 1.0
element vertex {}
property float x
property float y
property float z
element face {}
property list uchar int vertex_indices
end_header
"""
# thin, so that they have few surfels; the angle shades itself, the bar hardly
BAR = HEADER.format(8, 6) + """-0.5 -0.05 -0.05
0.5 -0.05 -0.05
0.5 0.05 -0.05
-0.5 0.05 -0.05
-0.5 -0.05 0.05
0.5 -0.05 0.05
0.5 0.05 0.05
-0.5 0.05 0.05
4 0 3 2 1
4 4 5 6 7
4 0 1 5 4
4 1 2 6 5
4 2 3 7 6
4 3 0 4 7
"""
ANGLE = HEADER.format(6, 2) + """-0.5 -0.1 -0.1
0.5 -0.1 -0.1
0.5 0.1 -0.1
-0.5 0.1 -0.1
0.5 0.1 0.1
-0.5 0.1 0.1
4 0 1 2 3
4 3 2 4 5
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A bar and an angle, views 0 to 4 under a sky with a bright patch, drawn with light transport."""
    root = tmp_path_factory.mktemp("set")
    light = np.full((32, 64, 3), 0.2, np.float32)
    light[6:12, 10:20] = (8, 7, 5)
    image.write_exr(root / "sky.exr", {"Combined": np.concatenate([light, np.ones((32, 64, 1))], -1)})
    files = {"bar": "bar.ply", "angle": "angle.ply"}
    for name, file in files.items():
        (root / file).write_text(BAR if name == "bar" else ANGLE)
    (root / "meta.json").write_text(json.dumps({"name": "bars", "assets": list(files), "files": files, "hdris": ".",
                                                "normalised": True, "categories": {"bar": "a", "angle": "b"}}))
    renderer = Renderer()
    for name, file in files.items():
        folder = root / "views" / name
        folder.mkdir(parents=True)
        asset = create_from_mesh(mesh.load(root / file), name=name, normalize=True)
        for n in range(5):
            view = camera.orbit(20 * n - 40, 20, 1.8, 40, 48, 48)
            matrix = np.linalg.inv(view.world_to_camera) @ np.diag([1, -1, -1, 1])
            sky = environment.Environment(light, environment.turn_z(20.0 * n))
            picture = renderer.render([Instance(asset, np.eye(4))], view, sky, Settings(shading="transport"))
            image.write_exr(folder / f"{n}.exr", {"Combined": picture["Combined"]}, half=True)
            (folder / f"{n}.json").write_text(json.dumps(
                {"hdri": "sky.exr", "hdri_rotation_deg": 20.0 * n, "camera": {
                    "matrix_world": matrix.tolist(), "fov_x_deg": 40, "resolution": [48, 48]}}))
    return root


def run(dataset, out, *words):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    args = parser.parse_args(["--dataset", str(dataset), "--json", str(out / "r.json"), "--shading", "transport",
                              *words])
    assert evaluate.run(args) == 0
    return json.loads((out / "r.json").read_text())


@pytest.fixture(scope="module")
def measured(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return run(dataset, out, "--tasks", "1", "--save-images", str(out / "images"), "--report", str(out / "r.html")), out


def test_the_renderer_agrees_with_itself_and_split_sum_does_not(measured):
    numbers = measured[0]["tasks"]["1"]
    assert numbers["n"] == 2 and numbers["pictures"] == 10
    assert numbers["object_psnr"]["worst"] > 60  # but for half floats
    assert numbers["full_psnr"]["worst"] > 60 and numbers["alpha_iou"]["mean"] > 0.998
    assert set(numbers["baselines"]) == {"split-sum", "visibility"}
    assert numbers["baselines"]["split-sum"]["object_psnr"]["worst"] < 35
    assert set(measured[0]["per_category"]["1"]) == {"a", "b"}
    assert len(measured[0]["per_view"]) == 30 and "lpips" not in numbers


def test_visibility_lies_between_split_sum_and_transport(measured):
    """The angle shades itself: hiding the sky helps, what bounces is still missing."""
    value = {(row["asset"], row["n"], row["column"]): row["object_psnr"] for row in measured[0]["per_view"]}
    angle = np.mean([[value["angle", n, c] for c in ("split-sum", "visibility", "given")] for n in range(5)], 0)
    assert angle[0] + 0.5 < angle[1] < angle[2] - 5


def test_saved_pictures_are_what_was_measured(measured, dataset):
    """A scorer that knows only the protocol gets the same number from the saved pictures."""
    result, out = measured
    for row in result["per_view"]:
        if row["column"] != "given":
            continue
        name = f"{row['asset']}/{row['n']}"
        p, t = image.read(out / "images" / f"{name}.t1.exr"), image.read(dataset / "views" / f"{name}.exr")
        p_rgb, t_rgb = (np.clip(x[..., :3].astype(float), 1e-9, 1) for x in (p, t))
        p_rgb, t_rgb = (np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) for x in (p_rgb, t_rgb))
        square = (p_rgb - t_rgb) ** 2
        assert row["object_psnr"] == pytest.approx(-10 * np.log10(square[t[..., 3] > 0.5].mean()), abs=0.05)
        assert row["full_psnr"] == pytest.approx(-10 * np.log10(square.mean()), abs=0.05)


def test_the_report_stands_alone(measured):
    text = (measured[1] / "r.html").read_text()
    assert text.count("data:image/png;base64,") == 10 and "http" not in text
    assert "split-sum" in text


def test_a_second_run_takes_what_was_measured(measured, dataset):
    """Nothing is drawn again: it works without the models."""
    first, out = measured
    hidden = [path.rename(path.with_suffix(".hidden")) for path in list(dataset.glob("*.ply"))]
    try:
        again = run(dataset, out, "--tasks", "1", "--save-images", str(out / "images"), "--report", str(out / "r.html"))
        assert again["tasks"] == first["tasks"]
        with pytest.raises(NearError):  # other settings are measured anew
            run(dataset, out, "--tasks", "1")
    finally:
        for path in hidden:
            path.rename(path.with_suffix(".ply"))


def test_wrong_choices_are_told_in_words(dataset, tmp_path):
    with pytest.raises(NearError, match="tasks"):
        run(dataset, tmp_path, "--tasks", "7")
    with pytest.raises(NearError, match="no asset"):
        run(dataset, tmp_path, "--tasks", "1", "--assets", "nothing")
    with pytest.raises(NearError, match="reconstruction, delighting, matting, sampling"):
        run(dataset, tmp_path, "--tasks", "1", "--set", "nothing.at_all=1")
    with pytest.raises(NearError, match="second half"):
        run(dataset, tmp_path, "--tasks", "1", "--assets", "angle", "--half", "second")


@pytest.mark.parametrize("text", ["splatting.skin_cell=100", "transport.dielectric_albedo=0"])
def test_what_is_set_of_the_renderer_changes_the_numbers(dataset, measured, tmp_path, text):
    found = run(dataset, tmp_path, "--tasks", "1", "--assets", "angle", "--set", text)
    mean = lambda result: np.mean([row["object_psnr"] for row in result["per_view"]
                                   if (row["asset"], row["column"]) == ("angle", "given")])
    assert mean(found) < mean(measured[0]) - 0.5


def test_a_field_that_is_set_changes_the_numbers_and_is_named(dataset, tmp_path):
    """Also in one folder: what was kept of the first run does not count for the second."""
    if not {"intrinsics", "structure", "slat"} <= set(NearMini().graphs):
        pytest.skip("this build has no photo networks")
    words = "--tasks", "2", "--given-only", "--half", "second", "--report", str(tmp_path / "r.html")
    plain = run(dataset, tmp_path, *words)
    pale = run(dataset, tmp_path, *words, "--set", "reconstruction.saturation=0.2")
    assert plain["assets"] == pale["assets"] == ["bar"] and (plain["set"], plain["half"]) == ({}, "second")
    assert pale["set"] == {"reconstruction.saturation": 0.2}
    assert "reconstruction.saturation = 0.2" in (tmp_path / "r.html").read_text()
    assert pale["tasks"]["2"]["object_psnr"]["mean"] != plain["tasks"]["2"]["object_psnr"]["mean"]
