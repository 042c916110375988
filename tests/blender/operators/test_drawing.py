"""Draw Hints without a window: what it refuses. tests/gui/matte.py draws."""

import bpy
import pytest


def test_nothing_is_drawn_outside_of_an_image_editor():
    with pytest.raises(RuntimeError, match="drawn on in an Image Editor"):
        bpy.ops.near.draw_hints("INVOKE_DEFAULT")
