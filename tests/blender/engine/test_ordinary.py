"""What of a scene is ordinary, and how Cycles is to draw it."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.engine import ordinary


def counts() -> bool:
    return ordinary.counts(bpy.context.evaluated_depsgraph_get())


def test_ordinary_objects_and_lamps_are_counted(scene, ball):
    stage.add_asset(ball)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.light_add()
    bpy.ops.object.light_add()
    assert ordinary.count(scene.view_layers[0]) == (1, 2)
    bpy.context.object.hide_render = True
    assert ordinary.count(scene.view_layers[0]) == (1, 1)


def test_cycles_draws_only_where_there_is_something_for_it(scene, ball):
    stage.add_asset(ball)
    bpy.ops.object.light_add()
    bpy.ops.object.empty_add()
    scene.collection.objects.link(bpy.data.objects.new("Nothing", bpy.data.meshes.new("Nothing")))
    assert not counts()
    bpy.ops.mesh.primitive_plane_add()
    assert counts()
    scene.near.ordinary = "NONE"
    scene.update_tag()
    assert not counts()


def test_a_world_that_looks_otherwise_for_each_camera_is_left_to_cycles(scene, ball, tmp_path):
    """Black on the left, white on the right, whatever the camera: no map holds that."""
    scene.near.denoise = False
    stage.add_asset(ball)
    tree = scene.world.node_tree
    place, shade = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeTexGradient")
    tree.links.new(shade.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.links.new(place.outputs["Generated"], shade.inputs["Vector"])
    assert not counts()
    tree.links.new(place.outputs["Window"], shade.inputs["Vector"])
    assert counts()
    seen = stage.render(scene, tmp_path)["Combined"][2, :, 0]
    assert np.allclose(seen, (np.arange(64) + 0.5) / 64, atol=0.02)
    scene.render.film_transparent = True
    assert not counts()


@pytest.mark.parametrize("node, output", [
    ("TexCoord", "Window"), ("TexCoord", "Camera"), ("CameraData", "View Vector")])
def test_what_of_a_world_does_not_reach_its_output_does_not_depend_on_the_camera(scene, ball, node, output):
    stage.add_asset(ball)
    tree, group = scene.world.node_tree, bpy.data.node_groups.new("Sky", "ShaderNodeTree")
    for name in ("Used", "Unused"):
        group.interface.new_socket(name, in_out="OUTPUT", socket_type="NodeSocketVector")
    place, inner = group.nodes.new(f"ShaderNode{node}"), group.nodes.new("NodeGroupOutput")
    group.links.new(place.outputs[output], inner.inputs["Unused"])
    sky, shade = tree.nodes.new("ShaderNodeGroup"), tree.nodes.new("ShaderNodeTexGradient")
    muted = tree.nodes.new("ShaderNodeMapping")
    sky.node_tree = group
    tree.links.new(shade.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.links.new(sky.outputs["Used"], muted.inputs["Vector"])
    tree.links.new(sky.outputs["Unused"], muted.inputs["Rotation"])
    link = tree.links.new(muted.outputs[0], shade.inputs["Vector"])
    assert counts()
    muted.mute = True
    assert not counts(), "a muted node hands on Vector alone"
    tree.links.new(sky.outputs["Unused"], muted.inputs["Vector"])
    assert counts()
    link.is_muted = True
    assert not counts()
    link.is_muted, sky.mute = False, True
    assert not counts()
    sky.mute = False
    assert counts()
    other = tree.nodes.new("ShaderNodeOutputWorld")
    other.is_active_output = True
    assert not counts(), "another output is the one"


@pytest.mark.parametrize("target, expected", [("CAMERA", True), ("OBJECT", False)])
def test_a_world_by_directions_of_the_camera_depends_on_it(scene, ball, target, expected):
    tree = scene.world.node_tree
    place, turn = tree.nodes.new("ShaderNodeTexCoord"), tree.nodes.new("ShaderNodeVectorTransform")
    turn.convert_from, turn.convert_to = "WORLD", target
    tree.links.new(place.outputs["Generated"], turn.inputs[0])
    tree.links.new(turn.outputs[0], tree.nodes["Background"].inputs["Color"])
    assert counts() == expected


def test_instances_by_geometry_nodes_are_drawn(scene, ball):
    stage.add_asset(ball)
    tree = bpy.data.node_groups.new("Cubes", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes = [tree.nodes.new(kind) for kind in ("GeometryNodeMeshCube", "GeometryNodeGeometryToInstance",
                                               "NodeGroupOutput")]
    for one, other in zip(nodes, nodes[1:]):
        tree.links.new(one.outputs[0], other.inputs[0])
    ob = bpy.data.objects.new("Nothing", bpy.data.meshes.new("Nothing"))
    scene.collection.objects.link(ob)
    ob.modifiers.new("Cubes", "NODES").node_group = tree
    assert counts()


def test_samples_set_for_cycles_count_until_near_has_its_own(scene):
    assert ordinary.read_options(scene) == ordinary.CyclesOptions(16, True)
    scene.cycles.use_denoising = False
    assert ordinary.read_options(scene) == ordinary.CyclesOptions(16, True), "so few need it"
    scene.cycles.samples = 77
    assert ordinary.read_options(scene) == ordinary.CyclesOptions(77, False)
    layer = scene.view_layers[0]
    layer.samples = 99
    for how, samples in (("USE", 99), ("BOUNDED", 77), ("IGNORE", 77)):
        scene.cycles.use_layer_samples = how
        assert ordinary.read_options(scene, layer).samples == samples
    scene.near.samples, scene.near.denoise = 16, True
    assert ordinary.read_options(scene) == ordinary.CyclesOptions(16, True)


def test_what_depth_may_look_past_is_found_where_it_stands(scene, ball):
    find = lambda: ordinary.find_unclear(bpy.context.evaluated_depsgraph_get())
    stage.add_asset(ball)
    bpy.ops.mesh.primitive_cube_add(location=(0, 0, 3))
    material = bpy.data.materials.new("Leaf")
    material.use_nodes = True
    bpy.context.object.data.materials.append(material)
    assert len(find()) == 0
    alpha = material.node_tree.nodes["Principled BSDF"].inputs["Alpha"]
    alpha.default_value = 0.5
    assert np.allclose(sorted(find()[0][:, 2]), [2] * 4 + [4] * 4)
    texture = material.node_tree.nodes.new("ShaderNodeTexImage")
    material.node_tree.links.new(texture.outputs["Alpha"], alpha)
    texture.image = bpy.data.images.new("With", 4, 4, alpha=True)
    assert len(find()) == 1
    texture.image.alpha_mode = "NONE"
    assert len(find()) == 0
    scene.camera.data.dof.use_dof = True
    assert find() is None
    scene.camera.data.dof.use_dof, scene.render.use_motion_blur = False, True
    assert find() is None
    scene.view_layers[0].use_motion_blur = False
    bpy.context.view_layer.update()
    assert len(find()) == 0, "as its layer is sharp"


def test_a_worlds_volume_is_ordinary_and_everywhere(scene, ball):
    stage.add_asset(ball)
    find = lambda: ordinary.find_unclear(bpy.context.evaluated_depsgraph_get())
    assert not counts() and find() is not None
    nodes = scene.world.node_tree.nodes
    scene.world.node_tree.links.new(nodes.new("ShaderNodeVolumeScatter").outputs[0],
                                    nodes["World Output"].inputs["Volume"])
    assert counts() and find() is None
    scene.view_layers[0].use_sky = False
    assert not counts() and find() is not None


@pytest.mark.parametrize("color, strength, expected", [((1, 1, 1, 1), 2.0, True), ((0, 0, 0, 1), 1.0, False),
                                                       ((1, 1, 1, 1), 0.0, False)])
def test_what_glows_has_colour_and_strength(scene, color, strength, expected):
    material = bpy.data.materials.new("Material")
    material.use_nodes = material.use_fake_user = True
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Emission Color"].default_value, inputs["Emission Strength"].default_value = color, strength
    assert ordinary.glows() == expected
