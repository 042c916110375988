"""Octahedral codes, unit vectors, even directions, the rotation in a matrix."""

import numpy as np
import pytest

from near_core import directions


def test_octahedral_codes_hold_a_direction():
    normal = directions.fibonacci_sphere(5000)
    code = directions.encode_octahedral(normal)
    assert code.shape == (5000, 2) and np.abs(code).max() <= 1
    np.testing.assert_allclose(directions.decode_octahedral(code), normal, atol=1e-6)
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    np.testing.assert_allclose(directions.decode_octahedral(directions.encode_octahedral(axes)), axes, atol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unit_vectors_are_one_long_and_nothing_stays_nothing(axis):
    vectors = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    made = directions.unit(vectors, axis)
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made, axis=axis), 1, rtol=1e-6)
    np.testing.assert_allclose(np.cross(made, vectors, axis=axis), 0, atol=1e-6)
    assert not directions.unit(np.zeros((4, 3))).any()


def test_the_smallest_vectors_have_a_direction_too():
    for dtype, size in ((np.float32, 1e-15), (np.float64, 1e-19)):
        np.testing.assert_allclose(directions.unit(np.array([3, 0, 4], dtype) * dtype(size)), [0.6, 0, 0.8], rtol=1e-5)
    assert np.isfinite(directions.unit(np.full((2, 3), 1e-30, np.float32))).all()


def test_fibonacci_directions_are_even():
    sphere = directions.fibonacci_sphere(1000)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(sphere.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(sphere.T @ sphere / 1000, np.eye(3) / 3, atol=2e-3)


def test_the_polar_rotation_of_a_stretched_rotation_is_the_rotation():
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    stretch = np.diag([0.5, 2.0, 3.0])
    np.testing.assert_allclose(directions.polar_rotation(turn @ stretch), turn, atol=1e-12)
    mirror = np.diag([-1.0, 1, 1])
    assert np.linalg.det(directions.polar_rotation(mirror @ stretch)) == pytest.approx(-1)
