"""What follows an --image belongs to it."""

from pathlib import Path

import pytest
from PIL import Image

from near_core.commands import create
from near_core.commands.cli import main
from near_core.commands.terminal import Parser
from near_core.create.shot import ORTHOGRAPHIC, Shot
from near_core.errors import NearError
from near_core.lab.bench.inputs import SAMPLES


def shots(*words: str) -> list[Shot]:
    parser = Parser(prog="create")
    create.add_arguments(parser)
    photos = parser.parse_args([*words, "--out", "a.near"]).image
    return [create.take_shot(photo, alone=len(photos) == 1) for photo in photos]


def test_every_photo_has_its_own_options():
    front, side, top = shots("--image", "a.png", "--view", "front", "--mask", "m.png", "--image", "b.png", "--azimuth",
                             "80", "--elevation", "10", "--image", "c.png", "--view", "top", "--fov", "30")
    assert (front.picture, front.mask, front.azimuth, front.elevation) == (Path("a.png"), Path("m.png"), 0, None)
    assert (side.mask, side.azimuth, side.elevation, side.fov) == (None, 80, 10, None)
    assert (top.azimuth, top.elevation, top.fov) == (0, 90, 30)


def test_one_photo_takes_options_before_it_too_and_has_usual_angles():
    (shot,) = shots("--azimuth", "30", "--image", "a.png")
    assert (shot.azimuth, shot.elevation, shot.fov) == (30, 15, 40)
    (shot,) = shots("--image", "a.png", "--elevation", "auto", "--fov", "auto")
    assert (shot.azimuth, shot.elevation, shot.fov) == (0, None, None)


def test_a_drawing_is_told_apart_from_photos():
    front, angle, photo = shots("--image", "a.png", "--view", "right", "--fov", "orthographic", "--image", "b.png",
                                "--azimuth", "30", "--fov", "orthographic", "--image", "c.png", "--view", "back")
    assert (front.fov, front.elevation) == (angle.fov, 0) == (ORTHOGRAPHIC, 0)
    assert (angle.elevation, photo.elevation, photo.fov) == (None, None, None)
    (alone,) = shots("--image", "a.png", "--view", "front", "--fov", "orthographic")
    assert (alone.azimuth, alone.elevation, alone.fov) == (0, 0, ORTHOGRAPHIC)


@pytest.mark.parametrize("words", [("--thickness", "thin"), ("--refine",), ("--seed", "1"), ("--beside", "."),
                                   ("--symmetry", "off"), ("--matting", "isnet")])
def test_what_is_about_photos_is_refused_of_a_mesh_alone(words, tmp_path, capsys):
    assert main(["create", "--mesh", str(SAMPLES / "keg.glb"), "--out", str(tmp_path / "a.near"), *words]) == 2
    assert f"{words[0]} is about photos" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_box_is_in_the_photo_s_pixels(tmp_path):
    a, b = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    Image.new("RGB", (5000, 20)).save(a)  # larger than photos are looked at
    Image.new("RGBA", (40, 20), (0, 0, 0, 255)).save(b)
    first, second = shots("--image", a, "--box", "1250", "5", "3750", "20", "--image", b, "--object", "2")
    assert first.hints.box == (0.25, 0.25, 0.75, 1) and (second.hints.box, second.hints.number) == (None, 2)


@pytest.mark.parametrize("words, said", [
    (("--image", "a.png", "--mask", "m.png", "--object", "1"), "Leave out --object"),
    (("--image", "a.png", "--object", "0"), "no object 0"),
    (("--image", "a.png", "--view", "left", "--view", "right"), "twice"),
    (("--image", "a.png", "--view", "left", "--azimuth", "3"), "Both"),
    (("--image", "a.png", "--view", "left", "--camera", "a.json"), "Leave out --view"),
    (("--image", "a.png", "--view", "below"), "below"), (("--image", "/"), "/ is a folder.")])
def test_what_contradicts_is_named(words, said):
    with pytest.raises(NearError, match=said):
        shots(*words)
