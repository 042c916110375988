"""Photos that go around the wrong way."""

from copy import copy
from dataclasses import replace

import numpy as np

from near_core.create.handedness import seem_reversed
from near_core.create.view import LayerView, make_network_image, project
from near_core.directions import fibonacci_sphere
from near_core.models.mini.layout import LAYERS, SIZE
from tests.create.test_alignment import BALLS, photographed

TURNS = (0, 90, 180, 270)


def seen(turns, balls=BALLS):
    """Views of balls from azimuths, with their true fronts."""
    photos, true = photographed(turns, balls=balls)
    points = np.concatenate([place + radius * fibonacci_sphere(9000) for *place, radius in balls]).astype(np.float32)
    views = []
    for photo, camera in zip(photos, true):
        front, (uv, depth) = np.full((SIZE, SIZE), 9, np.float32), project(points, camera)
        x, y = ((uv + 1) / 2 * SIZE).astype(int).T
        np.minimum.at(front, (y, x), depth)
        view = LayerView(camera, make_network_image(photo), np.full((LAYERS, SIZE, SIZE), 0.5, np.float32))
        view.photo, view.front = photo, np.where(front < 9, front, 0)
        views.append(view)
    return views


def said(views, *order):
    """The same with the places of others of their cameras."""
    others = [copy(view) for view in views]
    for other, view, number in zip(others, views, order):
        other.camera = replace(view.camera, world_to_camera=views[number].camera.world_to_camera)
    return others


def test_sides_that_are_exchanged_are_told_by_what_is_in_front():
    views = seen(TURNS)
    assert not seem_reversed(views)
    assert seem_reversed(said(views, 0, 3, 2, 1))
    assert seem_reversed(said(views, 2, 1, 0, 3))  # the same, turned around as a whole
    assert not seem_reversed(said(views[:3], 2, 1, 0))  # too few


def test_what_is_its_own_mirror_image_tells_nothing():
    views = seen(TURNS, np.array([[0.0, 0, -0.2, 0.2], [0.0, 0, 0.2, 0.1]]))
    assert not seem_reversed(said(views, 0, 3, 2, 1))
