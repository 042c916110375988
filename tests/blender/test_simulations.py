"""What is simulated and not baked: the second Blender shows it as the first one does."""

import bpy
import numpy as np
import pytest
import stage

from near_blender import client, cycles_scene

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


def find_rows(passes) -> np.ndarray:
    return np.flatnonzero((passes["Depth"][..., 0] < 1e9).any(1))


@pytest.mark.parametrize("simulate", [hang_cloth, let_fall, step_by_nodes])
def test_what_was_played_is_drawn(scene, simulate):
    simulate(bpy.context.object)
    for frame in range(1, LAST + 1):
        scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    ob = bpy.data.objects["Cube"].evaluated_get(depsgraph)
    heights = [(ob.matrix_world @ vertex.co).z for vertex in ob.data.vertices]
    assert min(heights) < -0.4, "it moved"
    moved = client.get_cycles().draw(cycles_scene.capture(depsgraph), cycles_scene.describe_camera_object(scene.camera),
                                     SIZE, passes=["Combined", "Depth"], samples=1, denoise=False).result()
    assert not moved["stale"]
    bare = bpy.data.objects.new("Bare", bpy.data.meshes.new_from_object(ob))
    bare.matrix_world = ob.matrix_world.copy()
    scene.collection.objects.link(bare)
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    wanted = client.get_cycles().draw(
        cycles_scene.capture(bpy.context.evaluated_depsgraph_get()), cycles_scene.describe_camera_object(scene.camera),
        SIZE, passes=["Combined", "Depth"], samples=1, denoise=False).result()
    np.testing.assert_array_equal(find_rows(moved["passes"]), find_rows(wanted["passes"]))
