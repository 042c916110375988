"""Surfels in a z-buffer."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from near_core.create import sampling
from near_core.lab.training.data import raster, samples, scenes
from near_core.scene import camera as cameras


def test_a_still_object_is_seen_as_its_mesh_is(made):
    """Depth, thickness and normals of a splatted object are those that `train samples` finds of its mesh."""
    found, _, room, _ = made
    scene = scenes.Scene(room.stock, np.arange(2), 2)
    camera = cameras.orbit(30, 20, 2.4, 40, raster.RASTER, raster.RASTER)
    matrix = torch.from_numpy(camera.world_to_camera.astype(np.float32)).expand(2, 4, 4).contiguous()
    side = camera.width / camera.intrinsics[0, 0]
    window = torch.tensor([[0, 0, side]] * 2, dtype=torch.float32)
    front, back, row = raster.rasterize_surfels(scene.position, scene.tangents, scene.entry, matrix, window)
    for number, mesh in enumerate(found):
        depth, rest = samples.render_layers(sampling.sample_points(mesh, 16), camera)
        both = (row[number].numpy() >= 0) & (rest[-1] > 0)
        assert both.sum() > 0.97 * (rest[-1] > 0).sum()
        off = front[number].numpy()[both] - 2.4 - depth[0][both]
        assert np.median(np.abs(off)) < 0.004 and np.percentile(np.abs(off), 95) < 0.02
        off = (back - front)[number].numpy()[both] - depth[1][both]
        assert np.median(np.abs(off)) < 0.01
        normal = scene.normal[row[number][torch.from_numpy(both)]].numpy() @ camera.world_to_camera[:3, :3].T
        true = rest[:3, both].T / 127.5 - 1
        assert np.median(np.abs((normal * true).sum(1))) > 0.98
