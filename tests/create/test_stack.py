"""A cup on its saucer, told by its outline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from near_core.create.create import Listener, create_from_image
from near_core.create.stack import centre_stack, find_stack, measure_hollow, suppose_stack
from near_core.create.view import compute_cell_centres, project
from near_core.models.mini.layout import SIZE
from near_core.models.mini.runtime import NearMini
from near_core.scene import camera as cameras
from tests.create.pictures import view_of

COFFEE = Path(__file__).parents[2] / "near_blender/assets/coffee.jpg"


def circle(radius, height, inside=False):
    turn = np.linspace(0, 2 * np.pi, 500)
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    away = np.linspace(0, radius, 70) if inside else np.array([radius])
    return np.concatenate([np.c_[ring * each, np.full(len(ring), height)] for each in away])


def cup(elevation, tall=0.4, opening=0.2, saucer=0.45):
    """What a camera sees of a cup on a saucer: the mask, and the camera."""
    camera = cameras.orbit(0, elevation, 3, 30, SIZE, SIZE)
    walls = [circle(0.12 + (opening - 0.12) * share, tall * share - 0.2, True) for share in np.linspace(0, 1, 60)]
    return outline(camera, [circle(saucer, -0.15, True), *walls]), camera


def outline(camera, parts):
    uv = project(np.concatenate(parts).astype(np.float32), camera)[0]
    at = ((uv + 1) / 2 * SIZE).astype(int)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[at[:, 1], at[:, 0]] = True
    return mask


def look(mask, camera, stack, hollow):
    """What layers say of it: about level, but so deep within the rim."""
    view = view_of(centre_stack(camera, stack), np.zeros((SIZE, SIZE), np.float32))
    (y, x), top = np.indices(mask.shape) + 0.5, stack.tops[0]
    within = np.hypot((x - top.x) / top.wide, (y - top.y) / top.high) < 0.8
    view.mask, view.front = mask, (0.01 * (SIZE / 2 - y) + hollow * within).astype(np.float32)
    return view


@pytest.mark.parametrize(("elevation", "tall"), [(25, 0.4), (40, 0.4), (55, 0.5)])
def test_two_circles_are_found_and_tell_the_elevation(elevation, tall):
    mask, camera = cup(elevation, tall)
    found = find_stack(mask)
    assert found.elevation == pytest.approx(elevation, abs=8)
    pixel = SIZE * camera.intrinsics[0, 0] / camera.width / 3
    assert found.base.wide == pytest.approx(0.45 * pixel, rel=0.08)
    assert found.tops[0].wide == pytest.approx(0.2 * pixel, rel=0.12) and found.tops[0].y < found.base.y


def test_nothing_else_is_a_cup_on_a_saucer():
    camera = cameras.orbit(0, 40, 3, 30, SIZE, SIZE)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    for mask in (outline(camera, [circle(0.45, 0, True)]),  # a plate
                 np.hypot(x, y) < 50, np.maximum(abs(x), abs(y)) < 40,  # a ball, a box
                 (np.hypot(x, y + 20) < 25) | (np.maximum(abs(x), abs(y - 25)) < 30),  # a head and shoulders
                 (np.hypot(x, y + 15) < 40) | ((abs(x) < 12) & (y > 0) & (y < 55)),  # a mushroom
                 (np.hypot(x, y - 15) < 40) | ((abs(x) < 6) & (y < 0) & (y > -55)),  # a pan and its handle
                 np.zeros((SIZE, SIZE), bool)):
        assert find_stack(mask) is None


def test_it_is_made_of_two_turned_things_that_fill_the_outline():
    mask, camera = cup(45)
    stack = find_stack(mask)
    view = look(mask, camera, stack, 0.1)
    solid = suppose_stack(view) > 0
    points = compute_cell_centres(128)[solid.ravel()]
    assert not solid[[0, -1]].any() and not solid[:, [0, -1]].any()  # within the cube
    x, y, z = points.T
    assert np.ptp(x) == pytest.approx(np.ptp(y), abs=0.03) and np.ptp(x) > 0.9
    assert np.ptp(z) / np.ptp(x) == pytest.approx(0.4 / 0.9, abs=0.12)
    seen = outline(view.camera, [points])
    seen |= np.roll(seen, 1, 0) | np.roll(seen, 1, 1)
    assert (seen & mask).sum() / (seen | mask).sum() > 0.85
    turned = replace(view.camera, world_to_camera=cameras.orbit(0, 5, 3, 30, SIZE, SIZE).world_to_camera)
    view.camera = turned
    assert suppose_stack(view) is None  # a camera that contradicts


def test_what_lies_below_its_rim_is_open():
    mask, camera = cup(45)
    stack = find_stack(mask)
    flat, deep = (measure_hollow(look(mask, camera, stack, hollow), stack.tops[0]) for hollow in (0, 0.1))
    assert flat < 1 and deep > 3
    assert suppose_stack(look(mask, camera, stack, 0)) is None


@pytest.mark.parametrize("width", [300, 420, 600])
def test_a_photo_becomes_a_cup_however_many_pixels_its_rim_has(width):
    model = NearMini()
    if not {"intrinsics", "structure", "slat"} <= set(model.graphs):
        pytest.skip("this build has no photo networks")
    photo, found = Image.open(COFFEE), []
    photo = np.asarray(photo.resize((width, round(width * photo.height / photo.width))))
    made = create_from_image([photo], name="coffee", model=model, listener=Listener(views=found.extend))
    assert found[0][1] == pytest.approx(54, abs=3)
    x, y, z = made.surfels.position.T
    assert not ((np.hypot(x, y) > 0.3) & (z > 0)).any()  # beside the cup is nothing but the saucer
