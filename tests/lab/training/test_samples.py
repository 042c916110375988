"""What a photo shows of a mesh, and the solid."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training.data import samples
from near_core.scene import camera as cameras
from tests.lab.training.test_lit_surfels import sphere


def test_a_photos_true_layers_are_those_of_the_mesh():
    camera = cameras.orbit(30, 20, 2.5, 40, 96, 96)
    made = samples.prepare_sample(sphere(), [camera])
    depth, rest = made["depth"][0].astype(np.float32), made["bytes"][0].astype(np.float32) / 255
    assert depth[0, 48, 48] == pytest.approx(-0.4, abs=0.004)
    assert depth[1, 48, 48] == pytest.approx(0.8, abs=0.008)
    np.testing.assert_allclose(rest[:3, 48, 48] * 2 - 1, [0, 0, -1], atol=0.06)  # it faces the camera
    np.testing.assert_allclose(rest[3:6, 48, 48] ** 2.2, [0.2, 0.5, 0.8], atol=0.02)
    assert rest[6, 48, 48] == pytest.approx(0.3, abs=0.01) and rest[7, 48, 48] == 1
    radius = 0.4 / np.sqrt(2.5**2 - 0.4**2) * camera.intrinsics[0, 0]
    assert rest[8].sum() == pytest.approx(np.pi * (radius + 0.5) ** 2, rel=0.03)
    solid = made["solid"].sum() / 8 / 64**3
    assert solid == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.05)
    assert np.linalg.norm((made["shell"] + 0.5) / 64 - 0.5, axis=1) == pytest.approx(0.4, abs=0.02)
