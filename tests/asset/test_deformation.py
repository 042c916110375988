"""Deformed assets against maps that are known everywhere."""

import time
from dataclasses import replace

import numpy as np
import pytest

from near_core.asset import CELL, NeuralAsset, Skin, Texels, deformation
from near_core.asset.deformation import Body, Deformation
from near_core.directions import fibonacci_sphere, unit
from near_core.errors import NearError
from tests.machine import slowness
from tests.surfaces import dress, lay


def bend(points: np.ndarray, radius: float = 0.5) -> np.ndarray:
    """Around the Y axis, so that X follows a circle of that radius."""
    x, y, z = points.T
    return np.stack([(radius - z) * np.sin(x / radius), y, radius - (radius - z) * np.cos(x / radius)], 1)


def stretch(points: np.ndarray) -> np.ndarray:
    return points * (1, 0.5, 0.7) + 0.05 * points[:, :1] * points[:, :1]


def reflect(points: np.ndarray) -> np.ndarray:
    return bend(points) * (-1, 1, 1)


def jacobian(move, points: np.ndarray) -> np.ndarray:
    """(N, 3, 3), by differences."""
    step = 1e-4
    return np.stack([(move(points + step * axis) - move(points - step * axis)) / (2 * step) for axis in np.eye(3)], 2)


@pytest.fixture(scope="module")
def ellipsoid() -> NeuralAsset:
    """Long along X, in a skin, with texels and one surfel for each of 20,000 directions."""
    sphere, size = fibonacci_sphere(20_000).astype(np.float64), np.array([0.45, 0.2, 0.15])
    position, normal = (sphere * size).astype(np.float32), unit(sphere / size).astype(np.float32)
    texels = Texels(np.arange(len(position), dtype=np.int32), position, 0 * position,
                    np.full(len(position), 0.25, np.float32))
    skin = Skin(position, normal, position[:, :2], None, np.arange(19_998, dtype=np.int32).reshape(-1, 3),
                np.zeros(6_666, np.int32), (), ())
    return dress(lay(position, normal, (0.2, 0.4, 0.6)), 4, texels=texels, model="near-mini", skin=skin)


def pose(asset: NeuralAsset, move) -> Deformation:
    """What a proxy of some thousand vertices, a little off the surface, would say."""
    rest = asset.surfels.position[::4] + 0.002 * asset.surfels.normal[::4]
    return Deformation(rest, move(rest).astype(np.float32))


@pytest.mark.parametrize("move", [bend, stretch, reflect])
def test_surfels_texels_and_skin_follow(ellipsoid, move):
    made = Body(ellipsoid, ellipsoid.surfels).deform(pose(ellipsoid, move))
    rest, linear = ellipsoid.surfels, jacobian(move, ellipsoid.surfels.position)
    off = np.linalg.norm(made.surfels.position - move(rest.position), axis=1)
    assert off.max() < CELL / 2, off.max() / CELL
    inverse = np.linalg.inv(linear).swapaxes(1, 2)
    normal = unit(np.einsum("nij,nj->ni", inverse, rest.normal))
    agreement = (normal * made.surfels.normal).sum(1)
    assert np.percentile(agreement, 1) > 0.995 and agreement.min() > 0.97
    grown = np.abs(np.linalg.det(linear)) * np.linalg.norm(np.einsum("nij,nj->ni", inverse, rest.normal), axis=1)
    assert np.percentile(np.abs(made.surfels.area / grown - 1), 99) < 0.12
    assert np.allclose(made.texels.position, made.surfels.position, atol=1e-6)
    assert np.allclose(made.texels.area * 4, made.surfels.area)
    own = slice(0, len(ellipsoid.skin.vertices))
    assert np.allclose(made.skin.vertices[own], made.surfels.position, atol=1e-6)
    assert np.allclose(made.skin.normal[own], made.surfels.normal, atol=1e-5)
    finer = ellipsoid.supple_skin
    assert (made.skin.faces[0] == finer.faces[0]).all() == (move is not reflect)


@pytest.mark.parametrize("move", [bend, stretch, reflect])
def test_points_near_vertices_are_carried_along(ellipsoid, move):
    around, scale = ellipsoid.surfels.position.astype(np.float64), 30.0  # metres, far from the origin
    before, after = (scale * places + 100 for places in (around[::4], move(around[::4])))
    there = deformation.carry(scale * around + 100, before, after)
    assert np.linalg.norm(there - scale * move(around) - 100, axis=1).max() < scale * CELL / 2
    assert np.allclose(deformation.carry(before, before, before), before, atol=1e-3)


def test_it_is_an_asset_of_its_own(ellipsoid):
    same, other = pose(ellipsoid, bend), pose(ellipsoid, stretch)
    ellipsoid = replace(ellipsoid, skin=None)
    body = Body(ellipsoid, ellipsoid.surfels)
    made = body.deform(same)
    assert made.hash == body.deform(pose(ellipsoid, bend)).hash != ellipsoid.hash
    assert made.hash != body.deform(other).hash and made.model == ""
    cells = np.unique(((made.surfels.position + 0.5) * 64).astype(int), axis=0)
    assert (made.coords == cells).all() and made.material.shape == (len(cells), 8)


def test_a_sheet_keeps_its_thickness(ellipsoid):
    """Nothing tells what happens across it: both sides must turn as it does."""
    x, y = (each.ravel() for each in np.meshgrid(*[np.linspace(-0.45, 0.45, 60)] * 2))
    rest = np.stack([x, y, 0 * x], 1).astype(np.float32)
    moves = deformation._Field(deformation._Rest(rest), bend(rest)).look_up(*deformation._spread(rest))
    up, growth = moves.turn(np.tile(np.float32([0, 0, 1]), (len(rest), 1)))
    angle = rest[:, 0] / 0.5
    assert (up * np.stack([-np.sin(angle), 0 * angle, np.cos(angle)], 1)).sum(1).min() > 0.995
    assert np.allclose(np.linalg.det(moves.maps[:, :, :3]), 1, atol=0.05) and np.allclose(growth, 1, atol=0.05)


def test_coarse_poses_stand_where_fine_ones_do(ellipsoid):
    fine, coarse = (Body(ellipsoid, ellipsoid.surfels, coarse) for coarse in (False, True))
    one, other = fine.deform(pose(ellipsoid, bend)), coarse.deform(pose(ellipsoid, bend))
    assert coarse.size == 2 and len(other.surfels) < len(one.surfels) / 2 and other.skin is None is other.texels
    points = other.surfels.position * coarse.size
    off = np.linalg.norm(one.surfels.position[:, None] - points[None, ::50], axis=2).min(0)
    assert off.max() < 2 * CELL and one.hash != other.hash
    assert np.abs(other.surfels.position).max() < 0.26, "cells are twice as wide as the asset's"


@pytest.mark.timing
def test_it_takes_a_moment_only(ellipsoid):
    """Seconds of one processor; the first pose of an asset prepares the others."""
    bodies, posed = [Body(ellipsoid, ellipsoid.surfels, coarse) for coarse in (False, True)], pose(ellipsoid, bend)
    for body, limit in zip(bodies, (0.3, 0.15)):
        body.deform(posed)
        start = time.process_time()
        body.deform(posed)
        assert time.process_time() - start < limit * slowness(time.process_time)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vertices_that_are_nowhere_are_said(ellipsoid, bad):
    rest = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3)).astype(np.float32)
    posed = rest.copy()
    posed[3, 1] = bad
    with pytest.raises(NearError, match="vertices at infinity or not-a-number"):
        Body(ellipsoid, ellipsoid.surfels).deform(Deformation(rest, posed))


def test_a_stretch_is_what_scales_differ_by_in_steps():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    find = lambda linear: deformation.find_stretches(np.block([[linear, np.ones((3, 1))], [0, 0, 0, 1]])[None], 1.1)[0]
    assert find(7 * turn) is None and find(np.diag([1, 1.04, -1])) is None and find(np.zeros((3, 3))) is None
    flat = find(5 * turn @ np.diag([1, 1, 1.1 ** -6]))
    assert np.allclose(flat, np.diag([1, 1, 1.1 ** -6]), atol=1e-3)
    assert find(2 * np.diag([1, 1, -1.1 ** -6.3])).tobytes() == flat.tobytes()  # what differs less, or mirrors, is left
    assert np.abs(find(turn @ np.diag([1, 0.4, 0.3]) @ turn.T)).sum(1).max() <= 1.001  # inside its cube


def test_a_stretched_asset_has_the_normals_of_its_shape(ellipsoid):
    made = deformation.stretch(ellipsoid, ellipsoid.surfels, np.diag([1, 1, 0.25]))
    assert made.hash != ellipsoid.hash and made.model == "" and np.abs(made.surfels.position).max() <= 0.5
    expected = ellipsoid.surfels.normal / np.float32([1, 1, 0.25])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(made.surfels.normal, expected, atol=1e-5)
    assert np.allclose(made.surfels.position, ellipsoid.surfels.position * np.float32([1, 1, 0.25]), atol=1e-6)
