"""Lamps against Cycles: irradiance on a white card, 100 W (or W/m2), computed once with bpy 4.5."""

import math

import numpy as np
import pytest

from near_core.light import lamps
from near_core.scene import Lamp


def stand(location, angles=(0, 0, 0), scale=(1, 1, 1)) -> np.ndarray:
    """(4, 4) of Blender's location, XYZ Euler angles and scale."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    turn = (np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * np.array(scale), location
    return matrix


def measure(lamp: Lamp, count: int = 16) -> float:
    """Irradiance on a card at the origin that faces +Z."""
    direction, _, strength = lamps.sample(lamp, np.zeros(3), count).reach(np.zeros((1, 3), np.float32))
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
    assert measure(lamp, 16) == pytest.approx(measure(lamp, 1024), rel=0.01)
    assert len(lamps.sample(Lamp("point", stand((0, 0, 1)), np.ones(3)), np.zeros(3), 16)) == 1


@pytest.mark.parametrize("about", [dict(kind="point"), dict(kind="area", size=(0.0, 0.0)), dict(kind="area"),
                                   dict(kind="spot", spot_angle=math.pi, blend=0.0), dict(kind="sun", angle=3.0)])
def test_a_lamp_on_a_surfel_sends_finite_light(about):
    points = lamps.sample(Lamp(matrix=np.eye(4), color=np.ones(3), **about), np.float64([0, 0, 1]), 16)
    _, _, strength = points.reach(np.zeros((1, 3), np.float32))
    assert np.isfinite(strength).all() and (strength >= 0).all()
