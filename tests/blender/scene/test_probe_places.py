"""Where probes are taken."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.scene import probe_places, sync

CUBE = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


def look(at: float = 0.0) -> tuple[np.ndarray, set[str]]:
    """The place of an asset of a metre at height `at` among all that is there, and what is looked through."""
    bpy.context.view_layer.update()
    matrix = np.eye(4)
    matrix[2, 3] = at
    bounds = CUBE + matrix[:3, 3]
    around = probe_places.Solids(bpy.context.evaluated_depsgraph_get(), [bounds]).meet(bounds, "")
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
    assert place == pytest.approx((0, 0, 0)) and through == {"Apple", "Cube", nut.name}
    shown.location.x = 3
    bpy.data.objects["Apple"].scale = (4, 0.1, 0.1)
    assert look()[1] == {"Cube"}


def scatter(count: int) -> None:
    """Blades of a meadow, 10 m wide, all one object."""
    side = np.linspace(-5, 5, count)
    ground = bpy.data.meshes.new("Ground")
    ground.from_pydata([(x, y, 0) for x in side for y in side], [], [])
    meadow = bpy.data.objects.new("Meadow", ground)
    bpy.context.scene.collection.objects.link(meadow)
    bpy.ops.mesh.primitive_cone_add(vertices=3, radius1=0.02, depth=0.35)
    bpy.context.object.name, bpy.context.object.parent, meadow.instance_type = "Grass", meadow, "VERTS"


def test_a_meadow_is_not_looked_through_for_the_blades_in_an_asset():
    scatter(61)
    place, through = look()
    assert through == set() and np.abs(place).max() > 0.05


def test_what_stands_in_every_copy_of_a_vessel_is_looked_through():
    scatter(8)
    places = [np.append(vertex.co[:2], 0) for vertex in bpy.data.meshes["Ground"].vertices]
    bpy.context.view_layer.update()
    vessels = [CUBE + place for place in places]
    solids = probe_places.Solids(bpy.context.evaluated_depsgraph_get(), vessels)
    matrix = np.eye(4)
    matrix[:3, 3] = places[9]
    place, through = probe_places.find(matrix, vessels[9], solids.meet(vessels[9], ""), sync.is_asset)
    assert through == {"Grass"} and place == pytest.approx(places[9])


def test_a_dense_crowd_around_an_asset_is_asked_in_part_the_largest_first():
    scatter(61)
    bpy.ops.mesh.primitive_plane_add(size=20)
    bpy.context.view_layer.update()
    bounds = 10 * CUBE
    around = probe_places.Solids(bpy.context.evaluated_depsgraph_get(), [bounds]).meet(bounds, "Meadow")
    names = [solid.name for solid in around]
    assert len(names) == probe_places.MOST_SOLIDS and "Plane" in names and set(names) == {"Plane", "Grass"}
    assert max(np.linalg.norm(solid.bounds.mean(0)) for solid in around if solid.name == "Grass") < 2


def test_a_meadow_far_from_an_asset_costs_no_solids():
    scatter(61)
    bpy.context.view_layer.update()
    bounds = CUBE + (20, 0, 0)
    assert probe_places.Solids(bpy.context.evaluated_depsgraph_get(), [bounds]).meet(CUBE, "") == []


@pytest.mark.filterwarnings("error")
def test_a_mesh_without_size_is_in_nobodys_way():
    point = bpy.data.meshes.new("Point")
    point.from_pydata([(0, 0, 0.3)], [], [])
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Point", point))
    assert find() == pytest.approx((0, 0, 0))
