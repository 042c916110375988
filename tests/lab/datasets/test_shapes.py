"""Shapes: their faces wind outwards."""

import numpy as np
import pytest

from near_core.lab.datasets import shapes

pytest.importorskip("skimage")
pytest.importorskip("trimesh")
pytest.importorskip("manifold3d")


@pytest.mark.parametrize("kind", shapes.SHAPES)
def test_shapes_wind_outwards(kind):
    for seed in range(5):
        part = kind(np.random.default_rng(seed))
        a, b, c = (part.vertices[part.faces[:, i]] for i in range(3))
        assert (np.cross(a, b) * c).sum() > 0, seed
