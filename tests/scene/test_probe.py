"""A probe before a World."""

import numpy as np

from near_core.scene import Environment, Probe
from near_core.scene import environment as environments


def half_red() -> Probe:
    """Red below the horizon, nothing above."""
    radiance = np.zeros((64, 128, 4), np.float32)
    radiance[32:] = 1, 0, 0, 1
    return Probe(radiance, np.full((64, 128), np.inf, np.float32), np.zeros(3))


def test_the_world_shows_where_the_probe_is_empty_along_the_worlds_axes():
    sky = np.zeros((128, 256, 3), np.float32)
    sky[:, :128] = 0.25  # +Y
    world = Environment(sky, environments.turn_z(90.0), 2.0)  # +Y is looked up at -X, +X at +Y
    light = half_red().lay_over(world)
    assert light.map.shape == (128, 256, 3) and light.strength == 1
    seen = light.look_up(np.float32([[0.8, 0, 0.6], [-0.8, 0, 0.6], [0.8, 0, -0.6]]))
    np.testing.assert_allclose(seen, [[0.5, 0.5, 0.5], [0, 0, 0], [1, 0, 0]], atol=1e-6)


def test_equal_probes_have_equal_hashes():
    one, other = half_red(), half_red()
    assert one.hash == other.hash
    other.distance[0, 0] = 1
    assert one.hash != Probe(one.radiance, other.distance, one.position).hash
    assert one.hash != Probe(one.radiance, one.distance, np.ones(3)).hash
    shares = np.zeros((64, 128), np.float32)
    assert len({one.hash, *(Probe(one.radiance, one.distance, one.position, *each).hash for each in (
        (shares,), (None, shares[..., None].repeat(3, -1))))}) == 3


def test_matt_surfaces_get_what_is_told_for_them():
    one = half_red()
    assert one.soften() is one
    told = Probe(one.radiance, one.distance, one.position, diffuse=np.full((64, 128, 3), 0.5, np.float32)).soften()
    np.testing.assert_array_equal(told.radiance[40, 0], [0.5, 0.5, 0.5, 1])
    np.testing.assert_array_equal(told.radiance[..., 3], one.radiance[..., 3])
