"""What the status bar says."""

from near_blender.operators import status


def test_a_long_name_leaves_room_for_what_is_said_of_it():
    assert status.shorten("x" * 200) == "x" * 39 + "\u2026" and status.shorten("Keg") == "Keg"
