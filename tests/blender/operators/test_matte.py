"""Correct Matte without a window: what it refuses. tests/gui/matte.py draws."""

import bpy
import pytest


def test_nothing_is_drawn_on_what_was_not_made_from_a_photo():
    assert not bpy.ops.near.correct_matte.poll()
    with pytest.raises(RuntimeError, match="drawn on in an Image Editor"):
        bpy.ops.near.draw_hints("INVOKE_DEFAULT", object_name="nobody")
