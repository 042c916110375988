"""What opacity leaves of surfaces that cast shadows."""

import bpy
import numpy as np
import pytest

from near_blender.cycles import cutouts as cycles_cutouts
from near_blender.shaders.shader_nodes import UVLayout

SQUARE = np.array([[(0, 0, 0), (1, 0, 0), (1, 1, 0)], [(0, 0, 0), (1, 1, 0), (0, 1, 0)]], float)


def measure(corners: np.ndarray) -> float:
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()


def make_opacity(solid: np.ndarray, **layout) -> cycles_cutouts.Opacity:
    return cycles_cutouts.Opacity(solid, UVLayout(**layout))


@pytest.mark.parametrize("wrap", ["repeat", "clamp", "mirror"])
def test_what_is_left_is_where_texels_are_solid(wrap):
    solid = np.zeros((64, 64), bool)
    solid[:16] = True  # row 0 is on top
    left = cycles_cutouts.cut(SQUARE, SQUARE[..., :2], make_opacity(solid, wrap=wrap))
    assert measure(left) == pytest.approx(0.25, abs=0.01) and left[..., 1].min() > 0.74
    assert len(left) < 600, "what is all solid is not cut"


def test_many_instances_are_cut_less_finely():
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    disc = make_opacity(x**2 + y**2 < 0.8)
    fine, coarse = (cycles_cutouts.cut(SQUARE, SQUARE[..., :2], disc, most) for most in (10_000, 100))
    assert len(coarse) < 100 < len(fine)
    assert measure(coarse) == pytest.approx(measure(fine), abs=0.05)


def test_textures_repeat_as_often_as_their_mapping_says():
    solid = np.zeros((32, 32), bool)
    solid[:, :8] = True
    scaled = make_opacity(solid, matrix=(2, 0, 0, 0, 1, 0, 0, 0, 1))
    left = cycles_cutouts.cut(SQUARE, SQUARE[..., :2], scaled)
    assert measure(left) == pytest.approx(0.25, abs=0.02)
    middle = left.mean(1)[:, 0]
    assert ((middle < 0.13) | ((middle > 0.49) & (middle < 0.63))).all()


def test_uvs_that_are_no_numbers_are_those_of_a_corner():
    uv = SQUARE[..., :2].copy()
    uv[0, 0] = np.nan, np.inf
    assert 0 < measure(cycles_cutouts.cut(SQUARE, uv, make_opacity(np.eye(8, dtype=bool)))) < 1


@pytest.mark.parametrize("kind", ["BsdfGlass", "BsdfDiffuse", "BsdfPrincipled"])
def test_glass_is_known(material, kind):
    tree = material.node_tree
    shader, mix = tree.nodes.new(f"ShaderNode{kind}"), tree.nodes.new("ShaderNodeMixShader")
    if kind == "BsdfPrincipled":
        shader.inputs["Transmission Weight"].default_value = 1
    tree.links.new(shader.outputs[0], mix.inputs[1])
    tree.links.new(mix.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    found = cycles_cutouts.Opacities().find(material)
    assert found.clear == (kind != "BsdfDiffuse") and found.solid


@pytest.fixture
def material():
    made = bpy.data.materials.new("Leaf")
    made.use_nodes = True
    return made


def test_image_alpha_is_found_in_principled_and_in_mixtures(material):
    tree = material.node_tree
    shader, output = tree.nodes["Principled BSDF"], tree.nodes["Material Output"]
    assert cycles_cutouts.Opacities().find(material).solid
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = bpy.data.images.new("Leaf", 4, 4, alpha=True)
    texture.image.pixels = [0, 0, 0, 1] * 8 + [0, 0, 0, 0] * 8  # the lower half is solid
    tree.links.new(texture.outputs["Alpha"], shader.inputs["Alpha"])
    found = cycles_cutouts.Opacities().find(material)
    assert found.layout == UVLayout() and found.solid.tolist() == [[False] * 4] * 2 + [[True] * 4] * 2
    tree.links.remove(shader.inputs["Alpha"].links[0])
    mix, clear = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfTransparent")
    for start, end in ((texture.outputs["Alpha"], mix.inputs[0]), (shader.outputs[0], mix.inputs[1]),
                       (clear.outputs[0], mix.inputs[2]), (mix.outputs[0], output.inputs["Surface"])):
        tree.links.new(start, end)
    assert cycles_cutouts.Opacities().find(material).solid.tolist() == [[True] * 4] * 2 + [[False] * 4] * 2


def test_what_lets_shadow_rays_pass_casts_none(material):
    tree = material.node_tree
    mix, clear, path = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("MixShader", "BsdfTransparent", "LightPath"))
    for start, end in ((path.outputs["Is Shadow Ray"], mix.inputs[0]), (clear.outputs[0], mix.inputs[2]),
                       (tree.nodes["Principled BSDF"].outputs[0], mix.inputs[1]),
                       (mix.outputs[0], tree.nodes["Material Output"].inputs["Surface"])):
        tree.links.new(start, end)
    assert not cycles_cutouts.Opacities().find(material).solid
