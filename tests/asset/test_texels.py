"""Texels: a surface finer than its surfels, in the asset's file and in the picture."""

from dataclasses import replace

import numpy as np
import pytest

from near_core import asset, image
from near_core.asset import CELL
from near_core.create import create, sampling
from near_core.errors import NearError
from near_core.mesh import Material, Mesh
from near_core.render.renderer import Renderer
from near_core.scene import Camera, Environment, Instance, Settings

CHECKS = 100  # across the sheet of 115 cells: few surfels lie in one check alone


def checkered() -> Mesh:
    """A sheet across the cube that faces up, with checks of two greys as small as surfels."""
    half = 0.45
    corners = np.float32([[-half, -half, 0.0013], [half, -half, 0.0013], [half, half, 0.0013], [-half, half, 0.0013]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    uv = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])[faces]
    checks = (np.indices((CHECKS, CHECKS)).sum(0) % 2 * 100 + 80).astype(np.uint8)
    picture = np.kron(checks, np.ones((8, 8), np.uint8))[..., None].repeat(4, 2)
    picture[..., 3] = 255
    return Mesh(corners, faces, uv, materials=(Material(base_color=(1, 1, 1, 1), base_color_map=picture),))


@pytest.fixture(scope="module")
def sheet() -> asset.NeuralAsset:
    return replace(create.create_from_mesh(checkered(), name="Sheet", detail="draft"),
                   texels=sampling.sample_surface(checkered())[1])


def test_texels_divide_their_surfels():
    surfels, texels = sampling.sample_surface(checkered())
    assert (np.diff(texels.surfel) >= 0).all() and 3 * len(surfels) < len(texels) < 5 * len(surfels)
    parts = np.bincount(texels.surfel, texels.area, len(surfels))
    assert np.allclose(parts, surfels.area, rtol=1e-4)
    middle = np.stack([np.bincount(texels.surfel, p * texels.area) for p in texels.position.T], 1) / parts[:, None]
    assert np.abs(middle - surfels.position).max() < 1e-5
    # both sides of the sheet have them, in the same colours
    assert np.isclose(texels.compute_colors(surfels)[surfels.normal[texels.surfel, 2] > 0].mean(),
                      texels.compute_colors(surfels)[surfels.normal[texels.surfel, 2] < 0].mean(), atol=1e-3)


def test_texels_hold_more_contrast_than_surfels():
    surfels, texels = sampling.sample_surface(checkered())
    shown = image.srgb_encode(texels.compute_colors(surfels)[:, 0])
    assert shown.std() > 1.5 * image.srgb_encode(surfels.base_color[:, 0]).std()
    assert 80 / 255 - 0.02 < shown.min() and shown.max() < 180 / 255 + 0.02


def test_the_file_keeps_texels(sheet):
    again = asset.from_bytes(asset.to_bytes(sheet))
    assert (again.texels.surfel == sheet.texels.surfel).all()
    assert np.abs(again.texels.position - sheet.texels.position).max() < 1e-5
    assert np.abs(again.texels.shift - sheet.texels.shift).max() < 1e-4
    assert asset.from_bytes(asset.to_bytes(replace(sheet, texels=None))).texels is None


def test_a_file_whose_texels_do_not_add_up_is_damaged(sheet):
    data = asset.to_bytes(sheet)
    head = int.from_bytes(data[:8], "little")
    start = data[8:8 + head].decode()
    counts = start.index('"texel_count"')
    offset = int(start[start.index("data_offsets", counts):].split("[")[1].split(",")[0])
    wrong = bytearray(data)
    wrong[8 + head + offset] += 1
    with pytest.raises(NearError):
        asset.from_bytes(bytes(wrong))


def test_a_picture_of_fine_checks(sheet):
    """Seen from straight above at six pixels a cell, under a uniform World."""
    size, span = 128, 20 * CELL  # metres across the picture
    above = np.diag([1.0, -1, -1, 1])
    above[2, 3] = 2
    camera = Camera(world_to_camera=above, width=size, height=size, orthographic=True,
                    intrinsics=np.array([[size / span, 0, size / 2], [0, size / span, size / 2], [0, 0, 1]]))
    sky = Environment(np.ones((16, 32, 3), np.float32))
    draw = lambda one, quality: Renderer().render(
        [Instance(one, np.eye(4))], camera, sky, Settings(quality=quality, threads=1))
    fine, coarse = draw(sheet, "final"), draw(replace(sheet, texels=None), "final")
    x = (np.arange(size) + 0.5 - size / 2) * span / size
    check = np.floor((x + 0.45) / 0.9 * CHECKS).astype(int)
    truth = image.srgb_decode(((check[None] + check[:, None]) % 2 * 100 + 80) / np.float32(255))
    # which of the two greys comes first depends on the picture's first row: either phase is right, the same for both
    error = lambda made: min(np.abs(made["Base Color"][..., 0] - t).mean() for t in
                             (truth, truth[::-1], np.where(truth == truth.max(), truth.min(), truth.max())))
    assert error(fine) < 0.8 * error(coarse)
    assert np.isclose(fine["Combined"][..., :3].mean(), coarse["Combined"][..., :3].mean(), rtol=0.02)
    assert fine["Combined"][..., 3].min() > 0.97
    plain = draw(sheet, "draft")["Base Color"]
    assert np.abs(plain - coarse["Base Color"]).max() < 0.02  # a draft goes without
