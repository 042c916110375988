"""What happens to a proxy happens to its asset, by the outlines of both."""

from dataclasses import replace

import bpy
import numpy as np
import pytest
import stage
from mathutils import Matrix

from near_blender.asset import following, proxy
from near_blender.scene import sync
from near_core import asset as assets


@pytest.fixture
def scene():
    scene = stage.make_stage(120, 90)
    scene.render.film_transparent = True
    stage.turn_around(scene.camera, 20, 6.0, 1.0)
    return scene


@pytest.fixture
def ob(scene, ball) -> bpy.types.Object:
    """Half as large as the ball is, selected and active."""
    ob = stage.add_asset(ball)
    ob.scale = 0.5, 0.5, 0.5
    ob.select_set(True)
    bpy.context.view_layer.objects.active = ob
    return ob


def measure_overlap(scene, folder) -> float:
    """Of the outlines of the assets and of what Cycles draws of the proxies: common area over that of both."""
    ours = stage.render(scene, folder, "ours")["Combined"][..., 3] > 0.5
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    theirs = stage.render(scene, folder, "theirs")["Combined"][..., 3] > 0.5
    scene.render.engine = "NEAR"
    return (ours & theirs).sum() / (ours | theirs).sum()


def find(ob: bpy.types.Object) -> following.Following:
    return following.follow(ob.evaluated_get(bpy.context.evaluated_depsgraph_get()))


def array(ob) -> None:
    ob.modifiers.new("Array", "ARRAY").count = 3


def mirror(ob) -> None:
    ob.data.transform(Matrix.Translation((1, 0, 0)))
    ob.modifiers.new("Mirror", "MIRROR")


def bend(ob) -> None:
    array(ob)
    modifier = ob.modifiers.new("Bend", "SIMPLE_DEFORM")
    modifier.deform_method, modifier.deform_axis, modifier.angle = "BEND", "Z", 2.0


def twist_and_taper(ob) -> None:
    for method in ("TWIST", "TAPER"):
        modifier = ob.modifiers.new(method, "SIMPLE_DEFORM")
        modifier.deform_method, modifier.deform_axis, modifier.factor = method, "Z", 0.9


def press_key(ob) -> None:
    ob.shape_key_add(name="Basis")
    key = ob.shape_key_add(name="Lifted")
    for point in key.data:
        point.co.z += point.co.x ** 2
    key.value = 1


def squeeze_in_lattice(ob) -> None:
    cage = bpy.data.objects.new("Cage", bpy.data.lattices.new("Cage"))
    bpy.context.scene.collection.objects.link(cage)
    cage.scale = 0.7, 0.7, 0.7
    bpy.context.view_layer.update()
    for point in cage.data.points:
        if point.co.z > 0:
            point.co_deform = point.co.x * 0.4 + 0.4, point.co.y, point.co.z
    ob.modifiers.new("Lattice", "LATTICE").object = cage


def bend_bones(ob) -> None:
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    lower, upper = (rig.data.edit_bones.new(name) for name in ("lower", "upper"))
    lower.head, lower.tail, upper.head, upper.tail = (0, 0, -0.4), (0, 0, 0), (0, 0, 0), (0, 0, 0.4)
    upper.parent = lower
    bpy.ops.object.mode_set(mode="OBJECT")
    for name, side in (("lower", -1), ("upper", 1)):
        group = ob.vertex_groups.new(name=name)
        for vertex in ob.data.vertices:
            group.add([vertex.index], float(np.clip(0.5 + 1.5 * side * vertex.co.z, 0, 1)), "REPLACE")
    ob.modifiers.new("Armature", "ARMATURE").object = rig
    bone = rig.pose.bones["upper"]
    bone.rotation_mode, bone.rotation_euler = "XYZ", (0.9, 0, 0)


def make_instances(ob, realized: bool = False) -> None:
    tree = bpy.data.node_groups.new("Copies", "GeometryNodeTree")
    for side in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=side, socket_type="NodeSocketGeometry")
    source, target, scatter, grid, realize = (tree.nodes.new(kind) for kind in (
        "NodeGroupInput", "NodeGroupOutput", "GeometryNodeInstanceOnPoints", "GeometryNodeMeshGrid",
        "GeometryNodeRealizeInstances"))
    grid.inputs["Vertices X"].default_value, grid.inputs["Vertices Y"].default_value = 2, 1
    grid.inputs["Size X"].default_value = 2.5
    scatter.inputs["Scale"].default_value = 0.8, 0.8, 1.2
    tree.links.new(grid.outputs[0], scatter.inputs["Points"])
    tree.links.new(source.outputs[0], scatter.inputs["Instance"])
    tree.links.new(scatter.outputs[0], realize.inputs[0])
    tree.links.new((realize if realized else scatter).outputs[0], target.inputs[0])
    ob.modifiers.new("Copies", "NODES").node_group = tree


def realize_instances(ob) -> None:
    make_instances(ob, realized=True)


def join_duplicate(ob) -> None:
    other = ob.copy()
    other.data = ob.data.copy()
    other.location, other.rotation_euler, other.scale = (1.2, 0, 0.5), (0, 1, 0), (0.3, 0.5, 0.3)
    bpy.context.scene.collection.objects.link(other)
    other.select_set(True)
    bpy.ops.object.join()


def pull_in_edit_mode(ob) -> None:
    for vertex in ob.data.vertices:
        vertex.co.x += max(vertex.co.z, 0) ** 2


@pytest.mark.parametrize("change, copies", [
    (array, 3), (mirror, 2), (bend, 3), (twist_and_taper, 1), (press_key, 1), (squeeze_in_lattice, 1), (bend_bones, 1),
    (make_instances, 2), (realize_instances, 2), (join_duplicate, 2), (pull_in_edit_mode, 1)], ids=lambda f: getattr(
        f, "__name__", ""))
def test_the_asset_follows(scene, ob, tmp_path, change, copies):
    change(ob)
    bpy.context.view_layer.update()
    shown = sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    assert len(shown.instances) == copies and not shown.problems
    overlap = measure_overlap(scene, tmp_path)
    print(f"{change.__name__}: {overlap:.3f}")
    assert overlap > 0.93


def test_another_asset_that_was_joined_to_it_is_drawn_too(scene, ob, ball, tmp_path):
    small = replace(ball, extent=0.8, name="Small")
    other = stage.add_asset(small, "Small", (1.2, 0, 0))
    other.select_set(True)
    bpy.ops.object.join()
    found = find(ob)
    assert found.problem == "" and len({copy.payload.name for copy in found.copies}) == 2
    assert measure_overlap(scene, tmp_path) > 0.93


def cut_away(ob) -> None:
    ob.modifiers.new("Mask", "MASK").vertex_group = ob.vertex_groups.new(name="Few").name
    ob.vertex_groups["Few"].add(list(range(len(ob.data.vertices) // 4)), 1, "REPLACE")


def delete_in_edit_mode(ob) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.bisect(plane_co=(-0.2, 0, 0), plane_no=(1, 0, 0), clear_outer=True)
    bpy.ops.object.mode_set(mode="OBJECT")


def remesh(ob) -> None:
    ob.modifiers.new("Remesh", "REMESH").voxel_size = 0.1


def merge_copies(ob) -> None:
    modifier = ob.modifiers.new("Array", "ARRAY")
    modifier.relative_offset_displace[0] = 0.97
    modifier.use_merge_vertices, modifier.merge_threshold = True, 0.1


def join_cube(ob) -> None:
    bpy.ops.mesh.primitive_cube_add(size=0.3, location=(1, 0, 0))
    ob.select_set(True)
    bpy.context.view_layer.objects.active = ob
    bpy.ops.object.join()


def empty(ob) -> None:
    ob.data.clear_geometry()


@pytest.mark.parametrize("change, said", [
    (empty, "empty"), (cut_away, "cut away"), (delete_in_edit_mode, "cut away"), (remesh, "new mesh"),
    (merge_copies, "merged"), (join_cube, "joined")],
    ids=lambda f: getattr(f, "__name__", ""))
def test_what_it_cannot_follow_is_told_and_drawn_where_it_was(ob, ball, change, said):
    change(ob)
    bpy.context.view_layer.update()
    found, shown = find(ob), sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    assert said in found.problem and [f"{ob.name}: {found.problem}."] == shown.problems
    assert len(found.copies) == 1 and np.allclose(found.copies[0].frame, np.diag([ball.extent] * 3 + [1]), atol=1e-3)


@pytest.mark.parametrize("kind", ["SUBSURF", "DECIMATE", "SMOOTH", "TRIANGULATE", "WELD"])
def test_what_changes_no_shape_changes_nothing(ob, ball, kind):
    modifier = ob.modifiers.new(kind, kind)
    if kind == "DECIMATE":
        modifier.ratio = 0.3
    bpy.context.view_layer.update()
    (copy,), problem = find(ob).copies, find(ob).problem
    assert not problem and copy.deformation is None
    assert np.allclose(copy.frame, np.diag([ball.extent] * 3 + [1]), atol=0.01)


def test_vertices_without_marks_belong_to_the_asset(ob, ball):
    """As files of earlier versions have them."""
    ob.data.attributes.remove(ob.data.attributes[proxy.MARK])
    array(ob)
    bpy.context.view_layer.update()
    assert len(find(ob).copies) == 3 and not find(ob).problem


def test_assets_are_told_apart_by_their_bytes(ball):
    assert proxy.mark(assets.hash_bytes(b"a")) != proxy.mark(assets.hash_bytes(b"b"))


def test_objects_that_share_a_mesh_are_looked_at_once(ob, monkeypatch):
    """With a mesh or a modifier of its own an object is looked at by itself."""
    followed = []
    look = following.follow
    monkeypatch.setattr(following, "follow", lambda each: followed.append(each.name) or look(each))
    bent, own = ob.copy(), ob.copy()
    for number, twin in enumerate((ob.copy(), bent, own), 1):
        twin.location.x = number
        bpy.context.scene.collection.objects.link(twin)
    own.data = ob.data.copy()
    bent.modifiers.new("Bend", "SIMPLE_DEFORM").angle = 1.0
    seen = sync.collect_assets(bpy.context.evaluated_depsgraph_get())
    assert len(seen.instances) == 4 and len(followed) == 3
    assert [bend is not None for bend in seen.bends].count(True) == 1
