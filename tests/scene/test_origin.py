"""What is far away is moved near, all together."""

import numpy as np

from near_core.scene import Camera, Instance, Lamp, Occluders
from near_core.scene import camera as cameras
from near_core.scene.exposure import Shutter
from near_core.scene.origin import WorldOrigin, find_origin
from near_core.scene.probe import make_empty

AWAY = np.float64([1e6, -2e5, 3])


def look_from(place: np.ndarray) -> Camera:
    view = np.array(cameras.orbit(30, 20, 4, 40, 32, 24).world_to_camera)
    view[:3, 3] -= view[:3, :3] @ place
    return Camera(view, cameras.pinhole(40, 32, 24), 32, 24)


def test_a_camera_near_the_origin_moves_nothing():
    assert find_origin(look_from(np.zeros(3))).is_own and find_origin(look_from(np.float64([5000, 0, 0]))).is_own


def test_all_moves_together():
    origin = find_origin(look_from(AWAY))
    assert np.abs(origin.place - AWAY).max() < 3000
    same = find_origin(look_from(AWAY + 1))
    np.testing.assert_array_equal(same.place, origin.place)
    np.testing.assert_allclose(origin.move_camera(look_from(AWAY)).position,
                               look_from(AWAY).position - origin.place, atol=1e-6)
    matrix = np.eye(4)
    matrix[:3, 3] = AWAY
    expected = AWAY - origin.place
    moved = origin.move_instance(Instance(None, matrix, make_empty(AWAY, 4)))
    lamp, = origin.move_lamps([Lamp("point", matrix, np.ones(3))])
    shutter = origin.move_shutter(Shutter([look_from(AWAY)] * 2, np.tile(matrix, (2, 1, 1, 1))))
    wall = origin.move_occluders(Occluders(np.tile(np.float32(AWAY), (3, 1)), np.int32([[0, 1, 2]])))
    for place in (moved.matrix[:3, 3], moved.probe.position, lamp.position, shutter.matrices[1, 0, :3, 3],
                  wall.vertices[0]):
        np.testing.assert_allclose(place, expected, atol=0.1)
    assert origin.move_shutter(None) is None and origin.move_occluders(None) is None
    np.testing.assert_array_equal(matrix[:3, 3], AWAY)
    np.testing.assert_array_equal(WorldOrigin(np.zeros(3)).move_matrix(matrix), matrix)
