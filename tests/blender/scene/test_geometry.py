"""Objects as near_core meshes: what stands in the world, with its modifiers."""

import bpy
import numpy as np
import pytest

from near_blender.scene import geometry
from near_core.errors import NearError
from near_core.mesh import compute_face_normals


def read(ob: bpy.types.Object):
    return geometry.read_mesh(ob, bpy.context.scene).mesh


def test_the_mesh_has_the_worlds_size_and_turn_but_not_its_place():
    bpy.ops.mesh.primitive_cube_add(size=1, location=(5, 6, 7), rotation=(0, 0, np.pi / 2), scale=(2, 1, 3))
    mesh = read(bpy.context.object)
    assert len(mesh.faces) == 12
    assert np.allclose(np.abs(mesh.vertices).max(0), (0.5, 1, 1.5), atol=1e-6)


def test_parents_count():
    bpy.ops.object.empty_add(scale=(3, 3, 3))
    parent = bpy.context.object
    parent.scale = (3, 3, 3)
    bpy.ops.mesh.primitive_cube_add(size=1)
    bpy.context.object.parent = parent
    bpy.context.view_layer.update()
    assert np.abs(read(bpy.context.object).vertices).max() == pytest.approx(1.5)


@pytest.mark.parametrize("scale", [(1, 1, 1), (-1, 1, 1), (2, -0.5, 1), (-1, -2, -3)])
def test_faces_and_normals_look_outward_however_it_is_mirrored(scale):
    bpy.ops.mesh.primitive_uv_sphere_add(segments=16, ring_count=8)
    bpy.ops.object.shade_smooth()
    bpy.context.object.scale = scale
    bpy.context.view_layer.update()
    mesh = read(bpy.context.object)
    centres = mesh.vertices[mesh.faces].mean(1)
    assert ((compute_face_normals(mesh)[0] * centres).sum(1) > 0).all()
    ideal = mesh.vertices[mesh.faces] / np.square(scale)  # the gradient of the ellipsoid
    ideal /= np.linalg.norm(ideal, axis=2, keepdims=True)
    assert ((mesh.corner_normal * ideal).sum(2) > 0.98).all()


def test_flat_and_smooth_faces_have_their_normals():
    bpy.ops.mesh.primitive_cube_add()
    mesh = read(bpy.context.object)
    assert np.allclose(mesh.corner_normal, compute_face_normals(mesh)[0][:, None], atol=1e-5)


def test_modifiers_and_other_kinds_of_objects():
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.object.modifiers.new("Subdivision", "SUBSURF").levels = 2
    assert len(read(bpy.context.object).faces) == 6 * 16 * 2
    bpy.ops.object.text_add()
    assert len(read(bpy.context.object).faces) > 10


@pytest.mark.parametrize("how", ["shown", "monitor", "eye", "excluded", "render"])
def test_hidden_objects_have_their_modifiers_at_render_level(how):
    bpy.ops.mesh.primitive_cube_add()
    ob = bpy.context.object
    modifier = ob.modifiers.new("Subdivision", "SUBSURF")
    modifier.levels, modifier.render_levels = 0, 2
    hidden = ob.modifiers.new("Array", "ARRAY")
    hidden.show_render = False
    if how == "monitor":
        ob.hide_viewport = True
    elif how == "eye":
        ob.hide_set(True)
    elif how == "render":
        ob.hide_render = True
    elif how == "excluded":
        home = bpy.data.collections.new("Home")
        bpy.context.scene.collection.children.link(home)
        home.objects.link(ob)
        bpy.context.scene.collection.objects.unlink(ob)
        bpy.context.view_layer.layer_collection.children["Home"].exclude = True
    count = [len(each) for each in (bpy.data.objects, bpy.data.scenes, bpy.data.meshes)]
    assert len(read(ob).faces) == 6 * 16 * 2
    assert count == [len(each) for each in (bpy.data.objects, bpy.data.scenes, bpy.data.meshes)]
    assert (modifier.levels, hidden.show_viewport) == (0, True)


def test_instances_come_along_with_their_materials():
    bpy.ops.mesh.primitive_ico_sphere_add(radius=0.3)
    ball = bpy.context.object
    ball.data.materials.append(bpy.data.materials.new("Ball"))
    bpy.ops.mesh.primitive_plane_add(size=2, location=(5, 0, 1))
    ob = bpy.context.object
    ob.data.materials.append(bpy.data.materials.new("Floor"))
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for side in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=side, socket_type="NodeSocketGeometry")
    source, target, scatter, found, both = (tree.nodes.new(kind) for kind in (
        "NodeGroupInput", "NodeGroupOutput", "GeometryNodeInstanceOnPoints", "GeometryNodeObjectInfo",
        "GeometryNodeJoinGeometry"))
    found.inputs[0].default_value = ball
    tree.links.new(source.outputs[0], scatter.inputs["Points"])
    tree.links.new(found.outputs["Geometry"], scatter.inputs["Instance"])
    tree.links.new(scatter.outputs[0], both.inputs[0])
    tree.links.new(source.outputs[0], both.inputs[0])
    tree.links.new(both.outputs[0], target.inputs[0])
    ob.modifiers.new("Scatter", "NODES").node_group = tree
    mesh = read(ob)
    assert len(mesh.faces) == 2 + 4 * len(ball.data.polygons)
    assert np.allclose(np.ptp(mesh.vertices, axis=0), (2.6, 2.6, 0.6), atol=0.03) and abs(mesh.vertices.mean()) < 0.01
    named = {mesh.materials[index].name for index in mesh.material_index}
    assert named == {"Ball", "Floor"}


def test_collections_of_objects_are_read_as_one():
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2))
    group = bpy.data.collections.new("Group")
    group.objects.link(bpy.context.object)
    holder = bpy.data.objects.new("Holder", None)
    holder.instance_type, holder.instance_collection = "COLLECTION", group
    holder.scale = 2, 2, 2
    bpy.context.scene.collection.objects.link(holder)
    bpy.context.view_layer.update()
    mesh = read(holder)
    assert len(mesh.faces) == 12 and np.allclose((mesh.vertices.min(0), mesh.vertices.max(0)), ((-1, -1, 3), (1, 1, 5)))


def test_what_has_no_surface_is_named():
    empty = bpy.data.objects.new("Nothing", None)
    with pytest.raises(NearError, match="Nothing has no surface"):
        read(empty)
    hollow = bpy.data.objects.new("Hollow", bpy.data.meshes.new("Hollow"))
    bpy.context.scene.collection.objects.link(hollow)
    with pytest.raises(NearError, match="Hollow has no faces"):
        read(hollow)


@pytest.mark.parametrize("spoil, words", [((0, 0, 0), "no usable size"), ((float("nan"), 1, 1), "not-a-number")])
def test_sizes_that_make_no_sense_are_named(spoil, words):
    bpy.ops.mesh.primitive_cube_add()
    if spoil == (0, 0, 0):
        bpy.context.object.scale = spoil
        bpy.context.view_layer.update()
    else:
        bpy.context.object.data.vertices[0].co = spoil
    with pytest.raises(NearError, match=words):
        read(bpy.context.object)


def test_what_nodes_instance_has_its_own_materials():
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    line, instance, grid, paint = (group.nodes.new(f"GeometryNode{kind}") for kind in (
        "MeshLine", "InstanceOnPoints", "MeshGrid", "SetMaterial"))
    paint.inputs["Material"].default_value = bpy.data.materials.new("Leaf")
    for start, end in ((line.outputs[0], instance.inputs["Points"]), (grid.outputs[0], paint.inputs["Geometry"]),
                       (paint.outputs[0], instance.inputs["Instance"]),
                       (instance.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])):
        group.links.new(start, end)
    host = bpy.data.objects.new("Scatter", bpy.data.meshes.new("Scatter"))
    bpy.context.scene.collection.objects.link(host)
    host.modifiers.new("Nodes", "NODES").node_group = group
    mesh = read(host)
    assert {mesh.materials[slot].name for slot in mesh.material_index} == {"Leaf"}


def test_what_is_no_surface_is_named():
    bpy.ops.mesh.primitive_uv_sphere_add()
    ob = bpy.context.object
    assert geometry.read_mesh(ob, bpy.context.scene).notes == []
    ob.modifiers.new("Hair", "PARTICLE_SYSTEM")
    ob.particle_systems[0].settings.type = "HAIR"
    assert geometry.read_mesh(ob, bpy.context.scene).notes == [f"{ob.name}: its hair is left out"]
