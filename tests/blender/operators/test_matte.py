"""Correct Matte without a window: what it refuses. tests/gui/matte.py draws."""

import bpy


def test_nothing_is_drawn_on_what_was_not_made_from_a_photo():
    assert not bpy.ops.near.correct_matte.poll()
