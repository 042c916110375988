"""How thick things are behind their front."""

import numpy as np
import pytest

from near_core.create.config import ReconstructionConfig
from near_core.create.thickness import (
    doubt_depth,
    estimate_thickness,
    fit_discs,
    measure_bend,
    measure_plainness,
    measure_share,
)
from near_core.create.view import compute_cell_centres, reach
from near_core.image.filters import distances
from near_core.scene import camera as cameras
from tests.create.pictures import view_of


def test_discs_are_as_large_near_a_pictures_border_as_in_its_middle():
    """An arm that leaves a body."""
    mask = np.zeros((128, 128), bool)
    mask[32:96, 32:96] = True
    mask[61:67, 96:122] = True
    np.testing.assert_allclose(fit_discs(distances(mask))[62:66, 100:120], 3, atol=0.5)


def test_a_front_is_as_thick_as_a_round_body_and_no_thicker_than_the_layers_say():
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.zeros((128, 128), np.float32))
    y, x = np.mgrid[:128, :128] - 63.5
    away = np.hypot(x, y)
    view.mask, view.back = away < 40, np.full((128, 128), 9, np.float32)
    pixel = reach(view.camera) / 128
    ball = np.where(view.mask, 2 * np.sqrt(np.maximum(40**2 - away**2, 0)), 0) * pixel
    np.testing.assert_allclose(estimate_thickness(view)[away < 38], ball[away < 38], atol=5 * pixel)
    assert not estimate_thickness(view)[~view.mask].any()
    view.torn[:, 64] = True  # two half discs, each with room for discs of a radius of 20
    assert estimate_thickness(view)[63, 44] == pytest.approx(40 * pixel, abs=5 * pixel)
    view.back = view.front + 0.05
    assert estimate_thickness(view).max() == pytest.approx(0.05)


@pytest.mark.parametrize(("said", "hint", "upright", "deep"), [
    (-0.4, "auto", False, False), (0.9, "auto", False, True), (-0.4, "full", False, True), (0.9, "round", False, False),
    (0.9, "thin", False, False), (0.9, "auto", True, False)])
def test_an_outline_limits_what_a_network_is_unsure_of_and_a_hint_decides(said, hint, upright, deep):
    """A bar, 0.2 wide, that a network says to reach from front to back of the cube; an upright one never does."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.4, np.float32))
    side = reach(view.camera) / 128
    x = (np.mgrid[:128, :128][int(upright)] - 63.5) * side
    view.mask = np.abs(x) < 0.1
    view.image[3] = view.mask
    config = ReconstructionConfig(thickness=hint)
    left = said - doubt_depth(view, np.full((64, 64, 64), said, np.float32), config) + config.logit_bias
    y = compute_cell_centres(64)[:, 1].reshape(left.shape)
    column = y[32, :, 32], left[32, :, 32]
    assert (column[1][(column[0] > -0.4) & (column[0] < -0.34)] > 0).all()  # its front is there in any case
    assert (column[1][column[0] > 0] > 0).all() if deep else (column[1][column[0] > 0] < 0).all()
    if hint == "thin":
        assert (column[1][column[0] > -0.25] < 0).all()


@pytest.mark.parametrize(("slope", "said", "thick", "end"), [
    (0.0, 0.8, 0.3, 0.5), (12.0, 0.8, 0.3, 0.0), (12.0, 0.8, 0.1, -0.1), (12.0, 0.8, 2.0, 0.5), (12.0, 1.3, 0.1, 0.5)])
def test_where_the_camera_is_a_guess_only_what_is_certain_is_thicker_than_layers_and_a_round_body(
        slope, said, thick, end):
    """A lying bar, 0.2 wide, of which a network says so much from front to back of the cube, and layers so thick."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.3, np.float32))
    y = (np.mgrid[:128, :128][0] - 63.5) * (reach(view.camera) / 128)
    view.mask, view.back = np.abs(y) < 0.1, view.front + thick
    view.image[3] = view.mask
    logits = np.full((64, 64, 64), said, np.float32)
    left = logits - doubt_depth(view, logits, ReconstructionConfig(layers_slope=slope))
    away = compute_cell_centres(64)[:, 1].reshape(left.shape)[32, :, 32]
    assert away[(left + ReconstructionConfig.logit_bias)[32, :, 32] > 0].max() == pytest.approx(end, abs=0.06)


@pytest.mark.parametrize("elevation", [0, 25, -15])
def test_a_bent_and_leaning_rod_is_known_to_stand_upright(elevation):
    """A pole 0.1 thick, whose front is bent like a bow and leans: what is left is the pole's."""
    camera = cameras.orbit(0, elevation, 3, 30, 128, 128)
    view = view_of(camera, np.zeros((128, 128), np.float32))
    to_world, focal = np.linalg.inv(camera.world_to_camera), camera.intrinsics[0, 0]
    x, y = (np.mgrid[:128, :128][::-1] + 0.5 - 64) / focal
    across, along, onward = (np.stack([x, y, np.ones_like(x)], -1) @ to_world[:3, :3].T).transpose(2, 0, 1)
    start = to_world[:3, 3]  # where rays with these slopes begin; they meet a cylinder around Z
    a, b, c = across**2 + along**2, across * start[0] + along * start[1], start[0] ** 2 + start[1] ** 2 - 0.05**2
    depth = (-b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    view.mask = (b**2 > a * c) & (np.abs(start[2] + depth * onward) < 0.45)
    pole = np.where(view.mask, depth - camera.world_to_camera[2, 3], 0)
    rows = (np.arange(128)[:, None] - 64) / 64
    view.front = (pole + 0.2 * rows**2 - 0.1 * rows).astype(np.float32)
    off = (view.front - measure_bend(view) - pole)[view.mask]
    assert np.ptp(off) < 0.025 < 0.12 < np.ptp((view.front - pole)[view.mask]), "half a pole"


@pytest.mark.parametrize(("said", "camera", "whole"), [
    (0.5, "guessed", False), (1.5, "guessed", True), (0.5, "told", True)])
def test_something_intricate_that_a_network_is_unsure_of_is_a_relief(said, camera, whole):
    """A comb, and a disc, which is round whatever is said of it."""
    config, (y, x) = ReconstructionConfig(), np.mgrid[:128, :128] - 63.5
    config = config.doubt_camera() if camera == "guessed" else config
    comb = (np.maximum(np.abs(x), np.abs(y)) < 40) & ((x + 64) % 16 < 6)
    for mask, share in ((comb, 1.0 if whole else config.relief_share), (np.hypot(x, y) < 40, 1.0)):
        view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.3, np.float32))
        view.mask = view.image[3] = mask
        logits = np.full((64, 64, 64), said, np.float32)
        found = measure_share(view, logits, np.zeros((2, 2), np.float32), config)
        assert np.broadcast_to(found, 2) == pytest.approx([share, share])


def test_an_outline_is_the_less_plain_the_more_it_is_broken_up():
    y, x = np.mgrid[:128, :128] - 63.5
    square = np.maximum(np.abs(x), np.abs(y)) < 40
    frame = square & (np.maximum(np.abs(x), np.abs(y)) > 34)
    found = [measure_plainness(mask) for mask in (np.hypot(x, y) < 40, square, frame)]
    assert found == pytest.approx([1.0, 0.85, 0.2], abs=0.08) and measure_plainness(~square & square) == 1
