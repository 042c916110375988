"""Blender's lamps as plain numbers."""

import bpy
import numpy as np
import pytest

from near_blender.scene import lamps
from near_blender.scene.world_light import WorldLight
from near_core.scene import environment


def add(kind: str, **about) -> bpy.types.Object:
    data = bpy.data.lights.new(kind, kind)
    for name, value in about.items():
        setattr(data, name, value)
    ob = bpy.data.objects.new(kind, data)
    bpy.context.scene.collection.objects.link(ob)
    return ob


def collect() -> lamps.VisibleLamps:
    bpy.context.view_layer.update()
    return lamps.collect_lamps(bpy.context.evaluated_depsgraph_get())


def test_lamps_have_blenders_numbers():
    add("SPOT", energy=50, color=(1, 0.5, 0), spot_size=0.7, spot_blend=0.3, shadow_soft_size=0.05, use_shadow=False)
    area = add("AREA", energy=10, shape="ELLIPSE", size=2, size_y=0.5, spread=1.0)
    area.location, area.visible_glossy = (1, 2, 3), False
    spot, plane = collect().lamps
    assert (spot.kind, spot.spot_angle, spot.blend, spot.radius, spot.shadow) == (
        "spot", pytest.approx(0.7), pytest.approx(0.3), pytest.approx(0.05), False)
    np.testing.assert_allclose(spot.color, (50, 25, 0))
    np.testing.assert_allclose(plane.position, (1, 2, 3))
    assert (plane.shape, plane.size, plane.spread, plane.specular, plane.diffuse) == (
        "ELLIPSE", (2, 0.5), pytest.approx(1), 0, 1)


def test_nodes_multiply_and_dark_lamps_are_left_out():
    lamp = add("POINT", energy=10, use_nodes=True)
    emission = lamp.data.node_tree.nodes["Emission"]
    emission.inputs["Strength"].default_value, emission.inputs["Color"].default_value = 3, (1, 0, 0.5, 1)
    add("SUN", energy=0)
    add("POINT", energy=10).hide_viewport = True
    found, = collect().lamps
    np.testing.assert_allclose(found.color, (30, 0, 15))


@pytest.mark.skipif(bpy.app.version < (4, 5), reason="this Blender does not tell what colour is so hot")
@pytest.mark.parametrize("kelvin", [1500, 2700, 4500, 6500, 10000])
def test_nodes_may_glow_as_what_is_hot(kelvin):
    lamp = add("POINT", energy=10, use_nodes=True)
    tree = lamp.data.node_tree
    hot, falloff = tree.nodes.new("ShaderNodeBlackbody"), tree.nodes.new("ShaderNodeLightFalloff")
    hot.inputs["Temperature"].default_value, falloff.inputs["Strength"].default_value = kelvin, 2
    tree.links.new(hot.outputs[0], tree.nodes["Emission"].inputs["Color"])
    tree.links.new(falloff.outputs["Quadratic"], tree.nodes["Emission"].inputs["Strength"])
    found, = collect().lamps
    lamp.data.use_temperature, lamp.data.temperature = True, kelvin
    np.testing.assert_allclose(found.color, 20 * np.array(lamp.data.temperature_color), rtol=0.05, atol=0.7)


def test_of_an_image_an_area_has_the_mean():
    lamp = add("AREA", energy=10, use_nodes=True)
    tree = lamp.data.node_tree
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.new("Gobo", 4, 4, float_buffer=True)
    texture.image.pixels = [1, 0.5, 0, 1] * 8 + [0, 0, 0, 1] * 8
    tree.links.new(texture.outputs["Color"], tree.nodes["Emission"].inputs["Color"])
    found, = collect().lamps
    np.testing.assert_allclose(found.color, (5, 2.5, 0), atol=1e-3)


def test_light_linking_names_the_lamps_that_do_not_light_an_object():
    lamp, _ = add("POINT", energy=10), add("SUN", energy=1)
    lit, unlit = (bpy.data.objects.new(name, bpy.data.meshes.new(name)) for name in ("lit", "unlit"))
    lamp.light_linking.receiver_collection = bpy.data.collections.new("Receivers")
    lamp.light_linking.receiver_collection.objects.link(lit)
    found = collect()
    number = [each.kind for each in found.lamps].index("point")
    assert found.list_unlit(lit.name_full) == [] and found.list_unlit(unlit.name_full) == [number]
    assert len(found.lamps) == 2 and not found.lamps[number].unblocked_by
    link, = lamp.light_linking.receiver_collection.collection_objects
    link.light_linking.link_state = "EXCLUDE"
    found = collect()
    assert found.list_unlit(lit.name_full) == [number] and found.list_unlit(unlit.name_full) == []


def test_shadow_linking_names_what_casts_no_shadow():
    lamp = add("POINT", energy=10)
    for name in ("wall", "glass"):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, bpy.data.meshes.new(name)))
    lamp.light_linking.blocker_collection = bpy.data.collections.new("Blockers")
    lamp.light_linking.blocker_collection.objects.link(bpy.data.objects["wall"])
    found, = collect().lamps
    assert found.unblocked_by == ("glass",)


def test_fog_takes_of_each_lamp_by_its_distance():
    add("SUN")
    add("POINT", energy=10).location = 0, 0, 2
    plain = collect()
    assert plain.dim(None, np.zeros((1, 3))) is plain
    sun, point = plain.dim(np.array([0.5, 0, 0]), np.zeros((1, 3))).lamps
    assert sun.color == pytest.approx(plain.lamps[0].color * (0, 1, 1))
    assert point.color == pytest.approx(plain.lamps[1].color * (np.exp(-1), 1, 1))


def test_a_body_of_fog_takes_of_what_passes_through_it():
    add("POINT", energy=10).location = 0, 0, 3
    bpy.ops.mesh.primitive_cube_add(size=2)
    material = bpy.data.materials.new("Fog")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeVolumeAbsorption")
    node.inputs["Density"].default_value, node.inputs["Color"].default_value = 0.5, (0, 1, 1, 1)
    material.node_tree.links.new(node.outputs[0], material.node_tree.nodes["Material Output"].inputs["Volume"])
    bpy.context.object.data.materials.append(material)
    plain = collect()
    dimmed = plain.dim(None, np.array([(0, 0, -4.0), (0, 0, 0), (3, 0, 0), (9, 0, 0)]))
    shares = [(lamp.color / plain.lamps[0].color)[0] for lamp in dimmed.lamps]
    assert shares == pytest.approx([np.exp(-1), 1, np.exp(-0.5)], abs=1e-4)
    assert dimmed.list_unlit("any", 0) == [1, 2] and dimmed.list_unlit("any", 1) == [0, 1]
    assert dimmed.list_unlit("any", 2) == dimmed.list_unlit("any", 3) == [0, 2]


def test_lamps_may_take_light_away():
    add("POINT", energy=-10)
    assert collect().lamps[0].color == pytest.approx([-10] * 3)


def test_an_area_of_nothing_sends_nothing():
    add("AREA", energy=10, shape="RECTANGLE", size=0, size_y=1)
    add("AREA", energy=10).scale = 0, 1, 1
    assert not collect().lamps


def test_a_world_that_outshines_itself_somewhere_has_a_sun():
    sky = np.ones((8, 16, 3), np.float32)
    assert not WorldLight(environment.Environment(sky.copy())).has_sun
    sky[2, 3] = 1000
    assert WorldLight(environment.Environment(sky)).has_sun
