"""A photo's layers in the asset's frame, and one look at it."""

import numpy as np
import pytest

from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.photo import prepare
from near_core.create.view import Look, centre_object, look_at, look_up, project, reach
from near_core.models.mini.layout import LAYERS, PICTURE, SIZE, Layer, Picture
from near_core.models.mini.runtime import NearMini
from near_core.scene import camera as cameras
from tests.create.pictures import box, photographed, view_of


def test_projection_and_look_up_agree_with_the_camera():
    camera = cameras.orbit(30, 20, 2.5, 40, 128, 128)
    uv, ray = project(np.zeros((1, 3), np.float32), camera)
    assert uv[0] == pytest.approx([0, 0], abs=1e-6) and ray[0, 3] == pytest.approx(0, abs=1e-6)
    maps = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    centres = (np.arange(8) + 0.5) / 4 - 1
    at = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2).astype(np.float32)
    np.testing.assert_allclose(look_up(maps, at).T.reshape(3, 8, 8), maps, atol=1e-6)


def test_a_view_shows_what_is_not_behind_its_front():
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    view = view_of(camera, np.full((128, 128), -0.2, np.float32))
    points = np.array([[0.1, -0.2, 0.1], [0.1, 0.0, 0.1], [0.1, -0.4, 0.1], [3.0, -0.2, 0]], np.float32)
    assert view.shows(points)[0].tolist() == [True, False, True, False]
    assert not view.torn.any()


def test_a_guessed_camera_moves_until_the_object_is_in_the_middle():
    """A square before the origin and to the right of it, 0.4 wide and 0.2 deep, seen from the front."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    image, layers = np.zeros((PICTURE, SIZE, SIZE), np.float32), np.zeros((LAYERS, SIZE, SIZE), np.float32)
    layers[Layer.DEPTH], layers[Layer.THICKNESS] = -0.3 / reach(camera), 0.2 / reach(camera)
    look = Look(None, image, layers, (), 0.0)
    side = reach(camera) * 2.7 / 3  # of the crop, where the square lies
    pixels = round(0.4 / side * SIZE)
    image[Picture.ALPHA, 64 - pixels // 2:64 + pixels // 2, 64:64 + pixels] = 1
    made, moved = centre_object(look, camera)
    middle = [0.2, -0.2, 0]  # between front and back
    assert made.world_to_camera[:3, 3] == pytest.approx((camera.world_to_camera @ [*middle, 1])[:3], abs=0.02)
    np.testing.assert_allclose(made.world_to_camera[:3, :3], camera.world_to_camera[:3, :3])
    # the square has moved with the object: its front is 0.1 before the cube's middle, 0.2 thick
    assert moved[Layer.DEPTH, 64, 64] * reach(made) == pytest.approx(-0.1, abs=0.02)
    assert moved[Layer.THICKNESS, 64, 64] * reach(made) == pytest.approx(0.2, abs=1e-4)
    image[Picture.ALPHA] = 1  # wider than the cube: it becomes smaller, and so do its distance and its depth
    made, moved = centre_object(look, camera)
    assert side > 1.25 and made.world_to_camera[2, 3] == pytest.approx(2.8 / 1.25, abs=0.02)
    assert moved[Layer.THICKNESS, 64, 64] * reach(made) == pytest.approx(0.2 / 1.25, abs=1e-4)


def test_a_photo_is_looked_at_once(model, photo):
    """The network runs for the photo and for its mirror image, whether the camera is known or not."""
    runs = []

    class Counting(NearMini):
        def run(self, graph, **inputs):
            runs.append(graph)
            return super().run(graph, **inputs)

    picture, camera = photo
    for options in ({"camera": camera}, {}, {"elevation": None, "fov": None}):
        runs.clear()
        create_from_image([picture], name="box", model=Counting(), **options)
        assert runs.count("intrinsics") == 2 and runs.count("structure") == 2


def test_elevation_is_estimated_by_the_photo(model):
    """A flat box from beside and from high above: which one is which shows."""
    asset = create_from_mesh(box((0.9, 0.7, 0.3)), name="box", model=model)
    photos = [prepare(photographed(asset, cameras.orbit(30, degrees, 2.9, 40, 256, 256))[0]) for degrees in (5, 65)]
    beside, above = (look_at(model, photo, photo.camera()).elevation for photo in photos)
    assert -20 < beside < above - 15 < 65
    told = look_at(model, photos[0], photos[0].camera(elevation=80)).elevation
    assert told == pytest.approx(beside, abs=1e-3), "the network tells it by the picture, whatever camera it was told"
