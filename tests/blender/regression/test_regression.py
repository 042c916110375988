"""Pictures stay as they were: a reference for each scene, a report, and a switch to bless.

    pytest -m slow tests/blender/regression                 compares; writes .cache/regression/report.html
    NEAR_BLESS=1 pytest -m slow tests/blender/regression    makes the pictures of now the references; look at them first
"""

import bpy
import numpy as np
import pytest

from near_core.scene import Instance
from tests.blender.regression import artists, report, scenes

HANDFUL = ("plain", "look", "point", "normals")
BLENDER = pytest.mark.skipif(bpy.app.version[:2] != (4, 5), reason="the references are of Cycles in Blender 4.5")


@pytest.fixture(scope="module")
def pages():
    pages = report.Report()
    yield pages
    pages.write()


def assert_unchanged(pages, name: str, picture: np.ndarray) -> None:
    share = pages.add(name, picture)
    assert share <= report.SHARE, f"{share:.2f} % of the pixels of {name} changed; see {report.OUT}"


@pytest.mark.parametrize("name", HANDFUL)
def test_a_few_pictures_are_unchanged(pages, name):
    assert_unchanged(pages, name, scenes.SCENES[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in scenes.SCENES if name not in HANDFUL])
def test_a_picture_is_unchanged(pages, name):
    assert_unchanged(pages, name, scenes.SCENES[name]())


@BLENDER
@pytest.mark.slow
@pytest.mark.parametrize("name", artists.OWN)
def test_a_render_is_unchanged(pages, tmp_path, name):
    artists.OWN[name]()
    assert_unchanged(pages, name, artists.draw_open_file(tmp_path))


@BLENDER
@pytest.mark.slow
@pytest.mark.parametrize("name", artists.SHARED)
def test_a_shared_scene_is_unchanged(pages, shared, tmp_path, name):
    artists.open_shared(shared / "data/scenes" / f"{name}.blend")
    assert_unchanged(pages, name, artists.draw_open_file(tmp_path))


@pytest.mark.parametrize("change", [
    lambda: {"light": scenes.sky().turn(np.eye(3), 1.05)},
    lambda: {"instances": [Instance(scenes.ring(), scenes.place(0.005))]},
    lambda: {"settings": scenes.Settings(shading="split-sum")}])
def test_a_small_change_is_seen(monkeypatch, change):
    """A light 5 % stronger, an asset half a centimetre off, another way of shading."""
    monkeypatch.delenv("NEAR_BLESS", raising=False)
    assert report.Report().add("plain", scenes.draw(**change())) > report.SHARE


def test_shares_and_the_page(tmp_path, monkeypatch):
    grey = np.full((10, 10, 4), 255, np.uint8)
    moved = grey.copy()
    moved[:2, :, :3] -= 5
    unseen = np.concatenate([grey[..., :3], 0 * grey[..., 3:]], -1)
    assert report.compare(grey, grey) == 0 and report.compare(moved, grey) == 20
    assert report.compare(unseen, 0 * unseen) == 0 and report.compare(grey[:5], grey) == 100
    monkeypatch.setattr(report, "REFERENCES", tmp_path)
    monkeypatch.setattr(report, "OUT", tmp_path / "report.html")
    monkeypatch.setenv("NEAR_BLESS", "1")
    pages = report.Report()
    assert pages.add("grey", grey) == 0
    monkeypatch.delenv("NEAR_BLESS")
    assert pages.add("grey", moved) == 20 and pages.add("absent", grey) == 100
    pages.write()
    page = (tmp_path / "report.html").read_text()
    assert "2 of 3 changed" in page and page.count("<img") == 9 and page.index("absent") < page.index("20.00 %")
