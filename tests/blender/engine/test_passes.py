"""Passes of the whole picture: who is seen where."""

import json
from dataclasses import replace

import bpy
import numpy as np
import OpenEXR
import pytest
import stage

from near_blender.engine import passes
from near_core.image import cryptomatte


@pytest.fixture
def scene(ball):
    """Two balls side by side, one half hidden by the other, with every pass that says who is seen."""
    scene = stage.make_stage()
    scene.render.film_transparent = True
    for name, location, index in (("Near", (0.3, -0.5, 0), 3), ("Far", (-0.3, 0.5, 0), 4)):
        ob = stage.add_asset(ball, name, location)
        ob.pass_index, ob.active_material.pass_index = index, index + 10
    layer = scene.view_layers[0]
    layer.use_pass_object_index = layer.use_pass_material_index = layer.use_pass_cryptomatte_object = True
    return scene


def coverage(made: dict[str, np.ndarray], name: str, kind: str = "CryptoObject") -> np.ndarray:
    """What a Cryptomatte's reader finds of an object, a material or an asset."""
    ranks = np.concatenate([made[f"{kind}{k:02}"] for k in range(3)], -1)
    pairs = ranks.reshape(*ranks.shape[:2], 6, 2)
    return np.where(pairs[..., 0] == cryptomatte.compute_id(name), pairs[..., 1], 0).sum(-1)


def test_indexes_and_cryptomatte_say_who_is_seen(scene, tmp_path):
    made = stage.render(scene, tmp_path)
    near, far = coverage(made, "Near"), coverage(made, "Far")
    np.testing.assert_allclose(near + far, made["Combined"][..., 3], atol=1e-3)
    assert near[24, 40] > 0.95 and far[24, 18] > 0.95 and far[24, 36] < 0.05
    for number, name in ((3, near), (4, far)):
        clear = name > 0.6
        assert clear.sum() > 50 and (made["Object Index"][clear] == number).all()
        assert (made["Material Index"][clear] == number + 10).all()
    assert made["Object Index"][0, 0] == 0
    with OpenEXR.File(str(tmp_path / "picture.exr"), header_only=True) as file:
        said = {key: value for part in file.parts for key, value in part.header.items() if "cryptomatte" in key}
    manifest = json.loads(next(value for key, value in said.items() if key.endswith("manifest")))
    assert manifest.keys() == {"Near", "Far"}


@pytest.mark.parametrize("kind,called", [("CryptoObject", "Far"), ("CryptoMaterial", "Skin"), ("CryptoAsset", "Root")])
def test_blenders_cryptomatte_node_finds_what_is_there(scene, tmp_path, kind, called):
    root = bpy.data.objects.new("Root", None)
    scene.collection.objects.link(root)
    far, layer = bpy.data.objects["Far"], scene.view_layers[0]
    far.parent, far.active_material.name = root, "Skin"
    layer.use_pass_cryptomatte_material = layer.use_pass_cryptomatte_asset = True
    if bpy.app.version >= (5, 0, 0):
        tree = bpy.data.node_groups.new("c", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        out = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        out = tree.nodes.new("CompositorNodeComposite")
    node = tree.nodes.new("CompositorNodeCryptomatteV2")
    node.scene = scene
    node.layer_name, node.matte_id = f"{layer.name}.{kind}", called
    tree.links.new(node.outputs["Matte"], out.inputs[0])
    stage.set_format(scene, "OPEN_EXR", "32")
    scene.render.filepath = str(tmp_path / "matte.exr")
    bpy.ops.render.render(write_still=True)
    matte = stage.read(tmp_path / "matte.exr")[""][..., 0]
    assert matte[24, 18] > 0.95 and matte[24, 40] < 0.05 and 50 < matte.sum() < 400


def test_levels_are_the_view_layers(scene, tmp_path):
    scene.view_layers[0].pass_cryptomatte_depth = 2
    made = stage.render(scene, tmp_path)
    assert {name for name in made if name.startswith("Crypto")} == {"CryptoObject00"}
    assert passes.list_neural(passes.list_wanted(scene.view_layers[0])) == ("Combined", "Instances")


def test_the_films_exposure_counts_for_what_glows_too(ball, tmp_path):
    """The ball by NeAR, the cube beside it by Cycles; their passes are one picture."""
    scene = stage.make_stage()
    stage.add_asset(replace(ball, surfels=replace(ball.surfels, emission=np.full_like(ball.surfels.position, 0.5))))
    bpy.ops.mesh.primitive_cube_add(size=0.5, location=(1, 0, 0))
    material = bpy.data.materials.new("Glow")
    material.use_nodes = True
    bpy.context.object.data.materials.append(material)
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Emission Color"].default_value, inputs["Emission Strength"].default_value = (1, 1, 1, 1), 0.5
    scene.near.samples, scene.near.denoise = 4, False
    layer = scene.view_layers[0]
    layer.use_pass_emit = layer.near.use_pass_shadow = layer.near.use_pass_base_color = True
    one = stage.render(scene, tmp_path)
    scene.cycles.film_exposure = 2
    two = stage.render(scene, tmp_path)
    ball_, cube = np.s_[22:26, 28:36], np.s_[26:28, 52:56]
    for part in ball_, cube:
        assert np.allclose(one["Emission"][part], 0.5, rtol=0.02)
    for name, times in (("Combined", 2), ("Emission", 2), ("Shadow", 1), ("Base Color", 1)):
        for part in ball_, cube:
            assert np.allclose(two[name][part][..., :3], times * one[name][part][..., :3], rtol=0.02, atol=1e-4), name


def test_vectors_are_cycles_own(ball, tmp_path):
    """Of a ball that moves, turns and comes nearer, before a camera that moves, and of an ordinary thing behind it."""
    scene = stage.make_stage()
    ob = stage.add_asset(ball)
    bpy.ops.mesh.primitive_cube_add(size=0.6, location=(1.2, 1, 0))
    other = bpy.context.object
    for frame, place in ((1, (0, 0, 0)), (3, (0.4, -0.3, 0.2))):
        ob.location, ob.rotation_euler = place, (0, 0, 0.1 * frame)
        other.location = 1.2, 1, place[0]
        scene.camera.location.z = 0.5 + 0.05 * frame
        ob.keyframe_insert("rotation_euler", frame=frame)
        for each in (ob, other, scene.camera):
            each.keyframe_insert("location", frame=frame)
    scene.frame_set(2)
    compare_vectors(scene, tmp_path, [slice(0, 36), slice(44, 64)])  # the ball, and the cube


def test_vectors_follow_what_bends(ball, tmp_path):
    """Two copies of one, whose shape key and modifier go on, and which stands still as an object."""
    scene = stage.make_stage()
    ob = stage.add_asset(ball, location=(-0.6, 0, 0))
    ob.scale = 0.6, 0.6, 0.6
    ob.shape_key_add(name="Basis")
    key = ob.shape_key_add(name="Lifted")
    for point in key.data:
        point.co.z += point.co.x ** 2
    array, twist = ob.modifiers.new("Array", "ARRAY"), ob.modifiers.new("Twist", "SIMPLE_DEFORM")
    array.relative_offset_displace[0] = 1.5
    twist.deform_method, twist.deform_axis = "TWIST", "X"
    for frame in (1, 3):
        key.value, twist.angle = 0.5 * (frame - 1), 0.3 * frame
        key.keyframe_insert("value", frame=frame)
        twist.keyframe_insert("angle", frame=frame)
    scene.frame_set(2)
    compare_vectors(scene, tmp_path, [slice(0, 32), slice(32, 64)])


def compare_vectors(scene, folder, parts: list[slice]) -> None:
    """Of the frame before Cycles' own, in some columns each."""
    layer = scene.view_layers[0]
    layer.use_pass_vector = layer.use_pass_z = scene.render.film_transparent = True
    made = stage.render(scene, folder)
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    truth = stage.render(scene, folder, "truth")
    assert made["Vector"].shape[-1] == 4
    for inside in parts:
        own, theirs = made["Vector"][:, inside], truth["Vector"][:, inside]
        solid = (made["Combined"][:, inside, 3] > 0.99) & (truth["Combined"][:, inside, 3] > 0.99)
        assert solid.sum() > 20 and np.abs(theirs[solid]).max() > 1
        assert np.median(np.abs(own - theirs)[solid]) < 0.1 and np.abs(own - theirs)[solid].max() < 1


def test_cryptomattes_are_cycles_own(ball, tmp_path):
    """Of materials and assets: what hangs on something else, what has two materials, and what has none."""
    scene = stage.make_stage()
    scene.render.film_transparent, scene.near.samples, scene.near.denoise = True, 16, False
    root = bpy.data.objects.new("Root", None)
    scene.collection.objects.link(root)
    joint = bpy.data.objects.new("Joint", None)
    scene.collection.objects.link(joint)
    joint.parent = root
    asset = stage.add_asset(ball)
    asset.parent, asset.active_material.name = joint, "Skin"
    for name, place in (("Bare", (-1.2, 0, 0)), ("Two", (1.2, 0, 0)), ("Post", (0.1, -1, 0))):
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=place)
        bpy.context.object.name = name
    two = bpy.data.objects["Two"]
    two.parent = joint
    for name in ("Red", "Blue"):
        two.data.materials.append(bpy.data.materials.new(name))
    two.data.polygons[0].material_index = two.data.polygons[1].material_index = 1
    layer = scene.view_layers[0]
    for kind in ("object", "material", "asset"):
        setattr(layer, f"use_pass_cryptomatte_{kind}", True)
    layer.near.use_pass_base_color = True  # which gives what has no material one
    made = stage.render(scene, tmp_path)
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 16, "CPU"
    scene.cycles.use_denoising = False
    truth = stage.render(scene, tmp_path, "truth")
    layers = {name for name in truth if name.startswith("Crypto")}
    assert len(layers) == 9 and layers == {name for name in made if name.startswith("Crypto")}
    assert list_letters(tmp_path / "picture.exr", "Crypto") == list_letters(tmp_path / "truth.exr", "Crypto")
    for kind, names in (("CryptoMaterial", ("Skin", "default_surface", "Red", "Blue")),
                        ("CryptoAsset", ("Root", "Bare", "Post")), ("CryptoObject", ("Asset", "Bare", "Post", "Two"))):
        for name in names:
            own, theirs = coverage(made, name, kind), coverage(truth, name, kind)
            assert theirs.sum() > 15 and np.abs(own - theirs).mean() < 0.01, (kind, name)
            assert own.sum() == pytest.approx(theirs.sum(), rel=0.08), (kind, name)
        said, theirs = (read_manifest(tmp_path / f"{file}.exr", kind) for file in ("picture", "truth"))
        assert set(names) <= said.keys() and all(said[name] == theirs[name] for name in names)


def list_letters(path, *passes: str) -> set[str]:
    """Channels of these passes, as the file has them."""
    with OpenEXR.File(str(path), separate_channels=True, header_only=True) as file:
        return {name for part in file.parts for name in part.channels if any(each in name for each in passes)}


def read_manifest(path, kind: str) -> dict[str, str]:
    with OpenEXR.File(str(path), header_only=True) as file:
        said = {key: value for part in file.parts for key, value in part.header.items() if "cryptomatte" in key}
    prefix = next(key[:-len("name")] for key, value in said.items() if key.endswith("/name") and value.endswith(kind))
    assert {key.rpartition("/")[2] for key in said if key.startswith(prefix)} == {
        "name", "hash", "conversion", "manifest"}
    return json.loads(said[f"{prefix}manifest"])


@pytest.mark.parametrize("alone", [False, True])
def test_aovs_and_uv_of_ordinary_things_are_cycles_own(ball, tmp_path, alone):
    """Before an asset, behind it and beside it; the asset has none, and hides what is behind."""
    scene = stage.make_stage()
    asset = stage.add_asset(ball)
    scene.render.film_transparent, scene.near.samples, scene.near.denoise = True, 64, False
    layer = scene.view_layers[0]
    layer.use_pass_uv = True
    for name, kind in (("Wear", "VALUE"), ("Paint", "COLOR"), ("Emit", "VALUE"), ("Confidence", "VALUE")):
        aov = layer.aovs.add()
        aov.name, aov.type = name, kind
    layer.near.use_pass_confidence = True
    if not alone:
        add_painted()
    made = stage.render(scene, tmp_path)
    assert "Emit" not in made, "one with the name of another pass is left out"
    assert made["Wear"].shape[-1] == 1 and made["Paint"].shape[-1] == 4 and made["UV"].shape[-1] == 3
    if alone:
        assert not any(made[name].any() for name in ("Wear", "Paint", "UV"))
        return
    asset.hide_render = True
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.675, segments=64, ring_count=32)
    bpy.context.object.data.uv_layers.remove(bpy.context.object.data.uv_layers[0])
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 64, False
    truth = stage.render(scene, tmp_path, "truth")
    for name in ("Wear", "Paint", "UV"):
        assert np.ptp(truth[name]) > 0.7 and 0.1 < (truth[name].max(-1) > 0.1).mean() < 0.9
        off = np.abs(made[name] - truth[name])
        assert off.mean() < 0.01 and np.quantile(off, 0.95) < 0.03, name
    assert list_letters(tmp_path / "picture.exr", "UV", "Wear", "Paint") == list_letters(
        tmp_path / "truth.exr", "UV", "Wear", "Paint")


def add_painted() -> None:
    """A wall and a post with AOVs in their material."""
    material = bpy.data.materials.new("Painted")
    material.use_nodes = True
    tree = material.node_tree
    for name, value in (("Wear", 0.75), ("Paint", (0.9, 0.2, 0.1, 1))):
        node = tree.nodes.new("ShaderNodeOutputAOV")
        node.aov_name = name
        node.inputs["Color" if name == "Paint" else "Value"].default_value = value
    tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.9
    for size, place in ((1.6, (0.7, 1.5, 0)), (0.3, (-0.2, -1, 0))):
        bpy.ops.mesh.primitive_cube_add(size=size, location=place)
        bpy.context.object.data.materials.append(material)


def test_what_is_switched_on_later_is_there_at_the_next_f12(ball, tmp_path):
    """Though Cycles keeps what it has been given."""
    scene = stage.make_stage()
    asset = stage.add_asset(ball, location=(0, 3, 0))
    scene.near.samples, scene.near.denoise = 1, False
    add_painted()
    assert not {"Wear", "UV"} & stage.render(scene, tmp_path).keys()
    scene.view_layers[0].use_pass_uv, asset.location.y = True, 3.5  # a probe without UV comes first
    first = stage.render(scene, tmp_path)["UV"]
    aov = scene.view_layers[0].aovs.add()
    aov.name, aov.type = "Wear", "VALUE"
    made = stage.render(scene, tmp_path)
    painted = made["Wear"][..., 0] > 0.7
    assert painted.sum() > 200 and (made["UV"][painted, 2] > 0.99).all() and (first[painted, 2] > 0.99).all()
