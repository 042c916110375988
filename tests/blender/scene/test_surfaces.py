"""What a draft reads of ordinary objects: triangles and looks, a little at a time; too many become boxes."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.scene import surfaces


def read(times: int = 1) -> surfaces.Surfaces:
    found = surfaces.Surfaces()
    for _ in range(times):
        found.read(bpy.context.evaluated_depsgraph_get())
    return found


def add_cube(**options) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(**options)
    return bpy.context.object


def make_material(color, **inputs) -> bpy.types.Material:
    material = bpy.data.materials.new("Material")
    material.use_nodes = True
    principled = material.node_tree.nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = (*color, 1)
    for name, value in inputs.items():
        principled.inputs[name.replace("_", " ")].default_value = value
    return material


def test_triangles_are_split_by_material(scene):
    ob = add_cube(size=2)
    for color in ((1, 0, 0), (0, 0, 1)):
        ob.data.materials.append(make_material(color))
    ob.data.polygons[0].material_index = 1
    (shown,) = (found := read()).shown
    parts = found.parts[shown.name]
    assert [len(part.vertices) for part in parts] == [30, 6] and [part.look.color for part in parts] == [
        pytest.approx((1, 0, 0)), pytest.approx((0, 0, 1))]
    v = np.concatenate([part.vertices for part in parts])
    assert np.allclose(np.abs(v[:, :3]), 1) and np.allclose(np.einsum("ij,ij->i", v[:, :3], v[:, 3:6]), 1)
    assert v[:, 6:8].min() >= 0 and v[:, 6:8].max() <= 1 and (v[:, 8:] == 1).all()


def test_modifiers_curves_and_instances_count(scene):
    ob = add_cube()
    ob.modifiers.new("Subdivision", "SUBSURF").levels = 1
    bpy.ops.mesh.primitive_torus_add()
    twin = bpy.context.object.copy()
    scene.collection.objects.link(twin)
    bpy.ops.object.text_add()
    found = read()
    triangles = [sum(len(part.vertices) for part in found.parts[each.name]) // 3 for each in found.shown]
    assert len(found.shown) == 4 and 48 in triangles and min(triangles) > 10
    assert len(found.parts) == 3, "twins share one mesh"


def test_assets_are_marked_and_have_the_colours_of_their_proxies(scene, ball):
    stage.add_asset(ball)
    (shown,) = (found := read()).shown
    colors = found.parts[shown.name][0].vertices[:, 8:]
    assert shown.is_asset and not found.has_ordinary() and colors[:, 0].max() > 0.7 and colors[:, 1].max() > 0.5


@pytest.mark.parametrize("is_collection", [False, True])
def test_holdouts_are_holes_be_they_assets_or_not(scene, ball, is_collection):
    home = bpy.data.collections.new("Held")
    scene.collection.children.link(home)
    for ob in (stage.add_asset(ball), add_cube()):
        home.objects.link(ob)
        ob.is_holdout = not is_collection
    bpy.context.view_layer.layer_collection.children["Held"].holdout = is_collection
    found = read(times=4)
    assert [(each.is_hole, each.is_asset) for each in found.shown] == 2 * [(True, False)] and found.has_ordinary()


@pytest.mark.parametrize("inputs, name, value", [
    ({"Roughness": 0.2}, "roughness", 0.2), ({"Metallic": 1.0}, "metallic", 1.0), ({"Alpha": 0.4}, "opacity", 0.4),
    ({"Transmission_Weight": 1.0}, "opacity", 0.25),
    ({"Emission_Color": (1, 0.5, 0, 1), "Emission_Strength": 2.0}, "emission", (2, 1, 0))])
def test_looks(inputs, name, value):
    assert getattr(surfaces.read_look(make_material((0.5, 0.5, 0.5), **inputs)), name) == pytest.approx(value)


def test_computed_colours_become_their_mean_or_the_viewports(scene):
    material = make_material((0.5, 0.5, 0.5))
    material.diffuse_color = (0.1, 0.2, 0.3, 1)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
    target = nodes["Principled BSDF"].inputs["Base Color"]
    links.new(noise.outputs["Color"], target)
    assert surfaces.read_look(material).color == pytest.approx((0.1, 0.2, 0.3))
    links.new(ramp.outputs["Color"], target)
    assert surfaces.read_look(material).color == pytest.approx((0.5, 0.5, 0.5))
    image = nodes.new("ShaderNodeTexImage")
    image.image = bpy.data.images.new("Picture", 4, 4)
    links.new(image.outputs["Color"], target)
    assert surfaces.read_look(material).image == image.image.session_uid


@pytest.mark.parametrize("glow", [None, "Heat"])
def test_vertex_colours_are_those_of_the_base(scene, glow):
    material = make_material((1, 1, 1), Emission_Strength=2.0)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    for name, target in (("Tint", "Base Color"), (glow, "Emission Color")):
        if name:
            node = nodes.new("ShaderNodeAttribute")
            node.attribute_name = name
            links.new(node.outputs["Color"], nodes["Principled BSDF"].inputs[target])
    look = surfaces.read_look(material)
    assert look.attribute == "Tint" and look.emission == pytest.approx((0, 0, 0) if glow else (2, 2, 2))


def test_too_many_triangles_become_a_box(scene, monkeypatch):
    monkeypatch.setattr(surfaces, "MOST_TRIANGLES", 1000)
    bpy.ops.mesh.primitive_uv_sphere_add(segments=64, ring_count=32)
    found = read(2)
    assert found.boxes == ["Sphere"]
    assert np.allclose(np.abs(found.parts[found.shown[0].name][0].vertices[:, :3]).max(0), 1, atol=0.01)


def test_reading_goes_on_where_it_stopped(scene, monkeypatch):
    for x in range(4):
        bpy.ops.mesh.primitive_uv_sphere_add(location=(x, 0, 0))
        bpy.context.object.data.vertices[0].co.x = x  # no twins
    monkeypatch.setattr(surfaces, "READ_TIME", -1.0)
    found = read()
    assert not found.is_complete and not found.shown
    monkeypatch.setattr(surfaces, "READ_TIME", 10.0)
    found.read(bpy.context.evaluated_depsgraph_get())
    assert found.is_complete and len(found.shown) == 4


def test_changed_meshes_are_read_again_and_moved_ones_are_not(scene):
    ob, other = add_cube(), add_cube(location=(3, 0, 0))
    found, updates = surfaces.Surfaces(), []
    bpy.app.handlers.depsgraph_update_post.append(lambda _, depsgraph: updates.append(found.drop_changed(depsgraph)))
    try:
        found.read(bpy.context.evaluated_depsgraph_get())
        before = dict(found.parts)
        other.location.z = 2
        bpy.context.view_layer.update()
        assert found.parts == before
        ob.data.vertices[3].co.z += 0.5
        ob.data.update()
        bpy.context.view_layer.update()
        found.read(bpy.context.evaluated_depsgraph_get())
    finally:
        bpy.app.handlers.depsgraph_update_post.pop()
    highest = {part.vertices[:, 2].max() for each in found.shown for part in found.parts[each.name]}
    assert updates and highest == {1.0, 1.5}


def test_broken_meshes_are_no_trouble(scene):
    ob = add_cube()
    ob.data.vertices[0].co = (np.nan, np.inf, 0)
    ob.scale = 0, 0, 0
    bpy.data.objects.new("Empty", bpy.data.meshes.new("Empty"))
    found = read()
    assert all(np.isfinite(part.vertices[:, :3]).all() for parts in found.parts.values() for part in parts)
