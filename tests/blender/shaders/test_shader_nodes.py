"""Node graphs evaluated in numpy, against Cycles."""

import bpy
import numpy as np
import pytest

from near_blender.shaders import shader_nodes

SIZE = 8


@pytest.fixture
def material() -> bpy.types.Material:
    """A material whose nodes start with two textures, named A and B, of 8 x 8 random colours."""
    material = bpy.data.materials.new("Paint")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    for name, seed in (("A", 0), ("B", 1)):
        image = bpy.data.images.new(name, SIZE, SIZE, alpha=True, float_buffer=True)
        image.colorspace_settings.name = "Non-Color"
        pixels = np.random.default_rng(seed).random((SIZE, SIZE, 4), np.float32)
        pixels[..., 3] = 1
        image.pixels.foreach_set(pixels.ravel())
        texture = nodes.new("ShaderNodeTexImage")
        texture.name, texture.image, texture.interpolation = name, image, "Closest"
    return material


def render(material: bpy.types.Material, output: bpy.types.NodeSocket, folder) -> np.ndarray:
    """What Cycles shows of an output on a square that fills the picture, (8, 8, 3)."""
    nodes, links = material.node_tree.nodes, material.node_tree.links
    emission, end = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(output, emission.inputs["Color"])
    links.new(emission.outputs[0], end.inputs["Surface"])
    bpy.ops.mesh.primitive_plane_add(size=2)
    bpy.context.object.data.materials.append(material)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location.z, scene.camera.data.type, scene.camera.data.ortho_scale = 3, "ORTHO", 2
    render = scene.render
    render.engine, scene.cycles.samples, scene.cycles.use_denoising, render.filter_size = "CYCLES", 1, False, 0.01
    scene.cycles.filter_width = 0.01
    render.resolution_x = render.resolution_y = SIZE
    scene.view_settings.view_transform = "Raw"
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format, render.image_settings.color_depth = "OPEN_EXR", "32"
    render.filepath = str(folder / "seen.exr")
    bpy.ops.render.render(write_still=True)
    seen = bpy.data.images.load(render.filepath)
    return np.array(seen.pixels, np.float32).reshape(SIZE, SIZE, -1)[::-1, :, :3]


def link(material, output, socket) -> None:
    material.node_tree.links.new(output, socket)


def color_ramp(material, node) -> None:
    node.color_ramp.elements[0].color = (1, 0.2, 0, 1)
    node.color_ramp.elements.new(0.4).color = (0, 0.5, 0.3, 1)
    link(material, material.node_tree.nodes["A"].outputs[0], node.inputs[0])


def curves(material, node) -> None:
    node.mapping.curves[0].points.new(0.3, 0.8)
    node.mapping.curves[3].points.new(0.6, 0.2)
    node.mapping.update()
    link(material, material.node_tree.nodes["A"].outputs[0], node.inputs[1])


def set_inputs(*values):
    """Sets a node's inputs by position; "A" and "B" connect a texture, None leaves one alone."""
    def prepare(material, node) -> None:
        enabled = [s for s in node.inputs if s.enabled]
        for socket, value in zip(enabled, values):
            if isinstance(value, str):
                link(material, material.node_tree.nodes[value].outputs[0], socket)
            elif value is not None:
                socket.default_value = value
    return prepare


CASES = {
    "texture": ("ShaderNodeGamma", {}, set_inputs("A", 1.0)),
    "gamma": ("ShaderNodeGamma", {}, set_inputs("A", 2.2)),
    "contrast": ("ShaderNodeBrightContrast", {}, set_inputs("A", 0.1, 0.5)),
    "saturation": ("ShaderNodeHueSaturation", {}, set_inputs(0.5, 0.6, 1.3, 1.0, "A")),
    "invert": ("ShaderNodeInvert", {}, set_inputs(1.0, "A")),
    "ramp": ("ShaderNodeValToRGB", {}, color_ramp),
    "curves": ("ShaderNodeRGBCurve", {}, curves),
    "gray": ("ShaderNodeRGBToBW", {}, set_inputs("A")),
    "clamp": ("ShaderNodeClamp", {}, set_inputs("A", 0.3, 0.6)),
    "map range": ("ShaderNodeMapRange", {}, set_inputs("A", 0.2, 0.7, 1.0, 0.1)),
    "combine": ("ShaderNodeCombineColor", {}, set_inputs("A", "B", 0.25)),
    **{f"mix {blend.lower()}": ("ShaderNodeMix", {"data_type": "RGBA", "blend_type": blend}, set_inputs(0.7, "A", "B"))
       for blend in shader_nodes._BLENDS},
    "mix by a texture": ("ShaderNodeMix", {"data_type": "RGBA"}, set_inputs("B", "A", (0.1, 0.2, 0.9, 1))),
    "mix numbers": ("ShaderNodeMix", {"data_type": "FLOAT"}, set_inputs(0.25, "A", "B")),
    **{f"math {operation.lower()}": ("ShaderNodeMath", {"operation": operation}, set_inputs("A", "B"))
       for operation in shader_nodes._MATH},
}


@pytest.mark.parametrize("kind, settings, prepare", CASES.values(), ids=CASES)
def test_nodes_do_what_cycles_does(material, tmp_path, kind, settings, prepare):
    node = material.node_tree.nodes.new(kind)
    for name, value in settings.items():
        setattr(node, name, value)
    prepare(material, node)
    output = next(o for o in node.outputs if o.enabled)
    end = material.node_tree.nodes.new("ShaderNodeEmission")
    link(material, output, end.inputs["Color"])
    made = np.broadcast_to(shader_nodes.ShaderEvaluator().evaluate(end.inputs["Color"]).color, (SIZE, SIZE, 4))[..., :3]
    seen = render(material, output, tmp_path)
    assert np.abs(made - seen).max() < 0.01


def test_channels_are_separated(material):
    split = material.node_tree.nodes.new("ShaderNodeSeparateColor")
    link(material, material.node_tree.nodes["A"].outputs[0], split.inputs[0])
    pixels = shader_nodes.read_pixels(bpy.data.images["A"])
    for index in range(3):
        math = material.node_tree.nodes.new("ShaderNodeMath")
        math.operation = "ADD"
        link(material, split.outputs[index], math.inputs[0])
        math.inputs[1].default_value = 0
        made = shader_nodes.ShaderEvaluator().math(math, math.outputs[0]).color
        assert np.allclose(made[..., 0], pixels[..., index])


def test_textures_of_other_sizes_meet(material):
    nodes = material.node_tree.nodes
    nodes["B"].image.scale(4, 4)
    mix = nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
    set_inputs(1.0, "A", "B")(material, mix)
    made = shader_nodes.ShaderEvaluator().mix(mix, None).color
    small = shader_nodes.read_pixels(nodes["B"].image)
    assert np.allclose(made, shader_nodes.read_pixels(nodes["A"].image) * small.repeat(2, 0).repeat(2, 1), atol=1e-6)


def test_large_textures_are_scaled_down():
    image = bpy.data.images.new("Large", 2 * shader_nodes.MAX_SIDE, 100)
    image.pixels.foreach_set(np.tile(np.float32([0.5, 0.5, 0.5, 1]), image.size[0] * image.size[1]))
    before = len(bpy.data.images)
    assert shader_nodes.read_pixels(image).shape == (50, shader_nodes.MAX_SIDE, 4)
    assert len(bpy.data.images) == before and tuple(image.size) == (2 * shader_nodes.MAX_SIDE, 100)


@pytest.mark.parametrize("kind", ["ShaderNodeTexNoise", "ShaderNodeFresnel", "ShaderNodeVertexColor"])
def test_what_depends_on_more_than_uvs_is_refused(material, kind):
    node, gamma = (material.node_tree.nodes.new(k) for k in (kind, "ShaderNodeGamma"))
    link(material, node.outputs[0], gamma.inputs[0])
    with pytest.raises(shader_nodes.Unsupported):
        shader_nodes.ShaderEvaluator().gamma(gamma, gamma.outputs[0])
