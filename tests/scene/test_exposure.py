"""Shutters and lenses: that their samples lie where light passes, evenly."""

import numpy as np
import pytest

from near_core.scene import camera as cameras
from near_core.scene.exposure import Lens, Shutter

VIEW = cameras.orbit(0, 0, 3, 40, 8, 8)


@pytest.mark.parametrize("blades", [0, 3, 6])
def test_points_fill_the_opening_evenly(blades):
    points = Lens(0.5, 2.0, blades, rotation=0.3).draw_points(4000) / 0.5
    assert np.abs(points.mean(0)).max() < 0.02
    angle, length = np.arctan2(-points[:, 1], points[:, 0]), np.linalg.norm(points, axis=1)
    if blades:  # a regular polygon with the middle of a side at the rotation
        half = np.pi / blades
        edge = np.cos(half) / np.cos((angle - 0.3 + half) % (2 * half) - half)
    else:
        edge = np.ones(len(points))
    share = length / edge
    assert share.max() <= 1 + 1e-6
    assert (share < 0.5).mean() == pytest.approx(0.25, abs=0.02), "a quarter of the area lies within half the size"


def test_an_anamorphic_lens_blurs_less_to_the_sides():
    round_, wide = Lens(1, 1).draw_points(200), Lens(1, 1, ratio=2).draw_points(200)
    np.testing.assert_allclose(wide, round_ * (0.5, 1))


def test_times_follow_how_far_the_shutter_is_open():
    still = np.zeros((2, 0, 4, 4))
    np.testing.assert_allclose(Shutter([VIEW] * 2, still).draw_times(4), (np.arange(4) + 0.5) / 4, atol=1e-6)
    opening = Shutter([VIEW] * 2, still, openness=(0, 1)).draw_times(1000)
    assert (opening < 0.5).mean() == pytest.approx(0.25, abs=0.01)
