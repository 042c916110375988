"""Who disables the add-on while it draws keeps Blender, and no process."""

import pytest

from near_core import image

SCRIPT = "gone"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.mark.parametrize("way", ["F12", "Rendered"])
def test_disabled_while_something_is_drawn(events, way):
    assert events[way]["workers"] == events[way]["later"] == [] and events[way]["seconds"] < 5


def test_the_next_picture_is_right(events, out):
    picture = image.read(out / "again.png")
    assert picture[..., :3].std() > 0.02


def test_what_was_going_on_leaves_nothing(events):
    assert events["drawing"] == [1, False] and events["turntable"]
