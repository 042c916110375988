"""A photo's layers in the asset's frame, and one look at it."""

import numpy as np
import pytest

from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.photo import prepare
from near_core.create.view import LayerView, centre_object, find_camera, lift_pixels, look_up, project, reach
from near_core.directions import unit
from near_core.errors import Cancelled
from near_core.models.mini.layout import LAYERS, PICTURE, SIZE, Layer, Picture
from near_core.scene import camera as cameras
from tests.create.made import Counting
from tests.create.pictures import box, photographed, view_of


def test_projection_and_look_up_agree_with_the_camera():
    camera = cameras.orbit(30, 20, 2.5, 40, 128, 128)
    uv, depth = project(np.zeros((1, 3), np.float32), camera)
    assert uv[0] == pytest.approx([0, 0], abs=1e-6) and depth[0] == pytest.approx(0, abs=1e-6)
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


def test_a_slope_seen_obliquely_is_no_jump_and_does_not_lie_behind_itself():
    """A plane that goes back by 6 cells of 128^3 a pixel to the right, and one that jumps by 26 in the middle."""
    camera, columns = cameras.orbit(0, 0, 3, 22, SIZE, SIZE), np.arange(SIZE)
    slope = np.broadcast_to(((columns - 64) * 6 / 128).astype(np.float32), (SIZE, SIZE))
    step = np.where(columns < 64, -0.1, 0.1).astype(np.float32) * np.ones((SIZE, 1), np.float32)
    torn, jumps = (view_of(camera, front).torn[:, 4:-4] for front in (slope, step))
    assert not torn.any() and jumps[:, 59:61].all() and not jumps[:, :56].any()
    view = view_of(camera, slope)
    points = lift_pixels(view, np.abs(columns - 64) < np.full((SIZE, 1), 12))
    assert view.shows(points)[0].all() and np.abs(view.measure_behind(points)[0]).max() < 0.5
    far = view_of(camera, step)
    beside = lift_pixels(far, columns == np.full((SIZE, 1), 64))
    assert not far.shows(beside)[0].any() and (far.near_jumps(far.measure_behind(beside)[1]) > 0.9).mean() > 0.9


def test_a_rim_takes_the_material_of_the_inside():
    """Half a crop whose last pixels are half the background's, and a thread that has no inside."""
    picture, layers = np.zeros((PICTURE, SIZE, SIZE), np.float32), np.full((LAYERS, SIZE, SIZE), 0.8, np.float32)
    picture[Picture.ALPHA, :, :62], picture[Picture.ALPHA, :, 62:64], picture[Picture.ALPHA, :, 90] = 1, 0.6, 0.6
    layers[Layer.MATERIAL, :, 62:] = 0.5
    material = LayerView(cameras.orbit(0, 0, 3, 22, SIZE, SIZE), picture, layers).material
    np.testing.assert_allclose(material[:, :, :64], 0.8, atol=0.01)
    np.testing.assert_allclose(material[:, :, 90], 0.5, atol=1e-6)


def test_beside_an_object_maps_go_on_as_they_are_there():
    """A steep front: where it is not told, what lies a pixel beside the outline would be before it."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.mask[:] = np.arange(128) < 64
    front = np.broadcast_to(0.5 + np.arange(128, dtype=np.float32) / 128, (1, 128, 128))
    beside = lambda pixels: np.array([[(63.5 + pixels) / 64 - 1, 0]], np.float32)
    for pixels in (-0.5, 0.5, 0.9, 1.5, 1.9):
        assert view.inside(front, beside(pixels))[0, 0] == pytest.approx(0.5 + 63.5 / 128, abs=0.02), pixels
    assert view.inside(front, beside(5))[0, 0] == 0


def test_a_guessed_camera_moves_until_the_object_is_in_the_middle():
    """A square before the origin and to the right of it, 0.4 wide and 0.2 deep, seen from the front."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    layers, mask = np.zeros((LAYERS, SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), bool)
    layers[Layer.DEPTH], layers[Layer.THICKNESS] = -0.3 / reach(camera), 0.2 / reach(camera)
    side = reach(camera) * 2.7 / 3  # of the crop, where the square lies
    pixels = round(0.4 / side * SIZE)
    mask[64 - pixels // 2:64 + pixels // 2, 64:64 + pixels] = True
    made = centre_object(camera, layers, mask)
    middle = [0.2, -0.2, 0]  # between front and back
    assert made.world_to_camera[:3, 3] == pytest.approx((camera.world_to_camera @ [*middle, 1])[:3], abs=0.02)
    np.testing.assert_allclose(made.world_to_camera[:3, :3], camera.world_to_camera[:3, :3])
    mask[:] = True  # wider than the cube: it becomes smaller, and so does its distance
    assert side > 1.25
    assert centre_object(camera, layers, mask).world_to_camera[2, 3] == pytest.approx(2.8 / 1.25, abs=0.02)


def test_a_photo_is_looked_at_once(model, photo, red):
    """Intrinsics runs for the photo and for its mirror image; before that once where the camera is not known, and three
    times where it is searched by a shape. Once the shape is begun, no more than for one whose camera is known."""
    assert red.runs.count("intrinsics") == 2

    def stop_at_shape(phase: str, fraction: float) -> None:
        if phase == "Shape":
            raise Cancelled

    for mesh, looks in ((box(), 5), (None, 3)):
        counting = Counting()
        with pytest.raises(Cancelled):
            create_from_image([photo[0]], mesh=mesh, name="box", model=counting, progress=stop_at_shape)
        assert counting.runs.count("intrinsics") == looks


def test_elevation_is_estimated_by_the_photo(model):
    """A flat box from beside and from high above: which one is which shows."""
    asset = create_from_mesh(box((0.9, 0.7, 0.3)), name="box", model=model)
    beside, above = (
        find_camera(model, prepare(photographed(asset, cameras.orbit(30, degrees, 2.9, 40, 256, 256))[0]), 0, None, 40)
        for degrees in (5, 65))
    elevation = lambda camera: np.degrees(np.arcsin(unit(camera.position)[2]))
    assert -20 < elevation(beside) < elevation(above) - 15 < 65
