"""How instances move from time to time, by maps that are known."""

import bpy
import numpy as np
import stage

from near_blender.scene import movement, sync
from near_blender.scene.movement import PosedInstance
from near_core.asset.deformation import Deformation

REST = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 3)).astype(np.float32)


def shift(x: float, size: float = 1.0) -> np.ndarray:
    matrix = np.diag([size, size, size, 1.0])
    matrix[0, 3] = x
    return matrix


def test_what_is_bent_moves_as_near_as_a_matrix_comes():
    """It grows by a third and moves; what bends it apart from that is small."""
    bent = REST * np.float32([1.3, 1, 1]) + np.float32([0, 0, 0.02]) * REST[:, :1] ** 2
    poses = [[PosedInstance(shift(0), np.eye(4))],
             [PosedInstance(shift(1), shift(0, 2.0), Deformation(REST, bent / 2))]]
    matrices, bends = movement.trace(poses, now=0)
    assert np.allclose(matrices[0, 0], np.eye(4))
    assert np.allclose(matrices[1, 0], shift(1) @ np.diag([1.3, 1, 1, 1]), atol=0.01)
    assert np.allclose(bends[0][0], REST, atol=1e-6) and np.allclose(bends[0][1], bent + [1, 0, 0], atol=1e-6)


def test_where_the_mesh_is_another_one_its_object_counts():
    poses = [[PosedInstance(shift(time), shift(0.5), Deformation(rest, rest))]
             for time, rest in ((0, REST), (1, REST[:100]))]
    matrices, bends = movement.trace(poses, now=0)
    assert np.allclose(matrices[:, 0, 0, 3], [0.5, 1.5]) and not bends


def test_copies_keep_their_order(ball):
    """Three of an array that gets wider, and one that nothing bends."""
    stage.make_stage()
    ob = stage.add_asset(ball)
    stage.add_asset(ball, "Still", (5, 0, 0))
    array = ob.modifiers.new("Array", "ARRAY")
    array.count = 3
    array.relative_offset_displace[0] = 1.0
    array.keyframe_insert("relative_offset_displace", frame=1)
    array.relative_offset_displace[0] = 2.0
    array.keyframe_insert("relative_offset_displace", frame=2)
    scene = bpy.context.scene
    scene.frame_set(1)
    assets = sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    poses = []
    for frame in (1, 2):
        scene.frame_set(frame)
        poses.append(movement.find_poses(bpy.context.evaluated_depsgraph_get(), assets))
    matrices, bends = movement.trace(poses, now=0)
    wide = max(v.co.x for v in ob.data.vertices) - min(v.co.x for v in ob.data.vertices)
    moved = matrices[1, :, 0, 3] - matrices[0, :, 0, 3]
    assert np.allclose(sorted(moved), [0, 0, wide, 2 * wide], atol=1e-3) and not bends


def test_an_armature_bends_as_a_parent_too(ball):
    scene, ob = stage.make_stage(), stage.add_asset(ball)
    bones = bpy.data.armatures.new("Rig")
    rig = bpy.data.objects.new("Rig", bones)
    scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bones.edit_bones.new("Bone").tail = 0, 0, 1
    bpy.ops.object.mode_set(mode="OBJECT")
    ob.vertex_groups.new(name="Bone").add([v.index for v in ob.data.vertices if v.co.x > 0], 1.0, "REPLACE")
    ob.parent, ob.parent_type = rig, "ARMATURE"
    depsgraph = bpy.context.evaluated_depsgraph_get()
    poses = [movement.find_poses(depsgraph, assets := sync.collect_assets(depsgraph))]
    rig.pose.bones["Bone"].location.x = 0.3
    depsgraph = bpy.context.evaluated_depsgraph_get()
    poses.append(movement.find_poses(depsgraph, assets))
    ((rest, there),) = movement.trace(poses, now=0)[1].values()
    along = (there - rest)[:, 0]
    assert np.allclose([along.min(), along.max()], [0, 0.3], atol=1e-3)
