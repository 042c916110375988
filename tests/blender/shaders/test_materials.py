"""Blender's materials as near_core's, judged by what they say in Blender."""

import bpy
import numpy as np
import pytest

from near_blender.scene import geometry
from near_blender.shaders import materials
from near_core.image import srgb_decode

PIXELS = np.array([[[0.2, 0.4, 0.6, 0.5], [1.0, 0.0, 0.0, 1.0]],
                   [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.5, 1.0]]], np.float32)  # rows bottom-up, as Blender stores them


@pytest.fixture
def material() -> bpy.types.Material:
    material = bpy.data.materials.new("Paint")
    material.use_nodes = True
    return material


@pytest.fixture
def principled(material) -> bpy.types.Node:
    return material.node_tree.nodes["Principled BSDF"]


def image(name: str = "Picture", colorspace: str = "sRGB", is_float: bool = False) -> bpy.types.Image:
    made = bpy.data.images.new(name, 2, 2, alpha=True, float_buffer=is_float)
    made.colorspace_settings.name = colorspace
    made.pixels.foreach_set(PIXELS.ravel())
    return made


def add(material, kind: str, **settings) -> bpy.types.Node:
    node = material.node_tree.nodes.new(kind)
    for name, value in settings.items():
        setattr(node, name, value)
    return node


def link(material, output, socket) -> None:
    material.node_tree.links.new(output, socket)


def test_constants(material, principled):
    principled.inputs["Base Color"].default_value = (0.1, 0.2, 0.3, 1)
    principled.inputs["Roughness"].default_value, principled.inputs["Metallic"].default_value = 0.7, 0.9
    principled.inputs["Alpha"].default_value = 0.25
    made = materials.read_material(material).material
    assert made.base_color == pytest.approx((0.1, 0.2, 0.3, 0.25)) and made.base_color_map is None
    assert (made.roughness, made.metallic) == pytest.approx((0.7, 0.9))
    assert not materials.read_material(material).notes


def test_no_material_is_blenders_grey_and_one_without_nodes_its_viewport_color(material):
    assert materials.read_material(None).material.base_color[:3] == pytest.approx((0.8, 0.8, 0.8))
    if bpy.app.version >= (5, 0):
        return  # materials always have nodes
    material.use_nodes = False
    material.diffuse_color, material.roughness = (0.5, 0.25, 0.125, 1), 0.1
    made = materials.read_material(material).material
    assert made.base_color == pytest.approx((0.5, 0.25, 0.125, 1)) and made.roughness == pytest.approx(0.1)


def test_a_texture_keeps_its_bytes_and_loses_alpha_that_is_not_connected(material, principled):
    texture = add(material, "ShaderNodeTexImage", image=image())
    link(material, texture.outputs["Color"], principled.inputs["Base Color"])
    made = materials.read_material(material).material
    assert np.array_equal(made.base_color_map[..., :3], np.round(PIXELS[::-1, :, :3] * 255))
    assert (made.base_color_map[..., 3] == 255).all()
    assert made.base_color == pytest.approx((1, 1, 1, 1))
    link(material, texture.outputs["Alpha"], principled.inputs["Alpha"])
    alpha = materials.read_material(material).material.base_color_map[..., 3]
    assert np.array_equal(alpha, np.round(PIXELS[::-1, :, 3] * 255))


def test_linear_pictures_are_encoded(material, principled):
    texture = add(material, "ShaderNodeTexImage", image=image(is_float=True, colorspace="Linear Rec.709"))
    link(material, texture.outputs["Color"], principled.inputs["Base Color"])
    made = materials.read_material(material).material.base_color_map
    assert made[1, 0, 0] == round(255 * (1.055 * 0.2 ** (1 / 2.4) - 0.055))


def test_packed_roughness_and_metallic_as_gltf_imports_them(material, principled):
    texture = add(material, "ShaderNodeTexImage", image=image(colorspace="Non-Color"))
    split = add(material, "ShaderNodeSeparateColor")
    link(material, texture.outputs["Color"], split.inputs["Color"])
    link(material, split.outputs["Green"], principled.inputs["Roughness"])
    link(material, split.outputs["Blue"], principled.inputs["Metallic"])
    made = materials.read_material(material).material
    assert np.array_equal(made.roughness_map, np.round(PIXELS[::-1, :, 1] * 255)) and made.roughness == 1
    assert np.array_equal(made.metallic_map, np.round(PIXELS[::-1, :, 2] * 255)) and made.metallic == 1


def test_gloss_is_inverted_and_factors_multiply(material, principled):
    texture = add(material, "ShaderNodeTexImage", image=image(colorspace="Non-Color"))
    invert = add(material, "ShaderNodeInvert")
    link(material, texture.outputs["Color"], invert.inputs["Color"])
    link(material, invert.outputs["Color"], principled.inputs["Roughness"])
    mix = add(material, "ShaderNodeMix", data_type="RGBA", blend_type="MULTIPLY")
    factor, a, b = [s for s in mix.inputs if s.enabled]
    factor.default_value, b.default_value = 1, (0.5, 0.25, 1, 1)
    link(material, texture.outputs["Color"], a)
    link(material, mix.outputs["Result"], principled.inputs["Base Color"])
    # only the enabled output is the colour's
    link(material, next(o for o in mix.outputs if o.enabled), principled.inputs["Base Color"])
    reading = materials.read_material(material)
    luminance = PIXELS[::-1, :, :3] @ (0.2126, 0.7152, 0.0722)
    assert np.abs(reading.material.roughness_map - 255 * (1 - luminance)).max() <= 1
    linear = srgb_decode(reading.material.base_color_map[..., :3] / 255)
    assert np.allclose(linear, PIXELS[::-1, :, :3] * (0.5, 0.25, 1), atol=0.005) and not reading.notes


def test_normal_maps(material, principled):
    texture = add(material, "ShaderNodeTexImage", image=image(colorspace="Non-Color"))
    normal = add(material, "ShaderNodeNormalMap")
    normal.inputs["Strength"].default_value = 0.5
    link(material, texture.outputs["Color"], normal.inputs["Color"])
    link(material, normal.outputs["Normal"], principled.inputs["Normal"])
    made = materials.read_material(material).material
    assert np.array_equal(made.normal_map, np.round(PIXELS[::-1, :, :3] * 255)) and made.normal_scale == 0.5


def test_what_cannot_be_followed_is_told_and_replaced(material, principled):
    noise = add(material, "ShaderNodeTexNoise")
    link(material, noise.outputs["Color"], principled.inputs["Base Color"])
    link(material, noise.outputs["Fac"], principled.inputs["Roughness"])
    principled.inputs["Base Color"].default_value = (0.3, 0.2, 0.1, 1)
    bump = add(material, "ShaderNodeBump")
    link(material, bump.outputs["Normal"], principled.inputs["Normal"])
    reading = materials.read_material(material)
    assert reading.material.base_color[:3] == pytest.approx((0.3, 0.2, 0.1))
    assert list(reading.computed) == ["Base Color", "Roughness", "Normal"] and not reading.notes
    assert all(note.startswith("Paint: ") for note in reading.computed.values())
    assert "Noise Texture" in reading.computed["Base Color"] and "Bump" in reading.computed["Normal"]


def test_a_glow_has_its_colour_and_strength(material, principled):
    color, strength = (principled.inputs[f"Emission {name}"] for name in ("Color", "Strength"))
    color.default_value = (1, 0.5, 0.25, 1)
    assert not materials.read_material(material).material.glows, "its strength is 0"
    strength.default_value = 40
    made = materials.read_material(material).material
    assert made.emission == pytest.approx((40, 20, 10)) and made.emission_map is None
    texture = add(material, "ShaderNodeTexImage", image=image(is_float=True, colorspace="Linear Rec.709"))
    link(material, texture.outputs["Color"], color)
    reading = materials.read_material(material)
    linear = srgb_decode(reading.material.emission_map[..., :3] / 255) * reading.material.emission
    assert np.allclose(linear, 40 * PIXELS[::-1, :, :3], rtol=0.02, atol=0.01)
    assert not reading.notes and not reading.computed
    link(material, add(material, "ShaderNodeTexNoise").outputs["Fac"], strength)
    assert list(materials.read_material(material).computed) == ["Emission Strength"]


def test_what_only_glows_is_black(material):
    shader = add(material, "ShaderNodeEmission")
    shader.inputs["Color"].default_value, shader.inputs["Strength"].default_value = (0.2, 0.3, 0.4, 1), 5
    link(material, shader.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    reading = materials.read_material(material)
    assert reading.material.emission == pytest.approx((1, 1.5, 2)) and reading.material.base_color == (0, 0, 0, 1)
    assert not reading.notes and not reading.computed


@pytest.mark.parametrize("kind", ["ShaderNodeAddShader", "ShaderNodeMixShader"])
def test_a_glow_among_other_shaders_has_to_be_baked(material, kind):
    both, diffuse, glow = (add(material, each) for each in (kind, "ShaderNodeBsdfDiffuse", "ShaderNodeEmission"))
    diffuse.inputs["Color"].default_value = (0.1, 0.6, 0.1, 1)
    link(material, glow.outputs[0], both.inputs[-2])
    link(material, diffuse.outputs[0], both.inputs[-1])
    link(material, both.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    reading = materials.read_material(material)
    assert reading.material.base_color[:3] == pytest.approx((0.1, 0.6, 0.1)) and not reading.material.glows
    assert list(reading.computed) == [materials.EMISSION] and "mixed" in reading.computed[materials.EMISSION]
    glow.inputs["Strength"].default_value = 0
    assert not materials.read_material(material).computed


@pytest.mark.parametrize("weight, metallic, gloss, told", [
    (1.0, 0.0, 0.1, "takes the place"), (0.4, 0.0, 0.7, "left out"), (1.0, 1.0, 0.7, "left out")])
def test_a_coat_is_the_gloss_of_what_is_no_metal(material, principled, weight, metallic, gloss, told):
    for name, value in (("Roughness", 0.7), ("Coat Roughness", 0.1), ("Coat Weight", weight), ("Metallic", metallic)):
        principled.inputs[name].default_value = value
    reading = materials.read_material(material)
    assert reading.material.roughness == pytest.approx(gloss)
    assert len(reading.notes) == 1 and told in reading.notes[0]
    assert ("Roughness" in reading.missing) is (gloss == 0.1)


@pytest.mark.parametrize("kind, told", [("ShaderNodeBsdfGlass", "opaque"),
                                        ("ShaderNodeSubsurfaceScattering", "Subsurface")])
def test_what_an_asset_is_not_is_told(material, principled, kind, told):
    shader = add(material, kind)
    shader.inputs["Color"].default_value = (0.2, 0.3, 0.4, 1)
    output = material.node_tree.nodes["Material Output"]
    link(material, shader.outputs[0], output.inputs["Surface"])
    link(material, add(material, "ShaderNodeVolumeScatter").outputs[0], output.inputs["Volume"])
    link(material, add(material, "ShaderNodeDisplacement").outputs[0], output.inputs["Displacement"])
    reading = materials.read_material(material)
    assert reading.material.base_color[:3] == pytest.approx((0.2, 0.3, 0.4))
    assert len(reading.notes) == 3
    assert all(word in note for word, note in zip((told, "Volume", "Displacement"), reading.notes))


def test_a_missing_image_is_told(material, principled):
    lost = bpy.data.images.new("Lost", 1, 1)
    lost.source, lost.filepath = "FILE", "//nowhere.png"
    texture = add(material, "ShaderNodeTexImage", image=lost)
    link(material, texture.outputs["Color"], principled.inputs["Base Color"])
    reading = materials.read_material(material)
    assert reading.material.base_color_map is None and "the missing image Lost" in reading.notes[0]
    assert not reading.computed, "it would be baked pink"


@pytest.mark.parametrize("kind, metallic", [("ShaderNodeBsdfDiffuse", 0), ("ShaderNodeBsdfAnisotropic", 1)])
def test_other_shaders_are_read_as_principled(material, principled, kind, metallic):
    shader = add(material, kind)
    shader.inputs["Color"].default_value = (0.2, 0.3, 0.4, 1)
    link(material, shader.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    reading = materials.read_material(material)
    assert reading.material.base_color[:3] == pytest.approx((0.2, 0.3, 0.4)) and reading.material.metallic == metallic
    assert "is read as a Principled BSDF" in reading.notes[0]


def test_a_mix_of_shaders_uses_the_principled_one(material, principled):
    principled.inputs["Base Color"].default_value = (0.1, 0.1, 0.9, 1)
    mix, glass = add(material, "ShaderNodeMixShader"), add(material, "ShaderNodeBsdfGlass")
    link(material, glass.outputs[0], mix.inputs[1])
    link(material, principled.outputs[0], mix.inputs[2])
    link(material, mix.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    reading = materials.read_material(material)
    assert reading.material.base_color[:3] == pytest.approx((0.1, 0.1, 0.9))
    assert "only its Principled" in reading.notes[0]


def test_groups_are_entered_and_left(material, principled):
    """A group with the shader inside; its colour goes out through the group's input to a texture outside."""
    inside = bpy.data.node_groups.new("Painted", "ShaderNodeTree")
    inside.interface.new_socket("Color", in_out="INPUT", socket_type="NodeSocketColor")
    inside.interface.new_socket("Rough", in_out="INPUT", socket_type="NodeSocketFloat")
    inside.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    entry, end, shader, gamma = (inside.nodes.new(kind) for kind in (
        "NodeGroupInput", "NodeGroupOutput", "ShaderNodeBsdfPrincipled", "ShaderNodeGamma"))
    gamma.inputs["Gamma"].default_value = 2
    inside.links.new(entry.outputs["Color"], gamma.inputs["Color"])
    inside.links.new(gamma.outputs[0], shader.inputs["Base Color"])
    inside.links.new(entry.outputs["Rough"], shader.inputs["Roughness"])
    inside.links.new(shader.outputs[0], end.inputs["Shader"])
    group = add(material, "ShaderNodeGroup", node_tree=inside)
    group.inputs["Rough"].default_value = 0.15
    texture = add(material, "ShaderNodeTexImage", image=image(colorspace="Non-Color"))
    link(material, texture.outputs["Color"], group.inputs["Color"])
    link(material, group.outputs[0], material.node_tree.nodes["Material Output"].inputs["Surface"])
    reading = materials.read_material(material)
    made = srgb_decode(reading.material.base_color_map[..., :3] / 255)
    assert np.allclose(made, PIXELS[::-1, :, :3] ** 2, atol=0.01)
    assert reading.material.roughness == pytest.approx(0.15) and not reading.notes


def test_an_empty_tree(material):
    material.node_tree.nodes.clear()
    assert "no surface shader" in materials.read_material(material).notes[0]


def plane(material) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add()
    ob = bpy.context.object
    ob.data.materials.append(material)
    return ob


def test_uv_maps_and_mapping_nodes_reach_the_corners(material, principled):
    ob = plane(material)
    other = ob.data.uv_layers.new(name="Other")
    other.uv.foreach_set("vector", np.full(8, 0.25, np.float32))
    texture, uv, mapping = (add(material, f"ShaderNode{kind}") for kind in ("TexImage", "UVMap", "Mapping"))
    texture.image, texture.extension, uv.uv_map = image(), "EXTEND", "Other"
    mapping.inputs["Scale"].default_value, mapping.inputs["Location"].default_value = (2, 4, 1), (0.5, 0, 0)
    link(material, uv.outputs[0], mapping.inputs[0])
    link(material, mapping.outputs[0], texture.inputs[0])
    link(material, texture.outputs[0], principled.inputs["Base Color"])
    surface = geometry.read_mesh(ob, bpy.context.scene)
    mesh, notes = surface.mesh, surface.notes
    assert np.allclose(mesh.corner_uv, (1.0, 1.0)) and mesh.materials[0].wrap == ("clamp", "clamp") and not notes


def test_color_attributes_tint_only_their_material(material, principled):
    ob = plane(material)
    plain = bpy.data.materials.new("Plain")
    ob.data.materials.append(plain)
    colors = ob.data.color_attributes.new("Tint", "BYTE_COLOR", "CORNER")
    colors.data.foreach_set("color", np.tile(np.float32([0.5, 0.25, 0.125, 0.1]), 4))
    node = add(material, "ShaderNodeVertexColor", layer_name="Tint")
    link(material, node.outputs["Color"], principled.inputs["Base Color"])
    mesh = geometry.read_mesh(ob, bpy.context.scene).mesh
    assert np.allclose(mesh.corner_color, (0.5, 0.25, 0.125, 1), atol=0.01)
    ob.data.polygons[0].material_index = 1
    mesh = geometry.read_mesh(ob, bpy.context.scene).mesh
    assert np.allclose(mesh.corner_color, 1)
