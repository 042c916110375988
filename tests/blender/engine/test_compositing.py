"""Neural assets in a Cycles render, through the artist's own compositor, and nothing left of it afterwards."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.engine import compositing, passes
from near_blender.scene import sync


@pytest.fixture
def scene(ball):
    """A ball, whose front is red, above a floor, with a card before its lower left."""
    scene = stage.make_stage(64, 48)
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    stage.add_asset(ball, "Ball")
    add_plane("Floor", 6, (0, 0, -0.8))
    add_plane("Card", 0.6, (-0.4, -1.2, -0.3)).rotation_euler.x = 1.57
    return scene


def add_plane(name: str, size: float, location) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=size, location=location)
    bpy.context.object.name = name
    return bpy.context.object


def describe(scene: bpy.types.Scene) -> list:
    """What the two clicks may change, in the whole file."""
    tree = compositing._find_tree(scene)
    nodes = [] if tree is None else [(node.name, node.bl_idname, *node.location) for node in tree.nodes]
    links = [] if tree is None else sorted((link.from_node.name, link.from_socket.name, link.to_node.name,
                                            link.to_socket.identifier) for link in tree.links)
    return [nodes, links, [each.name for each in bpy.data.scenes], [ob.visible_camera for ob in bpy.data.objects],
            [layer.use_pass_z for layer in scene.view_layers], scene.render.use_compositing, len(bpy.data.node_groups)]


def draw(scene: bpy.types.Scene, folder, name: str = "picture") -> np.ndarray:
    """What the compositor hands on (H, W, 4), linear."""
    stage.set_format(scene, "OPEN_EXR", "32")
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = str(folder / f"{name}.exr")
    bpy.ops.render.render(write_still=True)
    return stage.read(folder / f"{name}.exr")[""]


def add_grading(scene: bpy.types.Scene, node_name: str = "Invert"):
    """The artist's own nodes: the render, inverted."""
    tree = compositing._make_tree(scene)
    source = next(node for node in tree.nodes if node.type == "R_LAYERS")
    invert = tree.nodes.new("CompositorNodeInvert")
    for target in [link.to_socket for link in source.outputs["Image"].links]:
        tree.links.new(invert.outputs[0], target)
    tree.links.new(source.outputs["Image"], next(s for s in invert.inputs if s.type == "RGBA"))
    return tree, source, invert


def test_assets_are_drawn_by_near_and_ordinary_things_by_cycles(scene, tmp_path):
    plain = draw(scene, tmp_path, "plain")
    bpy.ops.near.build_compositing()
    merged = draw(scene, tmp_path)
    scene.render.engine = "NEAR"
    bpy.data.objects["Floor"].hide_render = bpy.data.objects["Card"].hide_render = True
    alone = draw(scene, tmp_path, "alone")
    front, card, floor, feet = np.s_[18:22, 30:34], np.s_[30:33, 24:28], np.s_[42:, 45:], np.s_[40:42, 32:36]
    assert np.allclose(merged[front], alone[front], atol=0.05), "the ball's front is NeAR's"
    assert np.allclose(merged[8:27, 26:48], alone[8:27, 26:48], atol=0.06), "its outline is as fine as NeAR's"
    assert np.allclose(merged[card], plain[card], atol=0.05) and not np.allclose(alone[card], plain[card], atol=0.1)
    assert merged[feet].mean() < 0.8 * merged[floor].mean(), "the proxy, unseen, still takes light from the floor"


def test_ordinary_things_light_the_assets_too(scene, tmp_path):
    stage.set_color(scene.world, (0, 0, 0))
    material = bpy.data.objects["Card"].data.materials
    material.append(bpy.data.materials.new("Glow"))
    material[0].use_nodes = True
    principled = material[0].node_tree.nodes["Principled BSDF"]
    principled.inputs["Emission Color"].default_value, principled.inputs["Emission Strength"].default_value = (
        (1, 1, 1, 1), 20)
    bpy.ops.near.build_compositing()
    assert draw(scene, tmp_path)[18:22, 30:34, 0].mean() > 0.1, "the ball's red front"


@pytest.mark.parametrize("own_nodes", [False, True])
def test_second_click_takes_exactly_that_away(scene, own_nodes):
    if own_nodes:
        add_grading(scene)
    before = describe(scene)
    assert bpy.ops.near.build_compositing() == {"FINISHED"}
    during = describe(scene)
    assert all(a != b for a, b in zip(before[1:5], during[1:5]))
    assert bpy.ops.near.build_compositing() == {"FINISHED"}
    assert describe(scene) == before


def test_nodes_that_were_there_work_on_the_merged_picture(scene, tmp_path):
    bpy.ops.near.build_compositing()
    merged = draw(scene, tmp_path)
    bpy.ops.near.build_compositing()
    tree, source, invert = add_grading(scene)
    bpy.ops.near.build_compositing()
    assert np.allclose(draw(scene, tmp_path)[..., :3], 1 - merged[..., :3], atol=0.02)
    later = tree.nodes.new("CompositorNodeBlur")  # what the artist adds meanwhile stays connected
    over = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeAlphaOver")
    tree.links.new(over.outputs[0], later.inputs[0])
    bpy.ops.near.build_compositing()
    assert later.inputs[0].links[0].from_node == source


def test_the_companion_draws_no_pass_of_light_that_the_artist_has(scene):
    layer = scene.view_layers[0]
    layer.use_pass_diffuse_indirect = layer.use_pass_emit = layer.cycles.use_pass_volume_direct = True
    bpy.ops.scene.view_layer_add_lightgroup(name="key")
    compositing.build(scene)
    assert [group.name for group in layer.lightgroups] == ["key"]
    assert set(passes.list_wanted(compositing.find_companion(scene).view_layers[0])) == {"Combined", "Depth"}
    assert {"Diffuse Indirect", "Emission", "Volume Direct"} <= {*passes.list_wanted(layer)}


def test_companion_follows_the_artist(scene, ball):
    bpy.ops.near.build_compositing()
    companion = compositing.find_companion(scene)
    assert (companion.render.engine, companion.render.film_transparent) == ("NEAR", True)
    other = bpy.data.objects.new("Other", bpy.data.cameras.new("Other"))
    scene.collection.objects.link(other)
    scene.camera, scene.world, scene.frame_end = other, bpy.data.worlds.new("Dark"), 12
    scene.render.resolution_x, scene.render.use_border, scene.render.use_simplify = 32, True, True
    bpy.context.view_layer.use_sky = False
    asset = stage.add_asset(ball, "Later")
    bpy.context.collection.objects.unlink(bpy.data.objects["Floor"])
    bpy.context.view_layer.update()
    assert (companion.camera, companion.world, companion.frame_end) == (other, scene.world, 12)
    assert (companion.render.resolution_x, companion.render.use_border) == (32, True)
    assert companion.render.use_simplify and not companion.view_layers[0].use_sky
    assert "Floor" in companion.objects
    assert not bpy.app.timers.is_registered(compositing._catch_up), "which Blender 4's module would not end with"
    compositing._catch_up()  # as Blender does where it has a window, once the scene is evaluated
    bpy.context.view_layer.update()
    assert "Floor" not in companion.objects and asset.name in companion.objects


def test_companion_exposes_as_the_artists_engine_does(scene, tmp_path):
    """Cycles has an exposure, a filter and bounces of its own; EEVEE and Workbench know none of them."""
    bpy.ops.near.build_compositing()
    companion = compositing.find_companion(scene)
    before = draw(scene, tmp_path, "before")
    scene.cycles.film_exposure = 2
    ratio = draw(scene, tmp_path, "after")[..., :3].mean((0, 1)) / before[..., :3].mean((0, 1))
    np.testing.assert_allclose(ratio, 2, rtol=0.03)
    scene.cycles.film_exposure, scene.cycles.filter_width, scene.cycles.max_bounces = 2.5, 1.0, 0
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, 0.25
    bpy.context.view_layer.use_motion_blur = False
    compositing.follow(scene, companion)
    assert (sync.find_exposure(companion), sync.find_filter_width(companion)) == (2.5, 1.0)
    assert sync.count_bounces(companion) == {"diffuse_bounces": 0, "glossy_bounces": 0}
    assert (companion.render.use_motion_blur, companion.render.motion_blur_shutter) == (True, 0.25)
    assert not companion.view_layers[0].use_motion_blur
    scene.render.engine, scene.render.filter_size = "BLENDER_WORKBENCH", 2.0
    compositing.follow(scene, companion)
    assert (sync.find_exposure(companion), sync.find_filter_width(companion)) == (1.0, 2.0)


@pytest.mark.parametrize("kind", ["FULL_COPY", "LINK_COPY"])
def test_a_copied_scene_has_a_companion_of_its_own(scene, tmp_path, kind):
    bpy.ops.near.build_compositing()
    before = draw(scene, tmp_path, "before")
    bpy.ops.scene.new(type=kind)
    copy = bpy.context.scene
    if kind == "FULL_COPY":
        next(ob for ob in copy.objects if ob.near.asset is not None).location.x = 0.8
    compositing._catch_up()
    companion = compositing.find_companion(copy)
    shown = {node.scene for node in compositing._find_tree(copy).nodes if node.type == "R_LAYERS"}
    assert companion is not None and shown == {copy, companion}
    moved = np.abs(draw(copy, tmp_path, "copy") - before).max() > 0.2
    assert moved == (kind == "FULL_COPY"), "each draws its own assets"
    bpy.ops.near.build_compositing()
    assert compositing.find_companion(copy) is None and compositing.find_companion(scene) is not None
    bpy.context.window.scene = scene
    assert np.array_equal(draw(scene, tmp_path, "after"), before)


def test_a_scene_that_a_script_copies_leaves_the_first_ones_nodes(scene):
    """Blender 5 gives it the same nodes."""
    bpy.ops.near.build_compositing()
    copy = scene.copy()
    compositing._catch_up()
    shown = {node.scene for node in compositing._find_tree(scene).nodes if node.type == "R_LAYERS"}
    assert shown == {scene, compositing.find_companion(scene)} and copy not in shown


@pytest.mark.parametrize("has_window", [True, False])
def test_a_deleted_scene_takes_its_companion_along(scene, tmp_path, has_window):
    bpy.ops.near.build_compositing()
    other, ball = bpy.data.scenes.new("Other"), bpy.data.objects["Ball"]
    other.collection.objects.link(ball)
    bpy.context.window.scene = other
    bpy.data.scenes.remove(scene)
    assert len(bpy.data.scenes) == 2 and not ball.visible_camera
    bpy.context.view_layer.update()
    if has_window:
        compositing._catch_up()
    else:
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert list(bpy.data.scenes) == [other] and ball.visible_camera and not ball.near.is_composited


def test_the_last_scene_is_the_artists(scene):
    bpy.ops.near.build_compositing()
    companion = compositing.find_companion(scene)
    bpy.data.scenes.remove(scene)
    compositing._catch_up()
    bpy.data.scenes.new("Other")
    compositing._catch_up()
    assert companion in set(bpy.data.scenes) and len(bpy.data.scenes) == 2


def test_asset_that_is_added_later_is_left_to_the_companion(scene):
    bpy.ops.near.build_compositing()
    bpy.ops.near.add_sample()
    sample = bpy.context.object
    assert not sample.visible_camera
    bpy.ops.near.build_compositing()
    assert sample.visible_camera


@pytest.mark.parametrize("has_window", [True, False])
def test_an_appended_asset_is_drawn_once(scene, ball, tmp_path, has_window):
    bpy.ops.near.build_compositing()
    before = draw(scene, tmp_path, "before")
    other = stage.add_asset(ball, "Other", (0.3, 1.5, 0))  # as Append and the Asset Browser do
    if has_window:
        compositing._catch_up()
    draw(scene, tmp_path)
    assert not other.visible_camera and other in set(compositing.find_companion(scene).objects)
    bpy.data.objects.remove(other)
    assert np.allclose(draw(scene, tmp_path, "after"), before, atol=1e-3)


def test_an_asset_that_the_artist_hid_stays_hidden(scene, ball):
    hidden = stage.add_asset(ball, "Hidden")
    hidden.visible_camera = False
    bpy.ops.near.build_compositing()
    bpy.ops.near.build_compositing()
    assert not hidden.visible_camera


def test_undo_takes_it_away_and_redo_brings_it_back(scene):
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.near.build_compositing()
    bpy.ops.ed.undo_push(message="built")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert compositing.find_companion(scene) is None and bpy.data.objects["Ball"].visible_camera
    bpy.ops.ed.redo()
    assert compositing.find_companion(bpy.context.scene) is not None


@pytest.mark.parametrize("spoil, words", [
    (lambda scene: bpy.data.objects.remove(bpy.data.objects["Ball"]), "no neural asset"),
    (lambda scene: compositing._make_tree(scene).nodes.remove(
        next(n for n in compositing._find_tree(scene).nodes if n.type == "R_LAYERS")), "do not use this scene"),
    (lambda scene: setattr(scene.render, "engine", "NEAR"), "NeAR draws this scene already")])
def test_where_it_cannot_be_set_up_nothing_changes(scene, spoil, words):
    spoil(scene)
    before = describe(scene)
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.near.build_compositing()
    assert describe(scene) == before
