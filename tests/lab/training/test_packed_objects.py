"""Objects as surfels, small enough to be sent."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from scipy.spatial import cKDTree

from near_core.create import sampling
from near_core.lab.training.data import samples


def test_what_is_packed_is_the_surface(made):
    found, packed, _, _ = made
    for mesh, kept in zip(found, packed):
        points = sampling.sample_points(mesh, 4)
        apart = cKDTree(points.position).query(kept.position)[0] * 128
        assert np.median(apart) < 0.6 and apart.max() < 2  # cells
        assert np.linalg.norm(kept.normal, axis=1) == pytest.approx(1, abs=1e-4)
        assert (np.unpackbits(kept.inside).reshape(128, 128, 128) == samples.find_inside(
            sampling.sample_points(mesh, samples.SAMPLES).position)).all()
