"""One asset of every photo of a folder, by the command and by Blender's."""

import contextlib
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from near_core import asset
from near_core.commands import folder, terminal
from near_core.commands.cli import main
from near_core.errors import NearError
from tests.machine import bound_by_rights
from tests.random_assets import some_asset


def save_disc(path: Path, wide: float) -> None:
    """A reddish ellipse that its alpha cuts out."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[(x / wide) ** 2 + y * y < 0.7] = (200, 60, 40, 255)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path) -> Path:
    """One that can be read, and after it one that cannot."""
    save_disc(tmp_path / "a.png", 0.9)
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "._a.png").write_bytes(b"what macOS puts beside a file")
    return tmp_path


def test_what_fails_does_not_stop_the_rest(photos, capsys):
    (photos / "a.png").rename(photos / "c.png")
    assert main(["create", "--folder", str(photos), "--thickness", "thin", "--out", str(photos / "made")]) == 1
    said = capsys.readouterr()
    assert [path.name for path in (photos / "made").iterdir()] == ["c.near"]
    made = asset.load(photos / "made" / "c.near")
    assert (made.name, made.source) == ("c", "c.png") and "2/2 c.png: Surface" in said.err
    head, failed, done, end = said.out.strip().splitlines()
    assert failed.split()[:2] == ["b.png", "failed"] and "b.png" in failed[10:]
    assert done.split()[:3] == ["c.png", "c.near", f"{len(made.coords):,}"] and end.startswith("1 of 2 made in ")


@pytest.mark.parametrize("fails", [True, False])
def test_a_stop_that_a_library_keeps_to_itself_ends_it(photos, capsys, monkeypatch, fails):
    """As onnxruntime does while it is loaded."""
    def create(*_, **__):
        with contextlib.suppress(KeyboardInterrupt):
            terminal.stop()
        if fails:
            raise NearError("onnxruntime is not there.", "Reinstall the add-on.")
        return some_asset()

    save_disc(photos / "b.png", 0.9)
    monkeypatch.setattr("near_core.engine.Engine.create_from_image", create)
    monkeypatch.setattr(terminal, "stopped", threading.Event())
    monkeypatch.setattr(terminal, "_heeded", -math.inf)
    assert main(["create", "--folder", str(photos), "--out", str(photos / "made")]) == 130
    said = capsys.readouterr()
    assert said.err.endswith("near_core: stopped.\n") and "onnxruntime" not in said.err
    assert [path.name for path in photos.glob("made/*")] == ["a.near"] * (not fails)


def test_none_made_is_a_failure(photos, capsys):
    (photos / "a.png").unlink()
    assert main(["create", "--folder", str(photos), "--out", str(photos / "made")]) == 2
    assert "0 of 1 made" in capsys.readouterr().out and not (photos / "made").exists()
    (photos / "old").mkdir()
    assert main(["create", "--folder", str(photos), "--out", str(photos / "old")]) == 2
    assert (photos / "old").exists(), "it was there before"


@pytest.mark.parametrize("name", ["made", "deeper/made", "n" * 300])
def test_a_folder_that_cannot_be_looked_for_is_said(photos, capsys, name):
    shut = photos / "shut"
    shut.mkdir()
    shut.chmod(0)
    try:
        with bound_by_rights():
            assert main(["create", "--folder", str(photos), "--out", str(shut / name)]) == 2
    finally:
        shut.chmod(0o700)
    assert "could not be made" in capsys.readouterr().err and not list(shut.iterdir())


def test_photos_that_are_called_the_same_have_files_of_their_own():
    targets = folder.name_targets([Path("a.png"), Path("A.jpg"), Path("b.jpg")], Path("out"))
    assert [path.name for path in targets] == ["a_png.near", "A_jpg.near", "b.near"]
    targets = folder.name_targets([Path("a.jpg"), Path("a.png"), Path("a_jpg.png")], Path("out"))
    assert [path.name for path in targets] == ["a_jpg.near", "a_png.near", "a_jpg_png.near"]


@pytest.mark.parametrize("words, said", [
    (("--image", "x.png"), "--image belongs to one asset"), (("--view", "left"), "--view belongs to one asset"),
    (("--mesh", "x.glb"), "--mesh belongs"), (("--out", "a.near"), "a.near is no folder"),
    (("--out", "none/other"), "could not be made"), (("--folder", "none"), "none could not be read"),
    (("--folder", "docs"), "There is no photo in docs")])
def test_what_contradicts_is_named(photos, words, said, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    (photos / "docs").mkdir()
    assert main(["create", "--folder", str(photos), "--out", str(photos / "made"), *words]) == 2
    assert said in capsys.readouterr().err
