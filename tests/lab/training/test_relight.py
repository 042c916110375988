"""Layers under a map."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core import image
from near_core.lab.training.data import relight


def test_layers_are_lit_as_the_map_has_it(tmp_path):
    """A white ball's layers under a sky that is red above: red shows where the normals point up."""
    sky = np.zeros((32, 64, 3), np.float32)
    sky[:16, :, 0], sky[16:, :, 2] = 1, 1
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.dstack([sky, np.ones((32, 64, 1), np.float32)])})
    (tmp_path / "held.hdr").write_bytes(b"never read")
    lights = relight.Lights.of(relight.read_maps(tmp_path, {"held.hdr"}))
    up, down, material = [0.0, -1, 0], [0.0, 1, 0], [1.0, 1, 1, 1, 0]  # y points down in the camera's frame
    layers = torch.tensor([[*up, *material], [*down, *material]]).T[None, :, None].repeat(2, 1, 2, 1)
    turn = relight.camera_to_world(torch.rand(2), torch.zeros(2))
    level = lights.shade(torch.tensor([0, 0]), turn, layers.flatten(2))
    assert (level[:, 0, 0] > 0.9).all() and (level[:, 2, 0] < 0.1).all()
    assert (level[:, 2, 1] > 0.9).all() and (level[:, 0, 1] < 0.1).all()
    white = layers.flatten(2)
    grey = white.clone()
    grey[:, 3:6] = 0.5
    wrong = lambda made: lights.error(made, white, torch.ones(2, 4), torch.zeros(2), seed=0)
    assert wrong(white).max() < 1e-9 and wrong(grey).min() > 0.01
