"""kernels.corners against its twin, and what lies between others."""

import numpy as np
import pytest

from kernels import corners
from kernels.library import ISAS, isa
from kernels.twins import corners as twin

WIDTH, HEIGHT = 21, 17


def points():
    """A bent surface over most of a picture, a step, a rough part, pixels of two points; one in ten is not even."""
    rng = np.random.default_rng(5)
    pixel = np.sort(np.concatenate([np.arange(WIDTH * HEIGHT), rng.integers(0, WIDTH * HEIGHT, 30)])).astype(np.int32)
    x, y = (pixel % WIDTH).astype(np.float32), (pixel // WIDTH).astype(np.float32)
    normal = np.stack([0.02 * (x - 10), 0.003 * y, np.ones_like(x)], 1)
    normal[x > 12, 1] += 0.2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    position = np.stack([x, y, -0.01 * (x - 10) ** 2 + 5 * (y > 11)], 1).astype(np.float32)
    roughness = np.where(x < 5, 0.9, np.where(y < 5, 0.3, 0.6)).astype(np.float32)
    plane = np.tile(np.float32([0, 0, 1]), (len(pixel), 1))
    return (pixel, position, plane, normal.astype(np.float32), roughness, np.ones(len(pixel), np.float32),
            rng.random(len(pixel)) > 0.1)


@pytest.mark.parametrize("variant", ISAS)
@pytest.mark.parametrize("start", [(0, 0), (-3, 2), (1, 1)])
def test_corners_follow_their_twin(monkeypatch, variant, start):
    monkeypatch.setenv("NEAR_ISA", variant)
    if isa() != variant:
        pytest.skip(f"this machine has no {variant}")
    made = points()
    found = corners.find(*made, WIDTH, HEIGHT, start)
    expected = twin.find(*made, WIDTH, HEIGHT, start)
    np.testing.assert_array_equal(found.corner, expected)
    assert 0.1 < (expected[:, 0] >= 0).mean() < 0.9
    standing = np.unique(expected[expected[:, 0] >= 0])
    np.testing.assert_array_equal(np.flatnonzero(found.stands), standing)
    assert (expected[standing] < 0).all()
    across = (made[0].take(standing) % WIDTH - start[0]) % corners.APART
    assert not across.any()

    place, values = np.full(len(made[0]), -1, np.int32), np.random.default_rng(0).normal(size=(len(found.own), 5))
    place[found.own[::-1]] = np.arange(len(found.own))
    values = values.astype(np.float32)
    np.testing.assert_allclose(found.blend(place, values, slice(7, 300)),
                               twin.blend(expected, made[0], WIDTH, place, values)[7:300], atol=1e-5)
    rows, around = found.settle(place, values, 2.5)
    np.testing.assert_array_equal(found.corner, twin.settle(expected, place, values, 2.5))
    np.testing.assert_array_equal(rows, np.flatnonzero(found.corner[:, 0] != expected[:, 0]))
    np.testing.assert_array_equal(around, expected[rows])
    assert len(rows)


def test_threads_find_the_same():
    made = tuple(np.concatenate([each + (WIDTH * HEIGHT * n if not k else 0) for n in range(40)]).astype(each.dtype)
                 for k, each in enumerate(points()))
    one, four = (corners.find(*made, WIDTH, 40 * HEIGHT, (0, 0), threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.corner, four.corner)
    place, values = np.arange(len(made[0]), dtype=np.int32), np.random.default_rng(1).normal(size=(len(made[0]), 3))
    values, rows = values.astype(np.float32), slice(5, len(place) - 5)
    np.testing.assert_array_equal(one.blend(place, values, rows, 1), four.blend(place, values, rows, 4))
    one.settle(place, values, 3.0, 1), four.settle(place, values, 3.0, 4)
    np.testing.assert_array_equal(one.corner, four.corner)


@pytest.mark.parametrize(("number", "value", "wrong"), [
    (0, np.int32([3, 1]), "ascend"), (0, np.int32([0, WIDTH * HEIGHT]), "ascend"), (6, np.zeros(2), "even"),
    (3, np.zeros((2, 2), np.float32), "normal")])
def test_what_does_not_fit_is_refused(number, value, wrong):
    made = [each[:2] for each in points()]
    made[number] = value
    with pytest.raises(ValueError, match=wrong):
        corners.find(*made, WIDTH, HEIGHT, (0, 0))


def test_no_points_have_no_corners():
    assert not len(corners.find(*(each[:0] for each in points()), WIDTH, HEIGHT, (0, 0)).own)
