"""The light of photos, fitted and taken out."""

import numpy as np
import pytest

from near_core.create.config import LightFitConfig
from near_core.create.irradiance import explain_colors, fit_light, gather_lobes, spread_lobes
from near_core.create.sampling import sample_surfels
from near_core.directions import fibonacci_sphere
from tests.create.pictures import box


def test_lobes_of_one_radiance_are_a_uniform_light():
    surfels = sample_surfels(box((0.6, 0.5, 0.4)))
    lobes = gather_lobes(surfels, np.full((len(surfels), 3), 0.5, np.float32))
    flat = np.abs(surfels.normal).max(1) > 0.99
    assert np.median(lobes.sum(1)[flat]) == pytest.approx(1, abs=0.03)  # nothing is in the way of a box
    assert (spread_lobes(fibonacci_sphere(64)) >= 0).all()


def test_a_light_that_explains_what_was_seen_is_found_again():
    rng = np.random.default_rng(0)
    lobes = rng.random((4000, LightFitConfig.lobes)).astype(np.float32)
    light = rng.random((LightFitConfig.lobes, 3)).astype(np.float32)
    albedo = rng.uniform(0.2, 0.8, (4000, 3)).astype(np.float32)
    seen = albedo * (lobes @ light)
    seen[:200] = 9  # highlights
    found = fit_light(lobes, albedo, seen, np.ones(4000, np.float32), LightFitConfig(stiffness=1e-4))
    np.testing.assert_allclose(found, light, atol=0.1)
    assert (found >= 0).all()


def test_a_sides_shade_is_not_its_colour():
    """A grey box of which one photo shows three sides in a light from one side; the networks' guess is even."""
    surfels = sample_surfels(box((0.6, 0.6, 0.6)))
    prior = np.full((len(surfels), 3), 0.4, np.float32)
    lobes = gather_lobes(surfels, prior)
    light = np.maximum(fibonacci_sphere(LightFitConfig.lobes)[:, :1], 0.05) * np.float32([1, 0.9, 0.7])
    true = np.where(surfels.position[:, 2:] > 0, np.float32(0.6), np.float32(0.25)) * np.ones(3, np.float32)
    seen = true * (lobes @ light.astype(np.float32))
    weight = (surfels.normal @ np.float32([0.6, -0.6, 0.5]) > 0.1).astype(np.float32)
    made = explain_colors(gather_lobes(surfels, prior), seen[None], weight[None], prior, LightFitConfig(share=0.8))
    sides = [(surfels.normal @ axis > 0.95) & (weight > 0) for axis in np.float32([[1, 0, 0], [0, -1, 0]])]
    for side in sides:
        upper, lower = (made[side & (surfels.position[:, 2] * sign > 0.1)].mean() for sign in (1, -1))
        assert upper > 1.6 * lower
    lit, dim = (made[side].mean() for side in sides)
    assert 0.6 < dim / lit < 1.6  # the light falls on them ten times as bright
