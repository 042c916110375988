"""Photos behind cameras in a Blender with a window: where it draws them, NeAR has them seen."""

import pytest

SCRIPT = "behind"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_a_photo_is_seen_where_blender_draws_it(events):
    print(events["apart"])
    assert len(events["apart"]) == 12 and max(events["apart"].values()) < 3  # pixels of the window
