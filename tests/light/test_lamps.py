"""Lamps against Cycles: irradiance on a white card, 100 W (or W/m2), computed once with bpy 4.5."""

import math
from dataclasses import replace

import numpy as np
import pytest

from near_core._kernels import ggx
from near_core.light import lamps
from near_core.light.config import LampConfig
from near_core.scene import Environment, Lamp


def stand(location, angles=(0, 0, 0), scale=(1, 1, 1)) -> np.ndarray:
    """(4, 4) of Blender's location, XYZ Euler angles and scale."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    turn = (np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * np.array(scale), location
    return matrix


def measure(lamp: Lamp, side: int = 4) -> float:
    """Irradiance on a card at the origin that faces +Z."""
    direction, _, strength = lamps.sample(lamp, np.zeros(3), side).reach(np.zeros((1, 3), np.float32))
    return float((strength * np.maximum(direction[..., 2], 0)).sum() * lamp.color[0])


CONE = dict(spot_angle=0.7, blend=0.3)


@pytest.mark.parametrize("kind, place, about, expected", [
    ("point", stand((0.5, 0.3, 2)), dict(radius=0.1), 1.756),
    ("spot", stand((0, 0, 2)), dict(radius=0.05, **CONE), 1.988),
    ("spot", stand((0, 0, 2), (0.3, 0, 0)), CONE, 1.897),
    ("spot", stand((0, 0, 2), (0.33, 0, 0)), CONE, 0.609),
    ("spot", stand((0, 0, 2), (0.3, 0, 0), (1, 2, 1)), CONE, 1.989),
    ("spot", stand((0, 0, 2), (0.3, 0, 0)), dict(spot_angle=2.0, blend=1.0), 1.937),
    ("area", stand((0, 0, 2)), dict(size=(0.6, 0.6)), 7.726),
    ("area", stand((0.8, -0.6, 1.2), (0.3, 0.4, 0)), dict(size=(0.6, 0.6)), 9.467),
    ("area", stand((0.3, 0, 0.5)), dict(size=(1.0, 1.0)), 47.27),
    ("area", stand((0.3, 0, 1.5), (0.1, 0, 0.5), (2, 1, 1)), dict(size=(0.4, 0.8)), 12.13),
    ("area", stand((0.3, 0, 1.5), (0.1, 0, 0.5)), dict(size=(0.8, 0.3), shape="ELLIPSE"), 12.72),
    ("area", stand((0.3, 0, 1.5), (0.1, 0, 0)), dict(size=(0.5, 0.5), spread=1.0), 83.78),
    ("sun", stand((0, 0, 2), (0.5, 0.2, 0)), dict(angle=0.05), 86.01),
    ("sun", stand((0, 0, 2), (0.5, 0.2, 0)), dict(angle=1.0), 86.01)])
def test_a_white_card_gets_what_cycles_gives_it(kind, place, about, expected):
    assert measure(Lamp(kind, place, np.full(3, 100.0), **about)) == pytest.approx(expected, rel=0.02)


def test_light_does_not_hang_on_the_number_of_points():
    lamp = Lamp("area", stand((0.4, 0, 1), (0, 0.3, 0)), np.full(3, 10.0), size=(0.8, 0.3), shape="ELLIPSE")
    assert measure(lamp, 4) == pytest.approx(measure(lamp, 32), rel=0.01)
    assert len(lamps.sample(Lamp("point", stand((0, 0, 1)), np.ones(3)), np.zeros(3), 4)) == 1


def test_large_and_near_lamps_are_more_points():
    lamp = Lamp("area", stand((0, 0, 2)), np.ones(3), size=(0.5, 0.2))
    sides = [lamps.count_sides(lamp, np.float64([0, 0, z]), 0.3, 0.1, 4) for z in (-10, 0, 1.9, 2)]
    assert sides == [1, 3, 4, 4]
    assert lamps.count_sides(Lamp("sun", stand((0, 0, 2)), np.ones(3), angle=0.25), np.zeros(3), 0.3, 0.1, 4) == 3


def test_shares_are_of_the_side_where_a_lamp_counts_most():
    above = [Lamp("point", stand((0, 0, 2)), np.full(3, watts)) for watts in (30.0, 10.0)]
    below, faint = (Lamp("point", stand((0, 0, -2)), np.full(3, watts)) for watts in (20.0, 1.0))
    np.testing.assert_allclose(lamps.measure_shares([*above, below], np.zeros(3), 0.1), [0.75, 0.25, 1])
    np.testing.assert_allclose(lamps.measure_shares([*above, faint], np.zeros(3), 0.1), [0.75, 0.25, 0.25])
    assert not lamps.measure_shares([Lamp("point", stand((0, 0, 2)), np.zeros(3))], np.zeros(3), 0.1).any()


def test_of_many_lamps_the_strongest_are_traced_and_the_rest_keep_their_light():
    near = [Lamp("point", stand((0.1 * k, 0, 2)), np.full(3, 100.0)) for k in range(16)]
    weak = [Lamp("point", stand((0, 5, 1)), np.full(3, 50.0)), Lamp("sun", stand((0, 0, 0)), np.full(3, 0.02))]
    traced, rest = lamps.choose([*weak, *near], np.eye(4), LampConfig(strongest=16, faint=0.0))
    assert traced == near and rest == weak
    dark = Environment(np.zeros((128, 256, 3), np.float32))
    map = lamps.add_far(dark, rest, np.zeros(3)).map
    assert np.count_nonzero(map[..., 0]) == 2
    center = ggx.average_radiance(ggx.build_pyramid(map))[0] * 4 * np.pi
    assert center == pytest.approx(50 / (4 * np.pi * 26) + 0.02, rel=0.02)


@pytest.mark.parametrize("lamp", [
    Lamp("spot", stand((0, 0, 2), (0.1, 0, 0)), np.ones(3), spot_angle=0.02, blend=0.0),
    Lamp("area", stand((0.3, 0.2, 2), (0, 0.04, 0)), np.ones(3), size=(2.0, 0.01), spread=0.1)])
def test_a_narrow_beam_on_a_part_of_an_asset_is_traced(lamp):
    assert lamps.choose([lamp], np.eye(4)) == ([lamp], [])
    assert lamps.choose([lamp], stand((3, 3, 0))) == ([], [])
    assert lamps.measure_shares([lamp], np.zeros(3), 0.1, 0.5) == [1]


@pytest.mark.parametrize("angle", [0.3, 1.5, math.pi])
def test_a_suns_points_share_its_solid_angle(angle):
    way = lamps.sample(Lamp("sun", stand((0, 0, 0)), np.ones(3), angle=angle), np.zeros(3), 32).position
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1, atol=1e-6)
    cosine = np.sort(way[:, 2])  # evenly spread, as the areas of caps are
    np.testing.assert_allclose(cosine, np.linspace(math.cos(angle / 2), 1, len(way)), atol=0.07)
    np.testing.assert_allclose(way.mean(0)[:2], 0, atol=1e-6)


def test_a_negative_lamp_takes_light_away():
    below = Lamp("point", stand((0, 0, 2)), np.full(3, -5.0))
    above = Lamp("point", stand((0, 0, 2)), np.full(3, 10.0))
    assert lamps.choose([above, below], np.eye(4)) == ([above, below], [])
    assert measure(below) == pytest.approx(-measure(above) / 2)
    bright = Environment(np.ones((8, 16, 3), np.float32))
    assert lamps.add_far(bright, [below], np.zeros(3)).map.min() == 0  # and no less than all


def test_a_long_areas_points_lie_closely_along_it():
    strip = Lamp("area", stand((0, 0, 1)), np.ones(3), size=(2.0, 0.002), spread=0.3)
    places = np.sort(lamps.sample(strip, np.zeros(3), 4).position[:, 0])
    np.testing.assert_allclose(np.diff(places), 2 / 16, rtol=1e-5)
    assert len(set(lamps.sample(replace(strip, size=(0.2, 0.15)), np.zeros(3), 4).position[:, 0])) == 4


@pytest.mark.parametrize("kind", ["spot", "sun", "point"])
def test_a_lamp_that_is_scaled_to_nothing_has_no_direction(kind):
    lamp = Lamp(kind, np.diag([0.0, 0, 0, 1]), np.ones(3))
    assert lamps.choose([lamp], stand((0, 0, 2))) == (([lamp], []) if kind == "point" else ([], []))


@pytest.mark.parametrize("about", [dict(kind="point"), dict(kind="area", size=(0.0, 0.0)), dict(kind="area"),
                                   dict(kind="spot", spot_angle=math.pi, blend=0.0), dict(kind="sun", angle=3.0)])
def test_a_lamp_on_a_surfel_sends_finite_light(about):
    points = lamps.sample(Lamp(matrix=np.eye(4), color=np.ones(3), **about), np.float64([0, 0, 1]), 4)
    _, _, strength = points.reach(np.zeros((1, 3), np.float32))
    assert np.isfinite(strength).all() and (strength >= 0).all()


@pytest.mark.parametrize("side", [1, 2, 5])
def test_sheared_points_are_alone_along_either_edge(side):
    panel = Lamp("area", np.eye(4), np.ones(3), size=(2.0, 2.0))
    points = lamps.sample(panel, np.float64([0, 0, -3]), side, sheared=True).position
    places = (np.arange(side * side) + 0.5) / side ** 2 * 2 - 1
    assert np.allclose(np.sort(points[:, :2], 0), places[:, None], atol=1e-6)
