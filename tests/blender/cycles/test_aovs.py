"""What materials say of their surface, drawn by Cycles."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.cycles import aovs as cycles_aovs

PASSES = list(cycles_aovs.AOVS)


@pytest.fixture
def scene():
    """A plane that fills the picture."""
    scene = stage.make_stage(4, 4)
    bpy.ops.mesh.primitive_plane_add(size=20, rotation=(np.pi / 2, 0, 0))
    return scene


def make_material():
    material = bpy.data.materials.new("Material")
    material.use_nodes = True
    bpy.context.object.data.materials.append(material)
    return material.node_tree, material.node_tree.nodes["Principled BSDF"]


def draw(scene, tmp_path, samples=1) -> list[np.ndarray]:
    """Base colour (3,), roughness and metalness in the middle of the picture."""
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", samples, False
    cycles_aovs.Values().want(scene.view_layers[0], PASSES)
    made = stage.render(scene, tmp_path)
    return [made[name][2, 2][:3 if kind == "COLOR" else 1]
            for name, kind in map(cycles_aovs.AOVS.get, cycles_aovs.VALUES)]


def test_principled_values_and_what_is_linked_to_them(scene, tmp_path):
    tree, shader = make_material()
    color = tree.nodes.new("ShaderNodeRGB")
    color.outputs[0].default_value = (0.1, 0.2, 0.3, 1)
    tree.links.new(color.outputs[0], shader.inputs["Base Color"])
    shader.inputs["Roughness"].default_value, shader.inputs["Metallic"].default_value = 0.7, 0.9
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, (0.1, 0.2, 0.3)) and np.allclose((rough, metal), ([0.7], [0.9]))


def test_mixtures_are_mixed(scene, tmp_path):
    tree, shader = make_material()
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (1, 0, 0, 1), 0.0
    diffuse, mix = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeMixShader")
    diffuse.inputs["Color"].default_value, mix.inputs[0].default_value = (0, 0, 1, 1), 0.25
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(diffuse.outputs[0], mix.inputs[2])
    tree.links.new(mix.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, (0.75, 0, 0.25)) and np.allclose((rough, metal), ([0.25], [0]))


def test_a_surface_from_a_group(scene, tmp_path):
    tree, shader = make_material()
    group = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    group.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    glossy, out = group.nodes.new("ShaderNodeBsdfAnisotropic"), group.nodes.new("NodeGroupOutput")
    glossy.inputs["Color"].default_value, glossy.inputs["Roughness"].default_value = (0.5, 0.4, 0.3, 1), 0.2
    group.links.new(glossy.outputs[0], out.inputs[0])
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    tree.links.new(node.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, (0.5, 0.4, 0.3)) and np.allclose((rough, metal), ([0.2], [1]))


def test_what_has_no_material_is_plain_and_emission_has_no_values(scene, tmp_path):
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, 0.8) and np.allclose((rough, metal), ([0.5], [0]))
    plain = bpy.context.object.material_slots[0]
    tree, _ = make_material()
    plain.material = bpy.data.materials["Material"]
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(emission.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    tree.links.new(emission.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    assert not np.any(draw(scene, tmp_path)[0])


def test_what_an_instanced_collection_holds_is_plain_too(scene, tmp_path):
    plane = bpy.context.object
    held = bpy.data.collections.new("Held")
    held.objects.link(plane)
    scene.collection.objects.unlink(plane)
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", held
    scene.collection.objects.link(instance)
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, 0.8) and np.allclose((rough, metal), ([0.5], [0]))


@pytest.mark.parametrize("slots", [0, 1])
def test_what_is_linked_is_plain_too(scene, tmp_path, slots):
    library = tmp_path / "library.blend"
    if slots:
        bpy.context.object.data.materials.append(None)
    bpy.data.libraries.write(str(library), {bpy.context.object})
    bpy.data.objects.remove(bpy.context.object)
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.objects = there.objects
    scene.collection.objects.link(here.objects[0])
    base, rough, metal = draw(scene, tmp_path)
    assert np.allclose(base, 0.8) and np.allclose((rough, metal), ([0.5], [0]))


@pytest.mark.parametrize("how", ["alpha", "mixed", "added"])
def test_what_is_clear_says_nothing(scene, tmp_path, how):
    """Of a surface that hides a quarter of a white one."""
    tree, shader = make_material()
    shader.inputs["Base Color"].default_value, shader.inputs["Roughness"].default_value = (1, 0, 0, 1), 0.8
    clear, mix = tree.nodes.new("ShaderNodeBsdfTransparent"), tree.nodes.new("ShaderNodeMixShader")
    if how == "alpha":
        shader.inputs["Alpha"].default_value = 0.25
    else:
        mix = mix if how == "mixed" else tree.nodes.new("ShaderNodeAddShader")
        tree.links.new(clear.outputs[0], mix.inputs[-2])
        tree.links.new(shader.outputs[0], mix.inputs[-1])
        tree.links.new(mix.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    if how == "mixed":
        mix.inputs[0].default_value = 0.25
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 1, 0), rotation=(np.pi / 2, 0, 0))
    white = bpy.data.materials.new("White")
    white.use_nodes = True
    white.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (1, 1, 1, 1)
    bpy.context.object.data.materials.append(white)
    (red, through, _), rough, _ = draw(scene, tmp_path, 64)
    share = 0 if how == "added" else 0.25
    assert 0.7 <= through <= 1, "Cycles sends more rays through than a share of light"
    assert np.allclose((red, rough[0]), (through + share, 0.5 * through + 0.8 * share), atol=1e-3)
