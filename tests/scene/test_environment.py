"""Light maps: their axes, their turning, and what makes them safe."""

import numpy as np
import pytest

from near_core.errors import NearError
from near_core.scene import Environment
from near_core.scene import environment as environments


def spotted() -> Environment:
    """One column bright in the middle, which is +X."""
    sky = np.zeros((32, 64, 3), np.float32)
    sky[:, 31:33] = 1
    return Environment(sky)


def test_the_middle_of_a_map_is_plus_x_and_turning_moves_what_is_looked_up():
    axes = np.float32([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    np.testing.assert_allclose(spotted().look_up(axes)[:, 0], [1, 0, 0, 0], atol=1e-6)
    turned = spotted().turn(environments.turn_z(90.0), 2.0)  # -Y is looked up at +X
    np.testing.assert_allclose(turned.look_up(axes)[:, 0], [0, 0, 0, 2], atol=1e-6)


def test_the_hash_is_of_the_map_alone():
    world = spotted()
    assert world.turn(environments.turn_z(20.0), 3.0).hash == world.hash == spotted().hash
    assert environments.uniform((1, 1, 1)).hash != world.hash


def test_maps_become_finite_and_bounded():
    raw = np.float32([[[np.nan, -1, np.inf, 5], [1e9, 0.5, 1, 5]]])
    np.testing.assert_array_equal(environments.sanitize(raw)[0], [[0, 0, 65504], [65504, 0.5, 1]])
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 1)), np.zeros((0, 4, 3))):
        with pytest.raises(NearError, match="The sky"):
            environments.sanitize(wrong, "The sky")


def test_a_map_of_any_brightness_keeps_its_light():
    raw = np.float32([[[3e5, 5, np.inf], [0.5, 2, 1]]])
    light = environments.take_map(raw)
    assert light.map.max() <= environments.MAX_RADIANCE and light.strength > 4
    np.testing.assert_allclose(light.map * light.strength, [[[3e5, 5, 65504], [0.5, 2, 1]]], rtol=1e-5)
    dim = environments.take_map(np.full((2, 4, 3), 7, np.float32))
    assert dim.strength == 1 and (dim.map == 7).all()


def test_a_uniform_light_that_halves_do_not_hold_is_in_its_strength():
    light = environments.uniform((1e5, 1, 0))
    assert light.map.max() <= environments.MAX_RADIANCE
    np.testing.assert_allclose(light.map[0, 0] * light.strength, (1e5, 1, 0), rtol=1e-6)
    assert environments.uniform((6e4, 1, 0)).strength == 1
