"""What file names say of views, and which angles photos can have."""

import math

import numpy as np
import pytest

from near_core.create.shot import ORTHOGRAPHIC, Shot, find_view, guess_view
from near_core.create.stance import Stance
from near_core.errors import NearError


@pytest.mark.parametrize("name, view", [
    ("chair_front", "front"), ("ChairBack", "back"), ("LEFT-01", "left"), ("mug rear", "back"),
    ("seen from above", "top"),
    ("IMG_0042", None), ("backpack", None), ("upright", None), ("front_left", None),
    ("Right.Right2", "right")])
def test_a_name_speaks_of_one_view_or_none(name, view):
    assert guess_view(name) == view


@pytest.mark.parametrize("angle, wrong", [("azimuth", (float("nan"), float("inf"), 1e300)),
                                          ("elevation", (91, -200, float("nan"))),
                                          ("fov", (0, -40, 180, float("nan"), float("inf")))])
def test_angles_that_no_photo_has_are_named(angle, wrong):
    for value in wrong:
        with pytest.raises(NearError, match="cup.png cannot have the angles"):
            Shot("pictures/cup.png", **{angle: value})
        with pytest.raises(ValueError):
            Stance(**{angle: value * 1e6 if angle == "elevation" else value})
    for least in (1.0, math.degrees(np.float32(math.radians(1)))):  # as Blender keeps an angle
        Shot("cup.png", azimuth=-720.0, elevation=-90.00001, fov=least)
        Stance(fov=least)
    with pytest.raises(NearError, match="field of view from 1 to 170"):
        Shot("cup.png", fov=0.25)  # no number that anybody writes is a drawing's
    Shot("sheet.png", fov=ORTHOGRAPHIC)
    Stance(fov=ORTHOGRAPHIC)


def test_a_drawing_shows_a_side_from_neither_above_nor_below():
    assert find_view("right", level=True) == {"azimuth": 90, "elevation": 0} and find_view("right") == {"azimuth": 90}
    assert find_view("top", level=True) == {"azimuth": 0, "elevation": 90}
