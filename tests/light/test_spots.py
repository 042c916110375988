"""Rays towards a map's spots."""

import numpy as np

from near_core.light import spots, transport
from near_core.light.config import TransportConfig
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
    """One of a sun that sends most of the light, four rays; one in the middle of a faint one."""
    config = TransportConfig()
    for power, asked in ((2000.0, 4), (40.0, 1)):
        light = transport.prepare_light(sunny(power))
        found = spots.find(light, np.eye(3), config)
        assert len(found.asked) == asked * len(found.number) > 0
        apart = np.degrees(np.arccos(np.clip(np.einsum("qc,qc->q", found.asked, found.towards[found.owner]), -1, 1)))
        texel = 180 / light.pyramid.height
        np.testing.assert_allclose(apart, 0 if asked == 1 else np.hypot(0.5, 1.5) * texel, atol=0.05)
