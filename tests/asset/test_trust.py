"""From how far around an asset can be trusted."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset.trust import find_trusted_arc
from near_core.directions import fibonacci_sphere
from tests.random_assets import some_surfels


def ball(known_around: float, reach: float):
    """Surfels of a ball, known where they face within `reach` degrees of an azimuth."""
    normal = fibonacci_sphere(2000).astype(np.float32)
    turn = np.radians(known_around)
    faced = normal @ np.float32([np.sin(turn), -np.cos(turn), 0])
    one = np.ones(2000, np.float32)
    return replace(some_surfels(2000), normal=normal, area=one, opacity=one,
                   confidence=np.where(faced > np.cos(np.radians(reach)), 0.9, 0.5).astype(np.float32))


@pytest.mark.parametrize("azimuth", [0, 90, -140])
def test_one_photo_is_trusted_to_both_of_its_sides_alike(azimuth):
    arc = find_trusted_arc(ball(azimuth, 85))
    assert arc.middle == azimuth and 80 <= arc.width <= 140


def test_all_around_and_nowhere():
    assert find_trusted_arc(ball(0, 181)).width == 360
    assert find_trusted_arc(ball(0, 20)).width == 0
