"""Grain of a photo's object where no photo shows it."""

import numpy as np
import pytest

from near_core.create.grain import continue_grain, find_grain
from near_core.create.view import LayerView, lift_pixels
from near_core.models.mini.layout import SIZE
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

PERIOD = 8  # pixels


def plain_view() -> LayerView:
    """A grey square of 80 pixels, level, seen from far away."""
    view = view_of(cameras.orbit(0, 0, 40, 2, SIZE, SIZE), np.zeros((SIZE, SIZE), np.float32))
    view.mask[:] = False
    view.mask[24:104, 24:104] = True
    return view


def stripe(view: LayerView, height: float) -> None:
    """Upright stripes, so high."""
    view.material[:3] += np.float32(height * np.sin(np.arange(SIZE) * 2 * np.pi / PERIOD))


def test_what_there_is_everywhere_is_grain_and_what_stands_out_is_none():
    view = plain_view()
    assert not find_grain(view).any()
    stripe(view, 0.03)
    grain = find_grain(view)[0, 40:88, 40:88]
    assert grain.std() == pytest.approx(0.03 / np.sqrt(2), rel=0.2) and abs(grain.mean()) < 1e-3
    view.material[:3, 60:66, 60:66] = 1  # an eye
    assert np.abs(find_grain(view)[:, 50:76, 50:76]).max() < 0.09
    stripe(view, 0.3)
    assert find_grain(view)[0, 40:88, 40:88].std() == pytest.approx(view.config.grain_most, rel=0.2)


def test_grain_goes_on_behind_an_outline_as_if_that_were_unfolded():
    """Stripes, what faces away, right behind some pixels, and the right side, which goes back from the outline."""
    view = plain_view()
    stripe(view, 0.03)
    row = np.zeros((SIZE, SIZE), bool)
    row[64, 64:96] = True
    front, grain = lift_pixels(view, row), find_grain(view)[:, 64, 64:96].T
    pixel = np.float32(front[1, 0] - front[0, 0])
    rear = continue_grain(front + np.float32([0, 0.1, 0]), np.tile(np.float32([0, 1, 0]), (32, 1)), view)
    np.testing.assert_allclose(rear, grain, atol=0.003)
    back = np.arange(32, dtype=np.float32)[::-1, None] * pixel * np.float32([0, 1, 0])
    side = continue_grain(front[-1] + back, np.tile(np.float32([1, 0, 0]), (32, 1)), view)
    np.testing.assert_allclose(side, grain, atol=0.008)
    assert side.std() > 0.015  # not drawn through
