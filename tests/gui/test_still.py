"""F12 in a window and a render without one are the same picture."""

from pathlib import Path

import numpy as np
import pytest

from tests.blender import stage

SCRIPT = "still"
pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_a_window_draws_what_a_render_without_one_draws(events, out, blender, packages):
    blender("-b", "--factory-startup", "-P", str(Path(__file__).with_name("run.py")), "--", str(out), SCRIPT,
            HEADLESS="1", NEAR_GUI_PACKAGES=str(packages))
    window, plain = stage.read(out / "window.exr"), stage.read(out / "plain.exr")
    assert {"Combined", "Depth"} <= window.keys() and window["Combined"][..., :3].std() > 0.01
    for name, picture in window.items():
        assert np.array_equal(picture, plain[name]), name
