"""near_blender.preferences: whatever they hold, the add-on is enabled, and a picture is drawn or refused in words."""

import bpy
import pytest
import stage

from near_blender import preferences
from near_blender._core import checkpoints

LONG = "x" * 5000


@pytest.fixture
def chosen(settings, tmp_path, monkeypatch):
    """The preferences; everything the add-on keeps lies in tmp_path."""
    monkeypatch.setattr(preferences, "get_user_folder", lambda name: tmp_path)
    return settings


@pytest.mark.parametrize("values", [
    {"checkpoint": "/nowhere"}, {"checkpoint": "/bin/sh"}, {"checkpoint": LONG, "python": LONG},
    {"checkpoint": "/", "python": "/"}, {"checkpoint": "//", "python": "/bin/false"},
    {"checkpoint": "\u202e%s{x}", "python": "/dev/null"}])
def test_a_choice_of_nonsense_is_told(chosen, ball, values):
    stage.make_stage(16, 12)
    stage.add_asset(ball)
    bpy.ops.render.render()
    for name, value in values.items():
        setattr(chosen, name, value)
    chosen.model = "PUBLISHED"
    try:  # assets of near-mini need none of it
        bpy.ops.render.render()
    except RuntimeError as error:
        assert "NeAR failed" not in str(error) and str(error).strip().endswith("."), error
    chosen.model = "MINI"
    bpy.ops.render.render()


@pytest.mark.parametrize("value", [99, -1, "x", [1.0], {"a": 1}, float("nan")])
def test_properties_of_other_types_choose_nothing(chosen, ball, value):
    bag = chosen.bl_system_properties_get(do_create=True) if hasattr(chosen, "bl_system_properties_get") else chosen
    for name in ("model", "checkpoint", "python", "device", "precision"):
        bag[name] = value
        preferences.apply_preferences()
    for name in checkpoints.CATALOGUE:
        assert preferences.describe_checkpoint(name)[0]
    assert isinstance(preferences.find_python(), str)


def test_where_no_folder_can_be_made_none_is_taken_for_it(settings, tmp_path, monkeypatch):
    """Blender itself names the one that it was started in, whose Python could be anybody's."""
    (tmp_path / "home").touch()
    monkeypatch.setattr(bpy.utils, "user_resource", lambda kind, path="", create=False: (
        "" if create else str(tmp_path / "home" / path)))
    monkeypatch.chdir(tmp_path)
    for folder in (preferences.get_python_folder(), preferences.get_checkpoint_folder("near")):
        assert folder.is_relative_to(tmp_path / "home") and not folder.exists()
    assert preferences.find_python() == "" and preferences.list_companions() == []
    assert not preferences.has_begun() and not bpy.ops.near.remove_python.poll()
