"""What is turned is the same from all around."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import RESOLUTION
from near_core.create.config import ReconstructionConfig
from near_core.create.revolution import turn_outlines
from near_core.create.view import LayerView, compute_cell_centres, project
from near_core.models.mini.layout import LAYERS, PICTURE, SIZE, Picture
from near_core.scene.camera import orbit

CELLS = compute_cell_centres(2 * RESOLUTION)
AWAY = np.hypot(CELLS[:, 0] - 0.05, CELLS[:, 1])


def view_of(solid: np.ndarray, azimuth: float = 0.0, elevation: float = 20.0) -> LayerView:
    """What a photo shows of the cells (128^3,) bool."""
    camera = orbit(azimuth, elevation, 2.6, 28, SIZE, SIZE)
    picture = np.zeros((PICTURE, SIZE, SIZE), np.float32)
    at = ((project(CELLS[solid], camera)[0] + 1) / 2 * SIZE).astype(int)
    picture[Picture.ALPHA, at[:, 1], at[:, 0]] = 1
    return LayerView(camera, picture, np.zeros((LAYERS, SIZE, SIZE), np.float32))


def overlap(found: np.ndarray, truth: np.ndarray) -> float:
    found = found.ravel() > 0
    return (found & truth).sum() / (found | truth).sum()


def test_a_vase_comes_back_from_its_outline_and_a_cup_is_hollow():
    radius = 0.2 + 0.1 * np.sin(6 * CELLS[:, 2])
    vase = (AWAY < radius) & (np.abs(CELLS[:, 2]) < 0.4)
    handle = (np.abs(CELLS[:, 1]) < 0.03) & (np.abs(CELLS[:, 2]) < 0.1) & (CELLS[:, 0] > 0.2) & (CELLS[:, 0] < 0.45)
    deep = np.where(vase | handle, 1, -1).astype(np.float32).reshape((2 * RESOLUTION,) * 3)
    view = view_of(vase | handle)
    config = ReconstructionConfig(thickness="turned")
    made = turn_outlines([view], deep, config)
    assert overlap(made, vase | handle) > 0.8
    assert (made.ravel() > 0)[handle & (CELLS[:, 0] > 0.38)].mean() > 0.8
    cup = turn_outlines([view], deep, replace(config, thickness="cup"))
    both = turn_outlines([view, view_of(vase | handle, 90), view_of(vase | handle, 0, 80)], deep, config)
    assert overlap(both, vase | handle) > max(overlap(made, vase | handle), 0.82), "two photos know more than one"
    middle = (AWAY < 0.06) & (np.abs(CELLS[:, 2]) < 0.2)
    assert (made.ravel() > 0)[middle].all() and not (cup.ravel() > 0)[middle].any()
    assert (cup.ravel() > 0)[(AWAY < 0.06) & (np.abs(CELLS[:, 2] + 0.385) < 0.01)].any(), "it has a bottom"


@pytest.mark.parametrize(("above", "below", "least"), [(1, 1, 0.95), (1, 0, 0.88), (0, 0, 0.88)])
@pytest.mark.parametrize("elevation", [20, 35])
def test_a_ball_a_dome_and_a_drum_end_as_they_do(above, below, least, elevation):
    """above, below: whether they are round there."""
    z = CELLS[:, 2]
    solid = (np.abs(z) < 0.35) & (CELLS[:, 0]**2 + CELLS[:, 1]**2 + np.where(z > 0, above, below) * z**2 < 0.35**2)
    deep = np.where(solid, 1, -1).astype(np.float32).reshape((2 * RESOLUTION,) * 3)
    made = turn_outlines([view_of(solid, 0, elevation)], deep, ReconstructionConfig(thickness="turned"))
    assert overlap(made, solid) > least


@pytest.mark.parametrize("thickness", ["turned", "cup"])
@pytest.mark.parametrize("wide", [1, 2])
def test_what_has_no_room_to_be_turned_stays_or_vanishes(thickness, wide):
    """A line of pixels, as a needle's photo shows: no error."""
    picture = np.zeros((PICTURE, SIZE, SIZE), np.float32)
    picture[Picture.ALPHA, 20:100, 64:64 + wide] = 1
    view = LayerView(orbit(0, 20, 2.6, 28, SIZE, SIZE), picture, np.zeros((LAYERS, SIZE, SIZE), np.float32))
    deep = np.full((2 * RESOLUTION,) * 3, 0.5, np.float32)
    made = turn_outlines([view], deep, ReconstructionConfig(thickness=thickness))
    assert made.shape == deep.shape and np.isfinite(made).all() and (wide > 1 or made is deep)


@pytest.mark.parametrize(("half", "least", "most"), [(3, 0, 0.02), (20, 0.01, 0.02)])
def test_a_rod_has_no_beads_and_a_vase_keeps_its_rings(half, least, most):
    """Outlines that are a pixel wider on both sides now and then."""
    picture = np.zeros((PICTURE, SIZE, SIZE), np.float32)
    rows = np.arange(20, 108)
    for row in rows:
        wide = half + (row // 8) % 2
        picture[Picture.ALPHA, row, 64 - wide:64 + wide] = 1
    view = LayerView(orbit(0, 0, 2.6, 28, SIZE, SIZE), picture, np.zeros((LAYERS, SIZE, SIZE), np.float32))
    deep = np.full((2 * RESOLUTION,) * 3, -1, np.float32)
    made = turn_outlines([view], deep, ReconstructionConfig(thickness="turned"))
    area = np.maximum(made + 0.5, 0).clip(0, 1).sum((0, 1))
    width = np.sqrt(area[np.flatnonzero(area)][12:-12])
    assert least <= width.std() / width.mean() < most
