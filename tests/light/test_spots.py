"""Rays towards a map's spots."""

import numpy as np

from near_core.light import spots, transport
from near_core.light.config import TransportConfig
from near_core.scene import Environment
from tests.light.test_terms import sunny


def test_rays_are_as_dense_as_a_map_between_two_texels():
    """And each of a tile's pixels has others, which together leave no gap."""
    made = spots.spread(16, 1.5)
    assert made.shape == (spots.PATTERNS, 16, 2)
    assert len(np.unique(made.reshape(-1, 2).round(5), axis=0)) == spots.PATTERNS * 16
    along = np.sort(made.reshape(-1, 2), 0)
    below = np.linspace(-1.5, 1.5, 61)
    tent = np.where(below < 0, (1 + below / 1.5) ** 2 / 2, 1 - (1 - below / 1.5) ** 2 / 2)
    for axis in (0, 1):
        np.testing.assert_allclose(np.searchsorted(along[:, axis], below) / len(along), tent, atol=0.01)
    shares = (made[..., 0] < 0.4).mean(1)  # how much of a spot arrives where a straight edge hides the rest
    assert np.ptp(shares) <= 1 / 16 + 1e-6


def test_a_strong_spot_is_asked_for_around_its_middle():
    """One of a sun that sends most of the light, four rays; faint ones side by side, one in the middle of the first."""
    config = TransportConfig()
    broad = np.full((256, 512, 3), 0.7, np.float32)
    broad[40:44, 200:204] = 500
    for environment, strong in ((sunny(2000.0), True), (Environment(broad), False)):
        light = transport.prepare_light(environment)
        found, texel = spots.find(light, np.eye(3), config), 180 / light.pyramid.height
        assert (found.strong == strong).all() and len(found.number)
        assert (found.told.sum(1) == (4 if strong else 1)).all() and (found.told.sum(0) >= 1).all()
        assert (len(found.asked) < len(found.number)) == (not strong)
        for ray, told in zip(found.asked, found.told.T):
            apart = np.degrees(np.arccos(np.clip(found.towards[told > 0] @ ray, -1, 1)))
            if strong:
                np.testing.assert_allclose(apart, np.hypot(0.5, 1.5) * texel, atol=0.05)
            else:
                assert apart.min() < 0.05 and apart.max() < config.spot_apart * texel
        assert (found.told[found.owner, np.arange(len(found.asked))] == 1).all()


def test_where_no_spot_is_bright_enough_none_is_asked_for():
    broad = np.full((256, 512, 3), 0.7, np.float32)
    broad[40:44, 200:204] = 500
    light = transport.prepare_light(Environment(broad))
    found = spots.find(light, np.eye(3), TransportConfig(least_spot=1.0))
    assert light.spots and not len(found.number) and not found.asked.size and not found.owner.size
