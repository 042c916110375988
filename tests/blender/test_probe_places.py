"""Where probes are taken."""

import bpy
import numpy as np
import pytest

from near_blender import probe_places

CUBE = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def find(*names: str, at: float = 0.0) -> np.ndarray:
    """The place of an asset of a metre at height `at`."""
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    matrix = np.eye(4)
    matrix[2, 3] = at
    around = [bpy.data.objects[name].evaluated_get(depsgraph) for name in names]
    return probe_places.find(matrix, CUBE + matrix[:3, 3], around)


def test_an_asset_that_stands_free_is_seen_from_its_middle():
    bpy.ops.mesh.primitive_plane_add(size=20)
    assert find("Plane", at=0.5) == pytest.approx((0, 0, 0.5))


@pytest.mark.parametrize("at", [0.02, -0.1])
def test_an_asset_sunk_into_the_floor_is_seen_from_above_it(at):
    bpy.ops.mesh.primitive_plane_add(size=20)
    assert find("Plane", at=at)[2] > 0.1


def test_a_room_turned_inside_out_changes_nothing():
    bpy.ops.mesh.primitive_cube_add(size=1.2, location=(0, 0, 0.05))
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0.52, 0), rotation=(-np.pi / 2, 0, 0))
    assert find("Cube", "Plane") == pytest.approx((0, 0, 0))


def test_a_beam_through_the_middle_is_avoided():
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 0.03))
    bpy.context.object.scale = 0.3, 3, 0.3
    place = find("Cube")
    assert np.abs(place[[0, 2]] - (0, 0.03)).max() > 0.2
