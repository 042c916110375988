"""Where probes are taken."""

import bpy
import numpy as np
import pytest
import stage

from near_blender import probe_places, sync

CUBE = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def look(at: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """The place of an asset of a metre at height `at` among all that is there, and what is looked through."""
    bpy.context.view_layer.update()
    matrix = np.eye(4)
    matrix[2, 3] = at
    bounds = CUBE + matrix[:3, 3]
    around = probe_places.Solids(bpy.context.evaluated_depsgraph_get()).meet(bounds, "")
    return probe_places.find(matrix, bounds, around, sync.is_asset)


def find(at: float = 0.0) -> np.ndarray:
    return look(at)[0]


def test_an_asset_that_stands_free_is_seen_from_its_middle():
    bpy.ops.mesh.primitive_plane_add(size=20)
    assert find(at=0.5) == pytest.approx((0, 0, 0.5))


@pytest.mark.parametrize("at", [0.02, -0.1])
def test_an_asset_sunk_into_the_floor_is_seen_from_above_it(at):
    bpy.ops.mesh.primitive_plane_add(size=20)
    assert find(at=at)[2] > 0.1


def test_a_room_turned_inside_out_changes_nothing():
    bpy.ops.mesh.primitive_cube_add(size=1.2, location=(0, 0, 0.05))
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0.52, 0), rotation=(-np.pi / 2, 0, 0))
    assert find() == pytest.approx((0, 0, 0))


def test_a_beam_through_the_middle_is_avoided():
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 0.03))
    bpy.context.object.scale = 0.3, 3, 0.3
    place = find()
    assert np.abs(place[[0, 2]] - (0, 0.03)).max() > 0.2


def test_what_stands_inside_is_looked_through(ball):
    """An asset, a mesh and an instance in a bowl; what only reaches in is not."""
    stage.add_asset(ball, "Apple").scale = (0.4, 0.4, 0.4)
    bpy.ops.mesh.primitive_cube_add(size=0.2, location=(0.05, 0.05, -0.1))
    bpy.ops.mesh.primitive_cube_add(size=0.2)
    nut, kept = bpy.context.object, bpy.data.collections.new("Kept")
    bpy.context.scene.collection.objects.unlink(nut)
    kept.objects.link(nut)
    shown = bpy.data.objects.new("Nuts", None)
    shown.instance_type, shown.instance_collection, shown.location = "COLLECTION", kept, (0, 0.1, 0)
    bpy.context.scene.collection.objects.link(shown)
    place, through = look()
    assert place == pytest.approx((0, 0, 0)) and set(through) == {"Apple", "Cube", nut.name}
    shown.location.x = 3
    bpy.data.objects["Apple"].scale = (4, 0.1, 0.1)
    assert set(look()[1]) == {"Cube"}
