"""What surfels, texels and a skin's corners say between them."""

import numpy as np
import pytest

from near_core.asset import CELL, Texels, blending
from near_core.asset.skin import Skin
from near_core.image import srgb_encode
from tests.surfaces import lay, spread

SIDE = 16  # surfels along an edge of the sheet


@pytest.fixture
def sheet():
    """A level sheet of surfels, seen from above and from below: red above, blue below, rougher along x."""
    position = np.tile(np.insert(spread(SIDE) + SIDE * CELL / 2, 2, 0, 1), (2, 1))
    normal, color = ([[0, 0, 1], [0, 0, -1]], [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    return lay(position, np.repeat(normal, SIDE ** 2, 0), np.repeat(color, SIDE ** 2, 0), position[:, 0] / SIDE / CELL)


def points_of(sheet, side):
    """Points between the surfels, away from the sheet's border, and which way they face."""
    at = np.random.default_rng(0).uniform(3 * CELL, (SIDE - 3) * CELL, (50, 2))
    return np.column_stack([at, np.zeros(50)]).astype(np.float32), np.tile(np.float32([[0, 0, side]]), (50, 1))


@pytest.mark.parametrize("side", [1, -1])
def test_each_side_has_its_own_colour(sheet, side):
    points, normals = points_of(sheet, side)
    made = blending.SurfelBlend(sheet).blend_materials(points, normals)
    np.testing.assert_allclose(made[:, :3], [[0.8, 0.1, 0.1] if side > 0 else [0.1, 0.1, 0.8]] * 50, atol=1e-3)
    np.testing.assert_allclose(made[:, 3], points[:, 0] / (SIDE * CELL), atol=0.03)


def test_texels_say_colours_more_finely(sheet):
    """Stripes as wide as a texel, along x."""
    half = np.float32([[-0.25, -0.25, 0], [-0.25, 0.25, 0], [0.25, -0.25, 0], [0.25, 0.25, 0]]) * CELL
    surfel = np.repeat(np.arange(len(sheet.position), dtype=np.int32), 4)
    stripe = np.tile(np.float32([0.1, 0.1, -0.1, -0.1]), len(sheet.position))[:, None]
    shift = (stripe * np.float32([1, 1, 1])).astype(np.float32)
    texels = Texels(surfel, sheet.position[surfel] + np.tile(half, (len(sheet.position), 1)), shift,
                    np.full(len(surfel), 0.25, np.float32))
    points, normals = points_of(sheet, 1)
    points[:, 0] = (np.round(points[:, 0] / CELL) + np.tile([0.25, 0.75], 25)) * CELL
    shown = srgb_encode(blending.SurfelBlend(sheet, texels).blend_materials(points, normals)[:, 1])
    plain = srgb_encode(np.float32(0.1))
    np.testing.assert_allclose(shown - plain, np.tile([0.1, -0.1], 25), atol=0.04)


def test_corners_of_a_skin_say_theirs(sheet):
    at = np.stack(np.meshgrid(np.linspace(0, 16 * CELL, 33), np.linspace(0, 16 * CELL, 33)), -1).reshape(-1, 2)
    vertices = np.column_stack([at, np.zeros(len(at))]).astype(np.float32)
    row = np.arange(32 * 33).reshape(32, 33)[:, :-1].ravel()
    faces = np.concatenate([np.stack([row, row + 1, row + 34], 1), np.stack([row, row + 34, row + 33], 1)])
    color = np.column_stack([at[:, :1] / (16 * CELL), np.tile([[0.5, 0.2, 1.0]], (len(at), 1))]).astype(np.float32)
    skin = Skin(vertices, None, at.astype(np.float32), color, faces.astype(np.int32), np.zeros(len(faces), np.int32),
                (), ())
    points, normals = points_of(sheet, 1)
    made = blending.blend_corners(skin, points, normals)
    np.testing.assert_allclose(made[:, 0], points[:, 0] / (16 * CELL), atol=0.02)
    np.testing.assert_allclose(made[:, 1:], [[0.5, 0.2]] * 50, atol=1e-4)
