"""Objects as they are photographed: their solids and their light."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from near_core.lab.training.data import raster, relight, scenes, studio


def test_the_solid_holds_the_surface_however_it_is_bent(made):
    _, _, room, _ = made
    room.restart(5)
    scene = scenes.Scene(room.stock, np.array([0, 1, 0, 1]), 2)
    cell = ((scene.position + 0.5) * 64).long().clamp(0, 63)
    held = scene.solid[scene.entry, cell[:, 0], cell[:, 1], cell[:, 2]] > 0
    for entry in range(4):
        mine = scene.entry == entry
        assert held[mine].float().mean() > (0.99 if entry < 2 else 0.95)
        assert float(scene.position[mine].abs().max()) <= 0.501
    kept = np.unpackbits(made[1][0].inside).reshape(64, 2, 64, 2, 64, 2).mean((1, 3, 5))
    assert scene.solid[0].numpy() == pytest.approx(kept)


def test_a_grey_sky_lights_all_sides_alike(made):
    """Under an even sky a convex, white, rough object is as bright as the sky, but for what it sheds itself."""
    _, packed, room, _ = made
    lights = relight.Lights(torch.full((1, 3, 8, 8, 18), 0.5))
    suns = (np.float32([[[0, 0, 1.0]]]), np.ones((1, 1, 3), np.float32))
    even = studio.Studio(packed[:1], lights, suns, torch.device("cpu"))
    even.stock.color[:] = 255
    even.stock.material[:] = torch.tensor([1.0, 0.0])
    scene = scenes.Scene(even.stock, np.zeros(1, np.int64), 1)
    matrix = studio.orbit(torch.tensor([0.4]), torch.tensor([0.3]), torch.tensor([2.4]))
    window = torch.tensor([[0, 0, 0.73]])
    _, _, row = raster.rasterize_surfels(scene.position, scene.tangents, scene.entry, matrix, window)
    photo = scene.shade(row, matrix, window)
    seen = photo[0, :3][:, photo[0, 3] > 0]
    assert float(seen.median()) == pytest.approx(0.5, abs=0.1) and float(seen.quantile(0.95)) < 0.6
