"""Discs of surfels in a picture."""

import numpy as np
import pytest

from near_core.create import sampling
from near_core.render.discs import ProjectedDiscs
from near_core.scene import camera
from tests.create.pictures import box


def test_the_gradient_is_that_of_the_picture():
    drawing = ProjectedDiscs.of(sampling.sample_surfels(box()), 128, camera.orbit(-20, 20, 2.5, 40, 96, 96))
    rng = np.random.default_rng(0)
    colors, towards = rng.random((2, len(drawing.front), 3), np.float32)
    weights = rng.random((96, 96, 3), np.float32)
    change = (drawing.draw(towards)[..., :3] * weights).sum()  # the picture is linear in the colours
    assert (drawing.differentiate(colors, weights) * towards).sum() == pytest.approx(change, rel=1e-3)
