"""The passes of light: that they add up to the picture, and that each is what Cycles makes of the same things."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.cycles import jobs as cycles_jobs
from near_core.render import light_passes

ALL = [*light_passes.NAMES]


def want_light(layer) -> None:
    for kind in ("diffuse", "glossy", "transmission"):
        for part in ("direct", "indirect", "color"):
            setattr(layer, f"use_pass_{kind}_{part}", True)
    layer.use_pass_emit = layer.use_pass_environment = True
    layer.cycles.use_pass_volume_direct = layer.cycles.use_pass_volume_indirect = True


def add_up(made: dict[str, np.ndarray]) -> np.ndarray:
    whole = sum(made[name] for name in ("Volume Direct", "Volume Indirect", "Emission", "Environment"))
    for kind in light_passes.KINDS:
        whole = whole + (made[f"{kind} Direct"] + made[f"{kind} Indirect"]) * made[f"{kind} Color"]
    return whole


@pytest.fixture
def scene(ball):
    """A ball under an area lamp in a grey World, every pass of light."""
    scene = stage.make_stage()
    stage.add_asset(ball)
    bpy.ops.object.light_add(type="AREA", location=(-1.5, -2, 2))
    lamp = bpy.context.object
    lamp.rotation_euler, lamp.data.energy, lamp.data.size = (0.9, 0, -0.6), 80, 0.5
    stage.set_color(scene.world, (0.2, 0.3, 0.4))
    scene.near.samples, scene.near.denoise = 4, False
    want_light(scene.view_layers[0])
    return scene


def add_material(ob, **values):
    material = bpy.data.materials.new(ob.name)
    material.use_nodes = True
    for name, value in values.items():
        material.node_tree.nodes["Principled BSDF"].inputs[name.replace("_", " ")].default_value = value
    ob.data.materials.append(material)
    return material.node_tree


def add_things() -> None:
    """A floor, a cube that glows in front of the ball, glass beside it, a thin one, and fog."""
    bpy.context.scene.cycles.volume_bounces = 1
    bpy.ops.mesh.primitive_plane_add(size=2, location=(-1, 1, 0), rotation=(1.4, 0, 0.5))
    tree = add_material(bpy.context.object)
    shader = tree.nodes.new("ShaderNodeBsdfRefraction")
    tree.links.new(shader.outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.68))
    add_material(bpy.context.object, Base_Color=(0.2, 0.7, 0.3, 1))
    bpy.ops.mesh.primitive_cube_add(size=0.4, location=(0.4, -0.9, -0.4))
    add_material(bpy.context.object, Emission_Color=(1, 0.5, 0, 1), Emission_Strength=0.7, Metallic=0.6)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.4, location=(-1, -0.4, -0.2))
    add_material(bpy.context.object, Transmission_Weight=1.0, Roughness=0.05)
    bpy.ops.mesh.primitive_cube_add(size=0.8, location=(1.1, 0.4, 0))
    tree = add_material(bpy.context.object)
    volume = tree.nodes.new("ShaderNodeVolumeScatter")
    tree.links.new(volume.outputs[0], tree.get_output_node("CYCLES").inputs["Volume"])
    tree.links.remove(tree.get_output_node("CYCLES").inputs["Surface"].links[0])


@pytest.mark.parametrize("among", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("quality", ["FINAL", "DRAFT"])
def test_they_add_up_to_the_picture(scene, tmp_path, among, transparent, quality):
    scene.near.quality, scene.render.film_transparent, scene.cycles.film_exposure = quality, transparent, 1.3
    if among:
        add_things()
    made = stage.render(scene, tmp_path)
    seen = add_up(made) - (made["Environment"] if transparent else 0)
    assert np.abs(seen - made["Combined"][..., :3]).max() < 1 / 255
    shown = {name for name in ALL if made[name].max() > 1e-3}
    assert shown == (set(ALL) if among else {"Diffuse Direct", "Diffuse Color", "Glossy Direct", "Glossy Color",
                                             "Environment"})


def test_a_blurred_picture_and_one_with_a_divided_world_add_up(scene, tmp_path):
    add_things()
    ob = bpy.data.objects["Asset"]
    scene.render.use_motion_blur = True
    for frame, x in ((0, -0.2), (2, 0.2)):
        ob.location.x = x
        ob.keyframe_insert("location", frame=frame)
    scene.world.cycles_visibility.diffuse = False
    made = stage.render(scene, tmp_path)
    assert np.abs(add_up(made) - made["Combined"][..., :3]).max() < 1 / 255


def draw_with_cycles(scene, folder):
    """The passes of Cycles, with a ball of mesh in the asset's place."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.675, segments=64, ring_count=32)
    bpy.ops.object.shade_smooth()
    add_material(bpy.context.object, Base_Color=(0.8, 0.1, 0.1, 1), Roughness=0.3)
    bpy.data.objects["Asset"].hide_render = True
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 256, False
    return stage.render(scene, folder, "truth")


@pytest.mark.parametrize("among", [False, True])
def test_each_is_that_of_cycles(scene, tmp_path, among):
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
        add_material(bpy.context.object, Base_Color=(0.2, 0.7, 0.3, 1), Roughness=0.8)
    scene.near.samples = 64
    made = stage.render(scene, tmp_path)
    truth = draw_with_cycles(scene, tmp_path)
    assert {*made} == {*truth}
    middle = np.s_[14:32, 24:40]  # of the ball, all of it red
    for name in ALL:
        ours, theirs = (each[name][middle] for each in (made, truth))
        assert np.allclose(ours.mean((0, 1)), theirs.mean((0, 1)), rtol=0.06, atol=0.003), name
        assert np.abs(ours - theirs).mean() < 0.1 * theirs.mean() + 0.003, name
    for kind in "Diffuse", "Glossy":
        assert (truth[f"{kind} Indirect"][middle].mean() > 0.03) == among, "there is something to see"


def test_light_without_the_color_that_it_needs(scene, tmp_path):
    """One pass alone is what it is among all."""
    add_things()
    layer = scene.view_layers[0]
    made = stage.render(scene, tmp_path)["Diffuse Indirect"]
    for name in ALL:
        owner, _, switch = cycles_jobs.PASSES[name][0].rpartition(".")
        setattr(layer.cycles if owner else layer, switch, name == "Diffuse Indirect")
    alone = stage.render(scene, tmp_path)
    assert "Diffuse Color" not in alone and alone.keys() & {*ALL} == {"Diffuse Indirect"}
    np.testing.assert_allclose(alone["Diffuse Indirect"], made, atol=1e-4)


def test_old_compositor_trees_keep_their_links(scene, tmp_path):
    """Nodes that were linked while Cycles was the engine are linked still, and put the picture together."""
    scene.render.engine = "CYCLES"
    tree, out = make_tree(scene)
    source = tree.nodes.new("CompositorNodeRLayers")
    old = bpy.app.version < (5, 0, 0)
    called = {name: cycles_jobs.PASSES[name][1][not old] for name in ALL}
    mix = [tree.nodes.new("CompositorNodeMixRGB" if old else "ShaderNodeMix") for _ in range(2)]
    for node in mix:
        if not old:
            node.data_type = "RGBA"
        node.blend_type = "ADD"
    add, times = mix
    times.blend_type = "MULTIPLY"
    for node, *names in ((add, "Diffuse Direct", "Diffuse Indirect"), (times, None, "Diffuse Color")):
        factor, one, other = (node.inputs[k] for k in ((0, 1, 2) if old else (0, 6, 7)))
        factor.default_value = 1
        for socket, name in ((one, names[0]), (other, names[1])):
            tree.links.new(source.outputs[called[name]] if name else add.outputs[0 if old else 2], socket)
    tree.links.new(times.outputs[0 if old else 2], out.inputs[0])
    scene.render.engine, scene.render.use_compositing = "NEAR", False
    made = stage.render(scene, tmp_path)
    scene.render.use_compositing = True
    stage.set_format(scene, "OPEN_EXR", "32")
    scene.render.filepath = str(tmp_path / "whole.exr")
    bpy.ops.render.render(write_still=True)
    whole = stage.read(tmp_path / "whole.exr")[""][..., :3]
    wanted = (made["Diffuse Direct"] + made["Diffuse Indirect"]) * made["Diffuse Color"]
    assert wanted.max() > 0.3
    np.testing.assert_allclose(whole, wanted, atol=1e-3)


def make_tree(scene):
    """Empty compositing nodes, and what they end in."""
    if bpy.app.version >= (5, 0, 0):
        tree = scene.compositing_node_group = bpy.data.node_groups.new("c", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        return tree, tree.nodes.new("NodeGroupOutput")
    scene.use_nodes = True
    scene.node_tree.nodes.clear()
    return scene.node_tree, scene.node_tree.nodes.new("CompositorNodeComposite")


def add_groups(scene) -> list[str]:
    """The World, the lamp, and what glows, if anything does, each in a light group of its own."""
    for name in ("sky", "key light", "glow"):
        bpy.ops.scene.view_layer_add_lightgroup(name=name)
    scene.world.lightgroup = "sky"
    for ob in bpy.data.objects:
        ob.lightgroup = "key light" if ob.type == "LIGHT" else "glow"
    return [f"Combined_{name}" for name in ("sky", "key light", "glow")]


@pytest.mark.parametrize("among", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
def test_light_groups_add_up_to_the_picture(scene, tmp_path, among, transparent):
    scene.render.film_transparent, scene.cycles.film_exposure = transparent, 1.3
    if among:
        add_things()
    groups = add_groups(scene)
    made = stage.render(scene, tmp_path)
    seen = sum(made[name] for name in groups) - (made["Environment"] if transparent else 0)
    assert np.abs(seen - made["Combined"][..., :3]).max() < 1 / 255
    assert [name for name in groups if made[name].max() > 0.01] == groups[:3 if among else 2]
    whole = seen[14:32, 24:40].mean()
    assert all(0.05 * whole < made[name][14:32, 24:40].mean() < 0.9 * whole for name in groups[:2])


@pytest.mark.parametrize("among", [False, True])
def test_light_groups_are_those_of_cycles(scene, tmp_path, among):
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
        add_material(bpy.context.object, Base_Color=(0.2, 0.7, 0.3, 1), Roughness=0.8)
        bpy.ops.mesh.primitive_cube_add(size=0.4, location=(-1, -1, -0.3))
        add_material(bpy.context.object, Emission_Color=(1, 0.3, 0, 1), Emission_Strength=4)
    groups = add_groups(scene)
    scene.near.samples = 64
    made = stage.render(scene, tmp_path)
    truth = draw_with_cycles(scene, tmp_path)
    assert {*made} == {*truth}
    middle = np.s_[14:32, 24:40]  # of the ball, all of it red
    for name in groups[:3 if among else 2]:
        ours, theirs = (each[name][middle] for each in (made, truth))
        assert theirs.mean() > 0.01
        assert np.allclose(ours.mean((0, 1)), theirs.mean((0, 1)), rtol=0.06, atol=0.003), name
        off = (ours - theirs).reshape(6, 3, 4, 4, 3).mean((1, 3))  # the truth of what glows is noisy
        assert np.abs(off).mean() < 0.1 * theirs.mean() + 0.003, name


def test_an_object_that_changes_its_light_group_is_seen_in_the_other(scene, tmp_path):
    add_things()
    groups = add_groups(scene)
    lamp = next(ob for ob in bpy.data.objects if ob.type == "LIGHT")
    before = stage.render(scene, tmp_path)
    lamp.lightgroup = "glow"
    after = stage.render(scene, tmp_path)
    assert before[groups[1]].mean() > 0.05 and after[groups[1]].max() == 0
    assert after[groups[2]].mean() > before[groups[2]].mean() + 0.05


def test_a_light_group_whose_pass_has_no_name_is_left_out(scene, tmp_path):
    """Blender cuts the names of passes off."""
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    for name in ("x" * 60, "short"):
        bpy.ops.scene.view_layer_add_lightgroup(name=name)
    scene.world.lightgroup = "x" * 60
    made = stage.render(scene, tmp_path)
    assert [name for name in made if name.startswith("Combined_")] == ["Combined_short"]
    assert made["Diffuse Color"][44, 10].min() > 0.5, "the plane is there"
