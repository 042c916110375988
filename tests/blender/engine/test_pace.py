"""What viewports save, under a worker whose times are known."""

import pytest

from near_blender.engine.pace import Pace


def settle(cost, rate: float = 12, most: float = 0.5) -> tuple[float, float, float]:
    """Scale, coarseness and seconds that pictures end at where one takes cost(scale, coarseness) seconds."""
    pace = Pace()
    for _ in range(60):
        scale, coarseness = pace.plan(most)
        seconds = cost(scale, coarseness)
        pace.learn(seconds, rate)
    return scale, coarseness, seconds


def test_nothing_is_saved_where_pictures_are_quick():
    assert settle(lambda scale, coarseness: 0.03)[:2] == (0.5, 1.0)


@pytest.mark.parametrize("cost", [
    lambda scale, coarseness: 0.3 / (4 ** (coarseness > 4)) + 0.01 * scale,  # surfels, a quarter of them a level up
    lambda scale, coarseness: 0.02 + 1.0 * scale ** 2,  # pixels
    lambda scale, coarseness: 0.2 / coarseness + 0.2 * scale])
def test_the_rate_is_kept(cost):
    scale, coarseness, seconds = settle(cost)
    assert seconds * 12 < 1.1 and scale >= 0.2 and coarseness <= 16


def test_smaller_pictures_are_no_coarser_on_the_screen():
    pace, plans = Pace(), []
    for _ in range(20):
        plans.append(pace.plan(0.5))
        pace.learn(4 * plans[-1][0], 12)
    assert plans[-1][0] == pytest.approx(0.2) and max(coarseness / scale for scale, coarseness in plans) < 33


def test_pictures_stay_large_where_small_ones_take_as_long():
    scale, coarseness, _ = settle(lambda scale, coarseness: 0.25 + 0.05 * (coarseness < 4))
    assert (scale, coarseness) == (0.5, 16)
    pace = Pace()
    for _ in range(20):
        pace.learn(0.25, 12)
    for _ in range(20):  # something else, of which they take less
        pace.learn(2.0 * pace.plan(0.5)[0], 12)
    assert pace.plan(0.5)[0] == pytest.approx(0.2)


def test_a_late_picture_alone_changes_nothing():
    pace = Pace()
    for seconds in (0.05, 3.0, 0.05, 0.05):
        pace.learn(seconds, 12)
    assert pace.saving == 0


def test_what_was_saved_comes_back():
    pace = Pace()
    for seconds in [1.0] * 10 + [0.01] * 20:
        pace.learn(seconds, 12)
    assert pace.saving == 0
