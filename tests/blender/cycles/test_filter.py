"""Mirrors as diffuse rays see them."""

import bpy
import pytest
import stage

from near_blender.client import client
from near_blender.cycles import filter as cycles_filter
from near_blender.cycles import scene as cycles_scene


def make_mirror(roughness: float = 0.0) -> bpy.types.Material:
    material = bpy.data.materials.new("Mirror")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Metallic"].default_value, shader.inputs["Roughness"].default_value = 1, roughness
    return material


def test_only_smooth_materials_get_rougher_and_only_meanwhile():
    smooth, rough = (make_mirror(value).node_tree for value in (0.1, 0.9))
    scene = bpy.context.scene
    made = cycles_filter.GlossyFilter(scene)
    made.use(made.measure())
    (node,), = ([node for node in tree.nodes if node.type == "MATH"] for tree in (smooth,))
    assert node.inputs[0].default_value == pytest.approx(0.1) and node.inputs[1].default_value > 0.6
    assert not any(node.type == "MATH" for node in rough.nodes)
    made.use(0.0)
    assert node.inputs[1].default_value == 0


def test_keyed_roughness_stays_keyed():
    tree = make_mirror(0.1).node_tree
    socket = tree.nodes["Principled BSDF"].inputs["Roughness"]
    socket.keyframe_insert("default_value", frame=1)
    made = cycles_filter.GlossyFilter(bpy.context.scene)
    made.use(made.measure())
    assert not socket.is_linked


def test_no_filter_is_none():
    bpy.context.scene.cycles.blur_glossy = 0
    assert cycles_filter.GlossyFilter(bpy.context.scene).measure() == 0


def test_matt_surfaces_get_a_lamps_light_from_all_of_a_mirror():
    scene = stage.make_stage(16, 12)
    stage.set_color(scene.world, (0, 0, 0))
    bpy.ops.mesh.primitive_plane_add(size=4)
    bpy.context.object.data.materials.append(make_mirror())
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "AREA"))
    lamp.location, lamp.data.size = (0.5, 0, 2), 0.2
    scene.collection.objects.link(lamp)
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    probe, = client.get_cycles().probe(state, [([-0.5, 0, 1], [])], size=(64, 32), samples=32).result()["probes"]
    below, soft = probe.radiance[16:, :, 0], probe.diffuse[16:, :, 0]
    assert below.max() > 5 and (below > 0.01).mean() < 0.1, "a small picture of the lamp"
    assert 0.01 < soft.max() < 3 and (soft > 0.1 * soft.max()).mean() > 0.2, "a wide glow"
