"""The guided filter: what it finds again, and what it is for: a coarse map that follows a picture's edges."""

import numpy as np
import pytest

from near_core.image.filters import blur_box
from near_core.image.guided_filter import fit_to_guide


def test_values_that_are_linear_in_the_colours_come_back():
    guide = np.random.default_rng(0).random((20, 30, 3))
    fit = fit_to_guide(guide @ [0.3, -0.2, 0.5] + 0.1, guide, 2, 1e-9)
    np.testing.assert_allclose(fit, np.broadcast_to([0.3, -0.2, 0.5, 0.1], fit.shape), atol=1e-4)


@pytest.mark.parametrize("tolerance", [1e-5, 1e-3])
def test_a_coarse_disc_follows_the_pictures_edge(tolerance):
    y, x = np.mgrid[:256, :256]
    disc = np.hypot(x - 120, y - 130) < 70
    noise = np.random.default_rng(0).normal(0, 0.01, (256, 256, 3))
    picture = np.where(disc[..., None], [0.7, 0.3, 0.2], [0.3, 0.4, 0.6]) + noise
    coarse = blur_box(disc.astype(float), 4)
    shrink = lambda maps: maps.reshape(64, 4, 64, 4, -1).mean((1, 3))
    fit = fit_to_guide(shrink(coarse)[..., 0], shrink(picture), 2, tolerance).repeat(4, 0).repeat(4, 1)
    sharp = (fit[..., :3] * picture).sum(-1) + fit[..., 3]
    assert np.abs(sharp - disc).mean() < 0.75 * np.abs(coarse - disc).mean()


def test_noise_goes_but_for_what_two_guides_show():
    chance = np.random.default_rng(0)
    guide = np.stack([np.repeat(chance.random((1, 40)), 40, 0), np.repeat(chance.random((40, 1)), 40, 1)], -1)
    told, noise = guide @ [0.5, -0.2] + 0.3, 0.1 * chance.standard_normal((40, 40))
    fit = fit_to_guide(told + noise, guide, 3, 1e-5)
    assert ((fit[..., :2] * guide).sum(-1) + fit[..., 2] - told)[8:-8, 8:-8].std() < 0.04
    level = fit_to_guide(noise, np.zeros_like(guide), 2, 1e-5)[..., 2]
    np.testing.assert_allclose(level, blur_box(blur_box(noise, 2), 2), atol=1e-7)
