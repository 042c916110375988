"""kernels.microfacets against strata, closed forms and quadrature."""

import numpy as np
import pytest

from kernels import microfacets


@pytest.mark.parametrize("count", [16, 64, 1024])
def test_hammersley_has_one_point_in_every_stratum(count):
    points = microfacets.hammersley(count)
    assert points.shape == (count, 2) and (points >= 0).all() and (points < 1).all()
    for columns in (2**k for k in range(int(np.log2(count)) + 1)):
        cells = np.floor(points * [columns, count // columns]).astype(int)
        assert len(np.unique(cells, axis=0)) == count, "an elementary interval holds two"


def test_a_rotation_keeps_the_distances_on_the_torus():
    turned = microfacets.hammersley(64, np.array([3_000_000_000, 12345], np.uint32))
    moved = (turned - microfacets.hammersley(64)) % 1
    assert np.abs(np.exp(2j * np.pi * moved) - np.exp(2j * np.pi * moved[0])).max() < 1e-5


@pytest.mark.parametrize("alpha, cosine", [(0.1, 0.9), (0.4, 0.5), (0.9, 0.2)])
def test_reflected_directions_have_the_density_they_say(alpha, cosine):
    """Averages of functions of the direction, over the samples and by quadrature of GGX with its visible normals."""
    view = np.array([[np.sqrt(1 - cosine**2), 0, cosine]])
    u = microfacets.hammersley(1 << 14)
    light, _, _, density = (each[0] for each in microfacets.reflect(view, alpha, u[:, 0], u[:, 1]))
    assert np.allclose(np.linalg.norm(light, axis=1), 1)

    def truth(direction):
        """Density of a direction: G1 D (v.h) / v.z of the normal h between, times 1 / (4 v.h)."""
        half = direction + view[0]
        tilt = half[..., 2] ** 2 / (half**2).sum(-1)
        d = alpha**2 / (np.pi * (tilt * (alpha**2 - 1) + 1) ** 2)
        return d * 2 / (1 + np.sqrt(1 + alpha**2 * (1 - cosine**2) / cosine**2)) / (4 * cosine)

    up = light[:, 2] > 0
    assert np.allclose(density[up], truth(light[up]), rtol=1e-4)
    z, phi = (np.arange(800) + 0.5)[:, None] / 800, (np.arange(1600) + 0.5) / 1600 * 2 * np.pi
    grid = np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z + 0 * phi], -1)
    for function in (lambda x: x[..., 2], lambda x: x[..., 0] ** 2, lambda x: 1.0 * (x[..., 0] < -0.3)):
        expected = (function(grid) * truth(grid)).mean() * 2 * np.pi
        assert abs(np.where(up, function(light), 0).mean() - expected) < 3e-3
