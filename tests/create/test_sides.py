"""From which sides photos were taken that nobody told."""

from collections import Counter

import pytest

from near_core.create.sides import SideSearch, list_free_sides
from tests.create.test_alignment import photographed


def test_a_side_is_looked_for_where_no_photo_was_taken():
    assert list_free_sides([], 4) == [0, 90, -180, -90]
    assert list_free_sides([10.0], 4) == [100, -170, -80] and list_free_sides([0.0, 85.0], 4) == [-180, -90]
    assert list_free_sides([0.0, 1.0, 2.0], 4) == list_free_sides([0.0, 10.0], 4) == [90, -180, -90]


@pytest.mark.parametrize("turns, known", [
    ((0, 90, 45), 2), ((0, 90, 180, -90, 45), 4), ((0, 10, 90), 2),  # between sides, the last one, beside another
    ((0, 120, -120), 1), ((0, -90, 180, 90, 135), 1), ((0, 180, -90, 90), 1), ((0, 180, -60, 60, -120, 120), 1)])
def test_sides_are_found_where_outlines_tell_in_whatever_order(turns, known):
    """Each side of each photo is looked at once."""
    photos, _ = photographed(turns)
    looks: Counter[tuple[int, float]] = Counter()

    def place(number, turn):
        looks[number, turn] += 1
        return photos[number].guess_camera(turn, 12, 35)

    cameras = [photo.guess_camera(turn, 12, 35) for photo, turn in zip(photos, turns)]
    unknown = range(known, len(turns))
    cameras[known:] = [photos[number].guess_camera(0, 12, 35) for number in unknown]
    rings = [list_free_sides(turns[:known], count) for count in sorted({max(len(turns), 4), len(turns)}, reverse=True)]
    way = SideSearch(photos, cameras, unknown, place).find(*rings)
    errors = [abs((way[number] - turns[number] + 180) % 360 - 180) for number in unknown]
    assert max(errors) <= 20, way
    assert max(looks.values()) == 1 and len(looks) >= 24 * len(unknown)
