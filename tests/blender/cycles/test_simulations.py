"""What is simulated and not baked: the second Blender shows it as the first one does."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.client import client
from near_blender.cycles import scene as cycles_scene
from near_blender.cycles import simulations

SIZE = 32, 24
LAST = 8


@pytest.fixture
def scene():
    scene = stage.make_stage(*SIZE)
    scene.render.engine = "CYCLES"
    bpy.ops.mesh.primitive_cube_add(size=0.6)
    return scene


def hang_cloth(ob) -> None:
    ob.modifiers.new("Cloth", "CLOTH")


def hang_cloth_in_an_instance(ob) -> None:
    hang_cloth(ob)
    bpy.context.scene.collection.objects.unlink(ob)
    bpy.data.collections.new("Character").objects.link(ob)
    shown = bpy.data.objects.new("Shown", None)
    shown.instance_type, shown.instance_collection = "COLLECTION", bpy.data.collections["Character"]
    bpy.context.scene.collection.objects.link(shown)


def hang_cloth_on_disk(ob) -> None:
    """Its frames are in files beside the artist's, baked."""
    hang_cloth(ob)
    cache = ob.modifiers["Cloth"].point_cache
    cache.frame_end, cache.use_disk_cache = LAST, True
    with bpy.context.temp_override(active_object=ob, object=ob, point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)
    assert cache.is_baked and cache.use_disk_cache


def pin_cloth_to_what_falls(ob) -> None:
    hang_cloth(ob)
    ob.vertex_groups.new(name="Pinned").add(range(4), 1, "ADD")
    settings = ob.modifiers["Cloth"].settings
    settings.vertex_group_mass, settings.effector_weights.gravity = "Pinned", 0
    bpy.ops.mesh.primitive_cube_add(size=0.1, location=(2, 0, 0))
    let_fall(bpy.context.object)
    ob.parent = bpy.context.object
    ob.location.x = -2


def let_fall(ob) -> None:
    bpy.ops.rigidbody.world_add()
    bpy.ops.rigidbody.object_add(type="ACTIVE")


def step_by_nodes(ob) -> None:
    """Moves by a tenth of a metre in each frame."""
    group = bpy.data.node_groups.new("Steps", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    kinds = ("NodeGroupInput", "GeometryNodeSimulationInput", "GeometryNodeTransform", "GeometryNodeSimulationOutput",
             "NodeGroupOutput")
    first, begin, move, end, last = nodes = [group.nodes.new(kind) for kind in kinds]
    begin.pair_with_output(end)
    move.inputs["Translation"].default_value = 0, 0, -0.1
    for one, other in zip(nodes, nodes[1:]):
        group.links.new(one.outputs["Geometry"], other.inputs["Geometry"])
    ob.modifiers.new("Steps", "NODES").node_group = group


def draw(scene) -> dict[str, np.ndarray]:
    """What the second Blender shows of the scene."""
    answer = client.get_cycles().draw(
        cycles_scene.capture(bpy.context.evaluated_depsgraph_get()), cycles_scene.describe_camera_object(scene.camera),
        SIZE, passes=["Combined", "Depth"], samples=1, denoise=False).result()
    assert not answer["stale"]
    return answer["passes"]


def find_rows(passes) -> np.ndarray:
    return np.flatnonzero((passes["Depth"][..., 0] < 1e9).any(1))


@pytest.mark.parametrize("simulate", [hang_cloth, hang_cloth_in_an_instance, hang_cloth_on_disk,
                                      pin_cloth_to_what_falls, let_fall, step_by_nodes])
def test_what_was_played_is_drawn(scene, simulate, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))  # for what is on disk
    simulate(bpy.context.object)
    for frame in range(1, LAST + 1):
        scene.frame_set(frame)
        if frame == LAST // 2:
            draw(scene)  # what is played goes on from there
    ob = bpy.data.objects["Cube"].evaluated_get(bpy.context.evaluated_depsgraph_get())
    heights = [(ob.matrix_world @ vertex.co).z for vertex in ob.data.vertices]
    assert min(heights) < -0.4, "it moved"
    moved = draw(scene)
    bare = bpy.data.objects.new("Bare", bpy.data.meshes.new_from_object(ob))
    bare.matrix_world = ob.matrix_world.copy()
    scene.collection.objects.link(bare)
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    np.testing.assert_array_equal(find_rows(moved), find_rows(draw(scene)))


def test_what_is_off_in_renders_is_not_played(scene):
    hang_cloth(bpy.context.object)
    modifier, told = bpy.context.object.modifiers["Cloth"], []
    modifier.show_render = False
    simulations.Simulations(scene).play(LAST, lambda *done: told.append(done))
    assert not told
    modifier.show_render = True
    simulations.Simulations(scene).play(LAST, lambda *done: told.append(done))
    assert told == [(done, LAST - 1) for done in range(LAST - 1)]


def test_bodies_that_are_switched_off_stay_so(scene):
    hang_cloth(bpy.context.object)
    let_fall(bpy.context.object)
    for enabled in (True, False):
        scene.rigidbody_world.enabled = enabled
        simulations.Simulations(scene).play(2, lambda *done: None)
        assert scene.rigidbody_world.enabled == enabled
