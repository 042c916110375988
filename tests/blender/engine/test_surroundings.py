"""Assets among ordinary things: final pictures that Cycles and NeAR draw together."""

import time
from dataclasses import replace

import bpy
import numpy as np
import pytest
import stage
from asking import halt

from near_blender.client import client, worker_process
from near_blender.engine import engine, ordinary, surroundings
from near_blender.scene import sync
from near_core import cache, errors
from near_core.image import cryptomatte
from near_core.scene import camera
from tests.machine import slowness


@pytest.fixture
def scene(ball, monkeypatch):
    """A ball on a floor, a wall behind it, a grey World; few samples, and probes of few texels."""
    monkeypatch.setattr(surroundings, "LARGE", ((64, 32), 4))
    scene = stage.make_stage()
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    stage.add_asset(ball)
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 2, 0))
    bpy.context.object.name = "Wall"
    bpy.context.object.scale = 4, 0.1, 1
    scene.near.samples, scene.near.denoise = 1, False
    return scene


def test_an_asset_stands_among_ordinary_things(scene, tmp_path):
    layer = scene.view_layers[0]
    stage.show_every_pass(layer)
    layer.use_pass_object_index = layer.use_pass_cryptomatte_object = True
    bpy.data.objects["Asset"].pass_index, bpy.data.objects["Wall"].pass_index = 3, 4
    made = stage.render(scene, tmp_path)
    assert np.allclose(made["Combined"][..., 3], 1, atol=1e-4), "floor, wall and World fill the picture"
    assert made["Combined"][24, 32, 0] > 2 * made["Combined"][24, 32, 1], "the red ball is in the middle"
    assert made["Object Index"][24, 32, 0] == 3 and made["Object Index"][20, 10, 0] == 4
    assert 3.3 < made["Depth"][24, 32, 0] < 4 < made["Depth"][20, 10, 0] < 7
    assert np.allclose(made["Normal"][46, 2], (0, 0, 1), atol=0.05), "the floor looks up"
    assert np.allclose(made["Confidence"][46, 2], 1)
    assert 0.5 < made["Shadow"][30:, :20].mean() < 0.97, "the wall keeps some of the sky from the floor"
    assert np.allclose(made["Base Color"][46, 2], 0.8, atol=0.02) and np.allclose(made["Roughness"][46, 2], 0.5)
    assert np.allclose(made["Base Color"][24, 32], (0.8, 0.1, 0.1), atol=0.03)
    assert np.allclose(made["Roughness"][24, 32], 0.3, atol=0.02)
    covered = sum(made[f"CryptoObject{k:02}"][..., 1::2].sum(-1) for k in range(3))
    assert np.allclose(covered[30:], 1, atol=0.05)


def test_light_goes_both_ways(scene, tmp_path):
    dark = stage.render(scene, tmp_path)["Combined"]
    scene.near.ordinary = "NONE"
    alone = stage.render(scene, tmp_path)["Combined"]
    foot = slice(30, 35), slice(30, 34)
    assert dark[foot][..., 0].mean() < 0.9 * alone[foot][..., 0].mean(), "the floor keeps light from the ball"
    bpy.data.objects["Asset"].hide_render, scene.near.ordinary = True, "CYCLES"
    empty = stage.render(scene, tmp_path)["Combined"]
    below = slice(40, 43), slice(28, 36)
    assert dark[below].mean() < 0.97 * empty[below].mean(), "the ball casts a shadow on the floor"


def test_light_linking_holds_for_what_glows(scene, tmp_path):
    bpy.ops.mesh.primitive_cube_add(size=0.6, location=(-1.4, -1.2, 0))
    lit, plain = bpy.context.object, bpy.data.collections.new("Linked")
    lit.visible_camera = False
    material = bpy.data.materials.new("Light")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = 20
    lit.data.materials.append(material)
    ball = slice(18, 30), slice(26, 38)
    near = stage.render(scene, tmp_path)["Combined"][ball].mean()
    plain.objects.link(bpy.data.objects["Wall"])
    lit.light_linking.receiver_collection = plain
    kept = stage.render(scene, tmp_path)["Combined"][ball].mean()
    bpy.data.objects.remove(lit)
    unlit = stage.render(scene, tmp_path)["Combined"][ball].mean()
    assert kept < 1.1 * unlit < 0.75 * near


def test_materials_are_looked_through_for_what_glows_only_where_light_is_linked(scene, monkeypatch):
    asked, cube = [], (bpy.ops.mesh.primitive_cube_add(), bpy.context.object)[1]
    monkeypatch.setattr(ordinary, "shines", lambda ob: asked.append(ob.name) or False)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    surroundings.OrdinaryThings(depsgraph, sync.collect_assets(depsgraph))
    assert not asked
    cube.light_linking.receiver_collection = bpy.data.collections.new("Linked")
    depsgraph.update()
    surroundings.OrdinaryThings(depsgraph, sync.collect_assets(depsgraph))
    assert asked == [cube.name]


def test_a_probe_looks_out_of_what_an_asset_is_stuck_on(scene, tmp_path):
    free = stage.render(scene, tmp_path)["Combined"][18:30, 26:38]
    bpy.ops.mesh.primitive_cube_add(size=0.5)
    held = stage.render(scene, tmp_path)["Combined"][18:30, 26:38]
    assert np.allclose(held.mean((0, 1)), free.mean((0, 1)), rtol=0.1)


def test_probes_are_renewed_only_where_something_near_changed(scene, tmp_path, monkeypatch):
    asked, probe = [], client.get_cycles().probe

    def count(state, probes, **options):
        asked.append(len(probes))
        return probe(state, probes, **options)

    monkeypatch.setattr(client.get_cycles(), "probe", count)
    surroundings.forget()
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 90, 0))
    far = bpy.context.object
    stage.render(scene, tmp_path)
    scene.camera.location.x += 0.1
    stage.render(scene, tmp_path)
    far.location.x += 1
    stage.render(scene, tmp_path)
    assert asked == [1]
    bpy.data.objects["Wall"].location.x += 1
    stage.render(scene, tmp_path)
    assert asked == [1, 1]


def test_light_is_there_however_little_is_kept(scene, ball, tmp_path, monkeypatch):
    stage.add_asset(ball, location=(-1.2, 0, 0))
    monkeypatch.setattr(surroundings, "_probes", cache.RecentResults(1, lambda probe: probe.nbytes))
    first = stage.render(scene, tmp_path)["Combined"]
    assert len(surroundings._probes) == 1
    assert np.abs(stage.render(scene, tmp_path)["Combined"] - first).mean() < 0.01


def test_border_is_the_crop_of_the_full_picture(scene, tmp_path):
    full = stage.render(scene, tmp_path)["Combined"]
    render = scene.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.2, 0.77, 0.4, 1.0
    part = stage.render(scene, tmp_path)["Combined"]
    window = slice(0, 48 - int(0.4 * 48)), slice(int(0.2 * 64), int(0.77 * 64))
    assert part.shape == full[window].shape
    assert np.median(np.abs(part - full[window])) < 0.05, "but for noise"


def test_film_is_transparent_where_nothing_is(scene, tmp_path):
    scene.render.film_transparent = True
    alpha = stage.render(scene, tmp_path)["Combined"][..., 3]
    assert alpha[2, 2] == 0 and alpha[24, 32] > 0.97 and alpha[46, 2] == 1


def test_without_ordinary_objects_no_second_blender_starts(scene, tmp_path):
    client.get_cycles().stop()
    for ob in [ob for ob in scene.objects if ob.name in ("Plane", "Wall")]:
        bpy.data.objects.remove(ob)
    stage.render(scene, tmp_path)
    assert not client.get_cycles().hello


def add_post(x: float = 0.0) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=1, location=(x, -1.5, 0))
    post = bpy.context.object
    post.name, post.scale = "Post", (0.1, 0.02, 4)
    return post


@pytest.mark.parametrize("kind", ["post", "joined", "cable", "slanted"])
def test_what_is_thinner_than_a_pixel_is_in_front_too(scene, tmp_path, kind):
    """Something that shines, 0.3 pixels wide, beside the middles of all pixels, and of one mesh with the floor."""
    scene.near.samples = 64
    material, width = bpy.data.materials.new("Light"), 0.3 * 36 / 50 * 2.5 / 64
    material.use_nodes = True
    light = material.node_tree.nodes["Principled BSDF"].inputs
    light["Emission Color"].default_value, light["Emission Strength"].default_value = (0, 1, 0, 1), 5
    if kind == "cable":
        curve = bpy.data.curves.new("Cable", "CURVE")
        curve.dimensions, curve.bevel_depth = "3D", width / 2
        spline = curve.splines.new("POLY")
        spline.points.add(9)
        for number, point in enumerate(spline.points):
            point.co = 0, -1.5, (number - 4.5) / 2, 1
        post = bpy.data.objects.new("Cable", curve)
        scene.collection.objects.link(post)
    else:
        post = add_post()
        post.scale = width, width, 4
        post.rotation_euler.y = 0.15 * (kind == "slanted")
    post.data.materials.append(material)
    if kind == "joined":
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
        bpy.context.object.data.materials.append(bpy.data.materials.new("Floor"))
        post.select_set(True)
        bpy.ops.object.join()
    made = stage.render(scene, tmp_path)["Combined"][..., 1]
    light["Emission Strength"].default_value = 0
    dark = stage.render(scene, tmp_path)["Combined"][..., 1]
    before_sky, before_ball = ((made - dark)[rows, 24:40].sum(1).mean() for rows in (slice(2, 8), slice(19, 29)))
    assert before_ball == pytest.approx(before_sky, rel=0.2) and before_sky == pytest.approx(0.3 * 5, rel=0.2)


def test_an_asset_beside_the_picture_needs_nothing_before_it(scene, tmp_path):
    bpy.data.objects["Asset"].location.x = 30
    bpy.data.objects["Plane"].scale = 3, 3, 1  # reaches behind the camera
    made = stage.render(scene, tmp_path)["Combined"]
    assert 0.1 < made[40, 32, 0] == pytest.approx(made[40, 32, 1], rel=0.05), "the floor is there, the red ball is not"


def test_what_is_in_front_covers_an_asset_with_clean_edges(scene, tmp_path):
    scene.near.samples = 64
    layer = scene.view_layers[0]
    layer.use_pass_cryptomatte_object = layer.use_pass_z = layer.near.use_pass_base_color = True
    add_post()
    made = stage.render(scene, tmp_path)
    assert np.allclose(made["Depth"][24, 32], 2.5, atol=0.1)
    assert np.allclose(made["Base Color"][24, 29], (0.8, 0.1, 0.1), atol=0.03), "beside the post"
    pairs = np.concatenate([made[f"CryptoObject{k:02}"] for k in range(3)], -1).reshape(48, 64, 6, 2)
    post, asset = (np.where(pairs[..., 0] == cryptomatte.compute_id(name), pairs[..., 1], 0).sum(-1)[24]
                   for name in ("Post", "Asset"))
    assert post[32] > 0.96 and asset[32] < 0.04 and asset[28] > 0.95 and post[28] < 0.01
    edge = (post > 0.05) & (post < 0.95)
    assert 1 <= edge.sum() <= 4 and np.allclose((post + asset)[edge], 1, atol=0.05), "nothing shines through an edge"


def test_what_is_half_transparent_lets_an_asset_through(scene, tmp_path):
    clear = stage.render(scene, tmp_path)["Combined"][24, 32]
    post = add_post()
    material = bpy.data.materials.new("Half")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Alpha"].default_value, shader.inputs["Base Color"].default_value = 0.25, (0, 0, 1, 1)
    post.data.materials.append(material)
    scene.near.samples = 64
    half = stage.render(scene, tmp_path)["Combined"][24, 32]
    assert 0.4 * clear[0] < half[0] < 0.7 * clear[0], "two faces cover a quarter each"


def test_a_holdout_cuts_out_what_is_behind_it(scene, ball, tmp_path):
    scene.render.film_transparent = True
    surfels = replace(ball.surfels, emission=np.full_like(ball.surfels.position, 9))
    hole = stage.add_asset(replace(ball, surfels=surfels), "Hole", (0, -1, 0))
    hole.scale, hole.is_holdout = (0.3, 0.3, 0.3), True
    made = stage.render(scene, tmp_path)["Combined"]
    assert made[24, 32].max() < 0.03 and made[24, 22, 3] > 0.95 and made[46, 2, 3] == 1
    scene.near.ordinary = "NONE"
    alone = stage.render(scene, tmp_path)["Combined"]
    assert alone[24, 32].max() < 0.03 and alone[24, 22, 3] > 0.95


def test_what_only_acts_on_light_is_left_to_cycles(scene, tmp_path):
    scene.render.film_transparent = True
    bpy.data.objects["Asset"].visible_camera = False
    for name in ("Wall", "Plane"):
        bpy.data.objects[name].is_shadow_catcher = name == "Plane"
    bpy.data.objects.remove(bpy.data.objects["Wall"])
    alpha = stage.render(scene, tmp_path)["Combined"][..., 3]
    assert alpha[10, 32] == 0, "the ball is unseen"
    assert alpha[40:44, 28:36].mean() > alpha[40:44, 2:8].mean() + 0.03, "its shadow is caught"


def test_a_shadow_catcher_says_what_a_floor_does(scene, tmp_path):
    """Its alpha is faint, and Cycles itself says twice what a catcher is made of."""
    stage.show_every_pass(scene.view_layers[0])
    scene.render.film_transparent, scene.near.samples = True, 8
    bpy.data.objects.remove(bpy.data.objects["Wall"])
    floor = stage.render(scene, tmp_path)
    bpy.data.objects["Plane"].is_shadow_catcher = True
    made, ground = stage.render(scene, tmp_path), np.s_[27:]
    assert made["Combined"][46, 2, 3] < 0.1 and floor["Combined"][46, 2, 3] == 1
    for name in ("Base Color", "Roughness", "Metallic", "Confidence", "Normal"):
        np.testing.assert_allclose(made[name][ground], floor[name][ground], atol=0.02, err_msg=name)
    assert made["Shadow"].max() < 1.01
    np.testing.assert_allclose(made["Shadow"][ground], floor["Shadow"][ground], atol=0.35)
    assert abs(made["Shadow"][ground].mean() - floor["Shadow"][ground].mean()) < 0.02


def test_without_the_second_blender_assets_are_drawn_alone(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(client.get_cycles(), "_command", lambda folder: ["false"])
    client.get_cycles().stop()
    made = stage.render(scene, tmp_path)["Combined"]
    assert made[24, 32, 0] > 2 * made[24, 32, 1] and np.allclose(made[46, 2], (0.5, 0.5, 0.5, 1), atol=1e-3)


def test_view_layers_and_eyes_see_their_own(scene, tmp_path):
    scene.render.use_multiview = True
    scene.camera.data.stereo.convergence_mode, scene.camera.data.stereo.interocular_distance = "PARALLEL", 0.5
    collection = bpy.data.collections.new("Second")
    scene.collection.children.link(collection)
    wall = bpy.data.objects["Wall"]
    scene.collection.objects.unlink(wall)
    collection.objects.link(wall)
    scene.view_layers.new("Without").layer_collection.children["Second"].exclude = True
    for layer in scene.view_layers:
        layer.use_pass_z = True
    stage.set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    scene.render.image_settings.views_format = "MULTIVIEW"
    made = stage.render(scene, tmp_path)
    left, right = (made[f"ViewLayer.Depth.{side}"][20, :, 0] for side in ("left", "right"))
    assert left[6] < 8 and made["Without.Depth.left"][20, 6, 0] > 8, "the wall is in one layer only"
    ball = [np.flatnonzero(row < 4).mean() for row in (left, right)]
    assert ball[0] > ball[1] + 4, "the right eye sees the ball farther left"
    assert np.flatnonzero(left < 8)[0] > np.flatnonzero(right < 8)[0], "and the wall"


def test_one_material_for_all_covers_assets_too(scene, tmp_path):
    layer = scene.view_layers[0]
    layer.material_override = bpy.data.materials.new("Grey")
    made = stage.render(scene, tmp_path)["Combined"][24, 32]
    assert 0.1 < made[0] < 1.2 * made[1] and made[1] < 1.2 * made[0], "the red ball is grey"
    layer.material_override, layer.use_solid = None, False
    assert np.allclose(stage.render(scene, tmp_path)["Combined"], (0.5, 0.5, 0.5, 1), atol=1e-3), "nothing is solid"


def test_a_layer_without_sky_is_dark(scene, tmp_path):
    scene.view_layers[0].use_sky = False
    made = stage.render(scene, tmp_path)["Combined"]
    assert made[..., :3].max() < 1e-3 and made[..., 3].min() == 1


def test_frames_of_an_animation_follow_what_moves(scene, tmp_path):
    post = add_post()
    for frame, x in ((1, -0.6), (2, 0.6)):
        post.location.x = x
        post.keyframe_insert("location", frame=frame)
    scene.view_layers[0].use_pass_z = True
    stage.set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    scene.render.filepath, scene.frame_start, scene.frame_end = str(tmp_path / "a_"), 1, 2
    bpy.ops.render.render(animation=True)
    middles = [np.flatnonzero(np.abs(stage.read(tmp_path / f"a_{k:04}.exr")["Depth"][2, :, 0] - 2.5) < 0.3).mean()
               for k in (1, 2)]
    assert middles[0] < 25 and middles[1] > 38


@pytest.mark.parametrize("kind", ["object", "collection", "material"])
def test_an_ordinary_holdout_cuts_the_asset_behind_it(scene, tmp_path, kind):
    scene.render.film_transparent = True
    post = add_post()
    if kind == "object":
        post.is_holdout = True
    elif kind == "collection":
        home = bpy.data.collections.new("Held")
        scene.collection.children.link(home)
        home.objects.link(post)
        scene.collection.objects.unlink(post)
        scene.view_layers[0].layer_collection.children["Held"].holdout = True
    else:
        material = bpy.data.materials.new("Hole")
        material.use_nodes = True
        tree = material.node_tree
        tree.links.new(tree.nodes.new("ShaderNodeHoldout").outputs[0], tree.get_output_node("CYCLES").inputs["Surface"])
        post.data.materials.append(material)
    made = stage.render(scene, tmp_path)["Combined"]
    assert made[24, 32].max() < 0.05 and made[24, 27, 3] > 0.95 and made[24, 27, 0] > 2 * made[24, 27, 1]


def test_only_what_is_before_an_asset_is_drawn_again():
    made = {"Combined": np.zeros((48, 64, 4), np.float32), "Depth": np.full((48, 64, 1), 4, np.float32)}
    behind = {"Depth": np.full((48, 64, 1), 5, np.float32)}
    made["Combined"][10:40, 10:50] = 1
    assert surroundings.find_front(made, behind, 0.01, np.inf) is None
    behind["Depth"][20:25, 30:33] = 2
    assert surroundings.find_front(made, behind, 0.01, np.inf) == (28, 18, 35, 27)
    behind["Depth"][39, 12:20], made["Combined"][39, 12:20] = 3.9, 0.3  # the ground at its foot
    assert surroundings.find_front(made, behind, 0.01, np.inf) == (28, 18, 35, 27)
    assert surroundings.find_front(made, behind, 0.01, 0.0) == (8, 8, 52, 42), "what is half seen through is anywhere"


def test_boxes_are_in_front_where_the_camera_sees_them():
    view, box = camera.orbit(0, 0, 4, 90, 64, 48), np.array(
        [(x, y, z) for x in (-0.5, 0.5) for y in (-2, -1) for z in (-0.5, 0.5)])
    nearest = surroundings.measure_nearest(np.array([box, box - (0, 9, 0)]), view)
    covered = np.argwhere(nearest == 2)
    assert np.isinf(nearest[24, 4]) and nearest[24, 32] == 2
    assert covered.min(0) == pytest.approx((24 - 8, 32 - 8), abs=3) and covered.max(0) == pytest.approx((31, 39), abs=3)
    assert (surroundings.measure_nearest(box[None] - (0, 2.5, 0), view) == 0).all(), "the camera is in it"
    assert np.isinf(surroundings.measure_nearest(np.empty((0, 8, 3)), view)).all()


def test_what_fails_is_told_though_it_stops_the_other_part(scene, tmp_path, monkeypatch, capfd):
    truth = stage.render(scene, tmp_path)
    failed = worker_process.JobHandle(client.get_cycles(), {"id": 0}, {})
    failed.finish(error=errors.NearError("It is out of order.", "Wait."))
    monkeypatch.setattr(surroundings.OrdinaryThings, "ask_picture", lambda *_: failed)
    halt(client.get_worker().check(60)["pid"])  # the other part would never end
    made = stage.render(scene, tmp_path)
    assert "left out. It is out of order." in capfd.readouterr().out
    assert made["Combined"].shape == truth["Combined"].shape and made["Combined"][..., 3].max() > 0.5


@pytest.mark.timing
def test_escape_stops_both_parts_at_once(scene, tmp_path, monkeypatch):
    stage.render(scene, tmp_path)
    scene.near.samples, scene.render.resolution_percentage = 4096, 800
    pressed = time.monotonic() + 2
    monkeypatch.setattr(engine.NearRenderEngine, "_is_stopped", lambda self: time.monotonic() > pressed)
    bpy.ops.render.render()
    assert time.monotonic() - pressed < 0.6 * slowness()
