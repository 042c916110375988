"""The command line as a person or a script meets it: a process of its own, its files, its one-line failures."""

import json
import os
import signal
import sys

import numpy as np
import pytest
import trimesh

from near_core import asset, image
from near_core.commands.cli import main
from near_core.models.mini import runtime
from tests.processes import begin

SIZE = ["--size", "48x32"]


def failure(capsys, *argv) -> str:
    """The one line of a command that must fail with status 2."""
    assert main([str(word) for word in argv]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    said = [line for line in lines if line.startswith("near_core: ")]
    assert len(said) == 1 and said[0] == lines[-1] and "Traceback" not in "".join(lines)
    return said[0]


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    """A .near file made from a red .ply ball by the command."""
    folder = tmp_path_factory.mktemp("ball")
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    mesh.visual.vertex_colors = np.tile(np.uint8([255, 0, 0, 255]), (len(mesh.vertices), 1))
    mesh.export(folder / "ball.ply")
    assert main(["create", "--mesh", str(folder / "ball.ply"), "--out", str(folder / "ball.near")]) == 0
    return folder / "ball.near"


def test_create_from_mesh(ball):
    made = asset.load(ball)
    assert made.name == "ball" and made.source == "ball.ply" and 5000 < len(made.coords) < 30000
    assert made.extent == pytest.approx(1.0, rel=1e-5)
    color = made.material[:, :3].astype(np.float32)
    assert color[:, 0].min() > 0.9 and color[:, 1:].max() < 0.1
    assert not list(ball.parent.glob("*.part"))


def test_render_writes_a_linear_exr_and_an_srgb_png(ball, tmp_path):
    command = ["render", "--asset", str(ball), "--env", "0.5,0.5,0.5", *SIZE]
    assert main([*command, "--out", str(tmp_path / "a.exr")]) == 0
    assert main([*command, "--out", str(tmp_path / "a.png")]) == 0
    picture = image.read(tmp_path / "a.exr")
    assert picture.shape == (32, 48, 4) and picture[16, 24, 3] > 0.85 and picture[0, 0, 3] == 0
    assert picture[16, 24, 0] > 5 * picture[16, 24, 1]
    shown, solid = image.read(tmp_path / "a.png"), picture[..., 3] > 0.9
    assert np.abs(shown[..., 3] - picture[..., 3]).max() < 0.003
    straight = picture[solid][:, :3] / picture[solid][:, 3:]
    assert np.abs(image.srgb_encode(shown[solid][:, :3]) - image.srgb_encode(straight)).max() < 0.003


def test_strength_is_a_factor_and_rotation_turns_the_light(ball, tmp_path):
    light = np.full((16, 32, 3), 0.05, np.float32)
    light[:8, 4:8] = 20
    image.write_exr(tmp_path / "sun.exr", {"Combined": light})
    command = ["render", "--asset", str(ball), "--env", str(tmp_path / "sun.exr"), *SIZE]
    pictures = {}
    for name, options in {"one": [], "three": ["--env-strength", "3"], "turned": ["--env-rotation", "180"]}.items():
        assert main([*command, *options, "--out", str(tmp_path / f"{name}.exr")]) == 0
        pictures[name] = image.read(tmp_path / f"{name}.exr")
    assert np.allclose(pictures["three"][..., :3], 3 * pictures["one"][..., :3], rtol=1e-4, atol=1e-5)
    assert np.abs(pictures["turned"] - pictures["one"]).max() > 0.05


def test_all_passes_and_numbered_frames(ball, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]  # a camera on -Y that looks at the origin
    turn[1, 3] = -2
    camera = {"fov_x_deg": 40, "resolution": [48, 32], "matrix_world": turn.tolist()}
    (tmp_path / "cam.json").write_text(json.dumps(camera))
    (tmp_path / "cams.json").write_text(json.dumps([{}, {"type": "ORTHO", "ortho_scale": 2.0}]))
    assert main(["render", "--asset", str(ball), "--env", "1,1,1", "--camera", str(tmp_path / "cam.json"), "--frames",
                 str(tmp_path / "cams.json"), "--passes", "all", "--out", str(tmp_path / "p.exr")]) == 0
    layers = [image.read_layers(tmp_path / f"p_{n:04d}.exr") for n in (1, 2)]
    assert {f"ViewLayer.{name}" for name in ("Combined", "Depth", "Base Color", "Glossy Indirect")} <= set(layers[0])
    assert layers[0]["ViewLayer.Depth"][16, 24, 0] == pytest.approx(1.5, abs=0.03)
    wide = [(layer["ViewLayer.Combined"][..., 3] > 0.5).sum(1).max() for layer in layers]
    assert wide[1] == pytest.approx(24, abs=1) and wide[0] > wide[1]


@pytest.mark.parametrize("background", [False, True])
def test_passes_of_light_are_those_of_cycles(ball, tmp_path, background):
    """Under its names, without the colour in them, and together they are the picture."""
    names = [f"{kind} {part}" for kind in ("Diffuse", "Glossy") for part in ("Direct", "Indirect", "Color")]
    asked = ",".join(["Combined", *names, "Emission", "Environment"])
    assert main(["render", "--asset", str(ball), "--env", "0.5,0.7,0.9", *SIZE, "--passes", asked,
                 *["--background"] * background, "--out", str(tmp_path / "p.exr")]) == 0
    made = {name.removeprefix("ViewLayer."): values for name, values in image.read_layers(tmp_path / "p.exr").items()}
    assert set(made) == set(asked.split(","))
    whole = made["Emission"] + made["Environment"] * background
    for kind in "Diffuse", "Glossy":
        whole = whole + (made[f"{kind} Direct"] + made[f"{kind} Indirect"]) * made[f"{kind} Color"]
    assert np.abs(whole - made["Combined"][..., :3]).max() < 1 / 255
    middle = {name: values[14:18, 22:26].mean((0, 1)) for name, values in made.items()}
    assert middle["Diffuse Color"] == pytest.approx([1, 0, 0], abs=0.05)
    assert middle["Diffuse Direct"][0] == pytest.approx(0.5, rel=0.1), "light, whatever its colour becomes"
    assert main(["render", "--asset", str(ball), "--env", "0.5,0.7,0.9", *SIZE, "--passes", "Diffuse Direct",
                 "--out", str(tmp_path / "alone.exr")]) == 0
    alone = image.read_layers(tmp_path / "alone.exr")
    assert list(alone) == ["ViewLayer.Diffuse Direct"]
    if not background:
        np.testing.assert_allclose(alone["ViewLayer.Diffuse Direct"], made["Diffuse Direct"], atol=1e-3)


def test_matrix_moves_the_asset_before_it(ball, tmp_path):
    moved = "1 0 0 -0.6  0 1 0 0  0 0 1 -1e-3  0 0 0 1".split()
    assert main(["render", "--asset", str(ball), "--matrix", *moved, "--env", "1,1,1", *SIZE, "--elevation", "0",
                 "--out", str(tmp_path / "a.exr")]) == 0
    alpha = image.read(tmp_path / "a.exr")[..., 3]
    assert alpha[:, :24].sum() > 5 * alpha[:, 24:].sum()


def test_info(ball, capsys):
    assert main(["info", str(ball), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "ball.ply"
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("onnxruntime") for line in lines) and all(line[20:] for line in lines), "no empty fact"


def test_bad_input_is_one_clear_line(ball, tmp_path, capsys):
    out = ["--out", tmp_path / "a.exr"]
    half = tmp_path / "half.near"
    half.write_bytes(ball.read_bytes()[:5000])
    (tmp_path / "cam.json").write_text("{")
    (tmp_path / "black.exr").write_bytes(b"\x76\x2f\x31\x01nothing")
    (tmp_path / "text.png").write_text("not a picture")
    assert "half.near" in failure(capsys, "render", "--asset", half, "--env", "1,1,1", *out)
    assert "none.near" in failure(capsys, "render", "--asset", tmp_path / "none.near", "--env", "1,1,1", *out)
    assert "black.exr" in failure(capsys, "render", "--asset", ball, "--env", tmp_path / "black.exr", *out)
    assert "1,1" in failure(capsys, "render", "--asset", ball, "--env", "1,1", *out)
    assert "cam.json" in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--camera", tmp_path / "cam.json",
                                 *out)
    assert "size" in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--size", "0x4", *out)
    assert "pass" in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--passes", "Beauty", *out)
    assert "folder" in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--out", tmp_path / "no" / "a.exr")
    assert "--mesh" in failure(capsys, "create", "--out", tmp_path / "a.near")
    if "intrinsics" in runtime.NearMini().graphs:
        assert "text.png" in failure(capsys, "create", "--image", tmp_path / "text.png", "--out", tmp_path / "a.near")
    assert "frobnicate" in failure(capsys, "frobnicate")
    assert "--out" in failure(capsys, "create", "--mesh", "a.glb")
    assert not (tmp_path / "a.exr").exists() and not (tmp_path / "a.near").exists()


@pytest.mark.parametrize("words", ["--env-strength 1e39", "--distance 1e300", "--fov 1e-300",
                                   f"--matrix 1e300 {'0 ' * 15}"])
def test_numbers_that_nothing_can_be_drawn_with_are_said(ball, tmp_path, capsys, words):
    """32 bits do not hold them; the worker refuses them in the same way."""
    assert "to draw with" in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--out", tmp_path / "a.exr",
                                     *words.split())
    for light, said in {"1e39,1,1": "'1e39,1,1' is too bright. Give numbers up to 1,000,000,000.",
                        "-1,1,1": "is not a colour. Give three numbers from 0 on",
                        "white": "'white' is neither a picture nor a colour. Give an .exr"}.items():
        assert said in failure(capsys, "render", "--asset", ball, f"--env={light}", "--out", tmp_path / "a.exr")


@pytest.mark.parametrize("words", ["--azimuth nan", "--azimuth inf", "--elevation -inf", "--env-rotation nan",
                                   f"--matrix nan {'0 ' * 15}", "--threads -1", "--threads 99999"])
def test_numbers_that_are_none_are_named(ball, tmp_path, capsys, words):
    option = words.split()[0]
    assert option in failure(capsys, "render", "--asset", ball, "--env", "1,1,1", "--out", tmp_path / "a.exr",
                             *words.split())


def test_light_with_nan_and_enormous_texels_gives_a_finite_picture(ball, tmp_path):
    light = np.ones((8, 16, 3), np.float32)
    light[2, 3], light[4, 5], light[1, 1] = np.nan, 1e9, -np.inf
    image.write_exr(tmp_path / "bad.exr", {"Combined": light})
    assert main(["render", "--asset", str(ball), "--env", str(tmp_path / "bad.exr"), *SIZE,
                 "--out", str(tmp_path / "a.exr")]) == 0
    assert np.isfinite(image.read(tmp_path / "a.exr")).all()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interruption_leaves_no_file_and_no_traceback(ball, tmp_path):
    command = [sys.executable, "-m", "near_core", "render", "--asset", ball, "--env", "1,1,1", "--size", "4096x4096",
               "--out", tmp_path / "a.exr"]
    # a shell starts what it puts in the background with Ctrl-C ignored, and children inherit that
    with begin(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in errors and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
