"""Assets as meshes with maps."""

from dataclasses import replace

import numpy as np

from near_core.asset import Skin, SkinMaterial, textured_mesh
from near_core.image import srgb_decode
from near_core.scene import camera
from tests.asset.test_proxy_mesh import asset_of, sphere


def test_surfels_that_glow_get_a_map_of_it():
    n = sphere(4000)
    asset = asset_of(0.2 * n, n)
    emission = np.where(n[:, 2:] > 0, np.float32([50, 20, 0]), np.float32(0))
    [plain] = textured_mesh.make_mesh(asset, asset.surfels, 256).materials
    assert not plain.glows and plain.emission_map is None
    asset = replace(asset, surfels=replace(asset.surfels, emission=emission))
    made = textured_mesh.make_mesh(asset, asset.surfels, 256)
    [material] = made.materials
    height, width = material.emission_map.shape[:2]
    column, row = np.floor(made.corner_uv.mean(1) * (width, -height) + (0, height)).astype(int).T
    sent = srgb_decode(material.emission_map[row, column, :3] / 255) * material.emission
    middle = made.vertices[made.faces].mean(1)[:, 2]
    np.testing.assert_allclose(sent[middle > 0.03], [[50, 20, 0]] * (middle > 0.03).sum(), rtol=0.02, atol=0.01)
    assert not sent[middle < -0.03].any()


def test_a_skin_without_colours_is_itself_whatever_its_file_says_of_a_photo():
    n = sphere(500)
    corner = np.float32([[-.3, 0, 0], [.3, 0, 0], [0, 0, .3]])
    skin = Skin(corner, None, corner[:, :2], None, np.int32([[0, 1, 2]]), np.int32([0]),
                (SkinMaterial((1, 0, 0, 1), .5, 0, 1, ("clamp", "clamp"), (-1,) * 4),), ())
    asset = replace(asset_of(0.2 * n, n), skin=skin, camera=camera.to_json(camera.orbit(30, 20, 2, 40, 64, 48)))
    assert len(textured_mesh.make_mesh(asset, asset.surfels, 64).faces) == 1
