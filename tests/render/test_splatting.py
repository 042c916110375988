"""What is shaded and drawn of placed surfels: far sides, hidden ones, windows, texels, odd matrices."""

import numpy as np
import pytest

from near_core.asset import CELL, Surfels, Texels, levels
from near_core.directions import polar_rotation
from near_core.render import splatting
from near_core.render.config import SplattingConfig
from near_core.scene import camera as cameras
from tests.surfaces import lay, spread


def sheet(side: int = 32, z: float = 0.0) -> Surfels:
    """A level square in the middle of the cube that looks up, one surfel a cell."""
    return lay(np.insert(spread(side), 2, z, 1), (0, 0, 1), 0.5, metallic=1)


def quartered(surfels: Surfels) -> Texels:
    """Four texels a surfel."""
    corner = np.float32([[-0.25, -0.25, 0], [0.25, -0.25, 0], [-0.25, 0.25, 0], [0.25, 0.25, 0]]) * np.float32(CELL)
    position = (surfels.position[:, None] + corner).reshape(-1, 3)
    return Texels(np.repeat(np.arange(len(surfels), dtype=np.int32), 4), position, np.zeros_like(position),
                  np.full(len(position), 0.25, np.float32))


def from_above(size: int = 64, distance: float = 1.0, fov: float = 20) -> cameras.Camera:
    return cameras.orbit(0, 90, distance, fov, size, size)


def visible(surfels: Surfels, camera: cameras.Camera, texels: Texels | None = None, matrix: np.ndarray = np.eye(4)):
    return splatting.face(splatting.place(levels.start(surfels), texels, matrix), camera)


def test_what_faces_away_stands_back_and_is_not_shaded():
    camera, up = from_above(), sheet()
    item = visible(up.flip(), camera)
    assert not item.front.any() and item.shape.xyz[:, 2].max() < item.placed.shape.xyz[:, 2].min() - CELL
    selection = splatting.select([item, visible(up, camera)], camera, detail=False)
    assert not selection.shaded[selection.rows[0]].any() and selection.shaded[selection.rows[1]].all()
    assert len(selection.plain) == 2 * len(up)


def test_what_is_hidden_is_not_shaded():
    camera = from_above()
    near, far = visible(sheet(48, 0.1), camera), visible(sheet(16, -0.1), camera)
    selection = splatting.select([far, near], camera, detail=False)
    assert not selection.shaded[selection.rows[0]].any()
    alone = splatting.select([far], camera, detail=False)
    assert alone.shaded.all()


def test_texels_take_the_place_of_wide_surfels_alone():
    surfels, config = sheet(), SplattingConfig(texel_radius=4)
    texels = quartered(surfels)
    for distance, wide in ((0.4, True), (30.0, False)):
        camera = from_above(distance=distance)
        item = visible(surfels, camera, texels)
        selection = splatting.select([item], camera, True, config=config)
        owners = np.unique(texels.surfel[selection.texels[0]])
        assert (len(owners) > 0) == wide
        assert (selection.projection.radius[owners] >= config.texel_radius).all() and selection.shaded[owners].all()
        assert len(selection.texels[0]) == 4 * len(owners) and not np.isin(selection.plain, owners).any()
        assert not len(splatting.select([item], camera, detail=False).texels[0])


def test_a_window_selects_what_the_whole_selects():
    camera, item = from_above(96, 0.5), sheet()
    whole = splatting.select([visible(item, camera)], camera, detail=False)
    window = camera.crop(20, 30, 40, 40)
    part = splatting.select([visible(item, window)], window, detail=False)
    inside = ((whole.projection.mean > [20, 30]) & (whole.projection.mean < [60, 70])).all(1)
    assert inside.any() and (part.shaded[inside] == whole.shaded[inside]).all()
    np.testing.assert_allclose(part.projection.mean[inside], whole.projection.mean[inside] - [20, 30], atol=1e-3)


@pytest.mark.parametrize("matrix", [np.diag([-1.0, 1, 1]), np.diag([1, 0.3, 2.0]),
                                    np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])])
def test_normals_stay_square_to_the_surface(matrix):
    placed = splatting.place(levels.start(sheet(4)), None, np.pad(matrix, ((0, 1), (0, 1))) + np.diag([0, 0, 0, 1.0]))
    np.testing.assert_allclose(placed.normal, np.broadcast_to([0, 0, 1], placed.normal.shape), atol=1e-6)
    assert placed.cell == pytest.approx(CELL * np.cbrt(abs(np.linalg.det(matrix))))
    assert abs(np.linalg.det(polar_rotation(matrix))) == pytest.approx(1)
