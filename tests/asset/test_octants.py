"""Octants of voxels and their neighbours."""

import numpy as np

from near_core.asset import CELL, octants
from tests.random_assets import some_asset


def test_neighbours_are_mutual():
    coords = some_asset().coords
    around = octants.find_neighbours(coords)
    assert (around[:, 13] == np.arange(len(coords))).all()
    for k in (0, 5, 12):
        i = np.flatnonzero(around[:, k] < len(coords))
        assert len(i)
        assert (around[around[i, k], 26 - k] == i).all()
        step = coords[around[i, k]].astype(int) - coords[i]
        assert (step == [k // 9 - 1, k // 3 % 3 - 1, k % 3 - 1]).all()


def test_octants_hold_what_the_surfels_say_and_give_them_back():
    asset = some_asset()
    made = octants.gather(asset.surfels, asset.coords)
    assert 0.9 * len(asset.surfels) < made[..., 0].sum() <= len(asset.surfels)
    back = octants.make_surfels(asset.coords, made[..., 0], made[..., 1:], np.ones(len(asset.coords)))
    nearest = np.abs(back.position[:, None] - asset.surfels.position[None]).max(-1)
    match = nearest.argmin(1)
    assert nearest.min(1).max() < 1e-5
    single = np.abs(nearest - nearest.min(1, keepdims=True) < 1e-6).sum(1) == 1
    np.testing.assert_allclose(back.normal[single], asset.surfels.shading_normal[match[single]], atol=1e-5)


def test_surfels_cells_are_half_a_voxel():
    assert CELL * 128 == 1
