"""The icon shows the asset from its front right."""

import numpy as np
import pytest

from near_core import asset
from near_core.asset import VoxelMaterial
from near_core.directions import encode_octahedral, fibonacci_sphere
from near_core.render import thumbnail
from tests.surfaces import lay


@pytest.mark.parametrize("with_surfels", [True, False])
def test_a_ball_is_round_and_shows_its_front(with_surfels):
    normal = fibonacci_sphere(200_000).astype(np.float32)
    color = np.where(normal[:, 1:2] < 0, (0.9, 0.05, 0.05), (0.05, 0.9, 0.05)).astype(np.float32)
    coords, first = np.unique(((0.5 + 0.49 * normal) * 64).astype(np.uint8), axis=0, return_index=True)
    material = np.zeros((len(normal), VoxelMaterial.COLUMNS), np.float16)
    material[:, VoxelMaterial.BASE_COLOR], material[:, VoxelMaterial.NORMAL] = color, encode_octahedral(normal)
    surfels = lay(0.49 * normal, normal, color, metallic=1) if with_surfels else None
    slat = np.zeros((len(coords), 0), np.float16)
    picture = thumbnail.draw(asset.NeuralAsset(coords, material[first], slat, surfels))
    covered = picture[..., 3] == 255
    radius = 64 * 0.49 / np.sqrt(9 - 0.49 ** 2) / np.tan(np.radians(14))
    assert covered.sum() == pytest.approx(np.pi * (radius + 0.5) ** 2, rel=0.08)
    rows, columns = np.nonzero(covered)
    assert abs(rows.mean() - 63.5) < 2 and abs(columns.mean() - 63.5) < 2
    red = picture[..., 0].astype(int) - picture[..., 1]
    assert red[64, 64] > 100 and red[64, 106] < 0, "the front is on the left, the back comes in on the right"
    assert not picture[0].any()
    front, *_, back = (thumbnail.draw(asset.NeuralAsset(coords, material[first], slat, surfels), azimuth,
                                      thumbnail.ELEVATION) for azimuth in thumbnail.TURNTABLE)
    assert front[64, 64, 0] > front[64, 64, 1] and back[64, 64, 0] < back[64, 64, 1]
