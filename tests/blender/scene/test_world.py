"""Worlds by hand and baked, against Cycles and against arithmetic."""

import time

import bpy
import numpy as np
import pytest
import stage

from near_blender.scene import world as worlds
from near_core.image import write_exr
from near_core.scene import environment
from tests.machine import slowness


def read(wait: float = 120.0) -> worlds.WorldLight:
    """The light of the scene's World, baked where it must be, after what else is on its way."""
    while isinstance(light := worlds.read_light(bpy.context.evaluated_depsgraph_get()), worlds.LightReading):
        assert light.wait(wait)
    return light


def is_baked() -> bool:
    """Whether the scene's World is more than can be read by hand."""
    return worlds.read_by_hand(bpy.context.evaluated_depsgraph_get().scene_eval.world) is None


def bake(world: bpy.types.World, width: int = 512) -> worlds.WorldLight:
    running = worlds.WorldBake(world, 1, width, width)
    assert running.wait(120)
    return running.light()


def texel_directions(width: int) -> np.ndarray:
    azimuth = (0.5 - (np.arange(width) + 0.5) / width) * 2 * np.pi
    elevation = (0.5 - (np.arange(width // 2) + 0.5) / (width // 2)) * np.pi
    c = np.cos(elevation)[:, None]
    return np.stack(np.broadcast_arrays(c * np.cos(azimuth), c * np.sin(azimuth), np.sin(elevation)[:, None]),
                    -1).astype(np.float32)


def mean_radiance(light: environment.Environment) -> np.ndarray:
    """Solid-angle mean (3,)."""
    height = light.map.shape[0]
    weight = np.cos((0.5 - (np.arange(height) + 0.5) / height) * np.pi)
    return light.strength * (light.map.mean(1) * weight[:, None]).sum(0) / weight.sum()


@pytest.mark.parametrize("rotation", [(0, 0, 0), (0, 0, 0.7), (0.3, -0.5, 2.0)])
def test_environment_texture_by_hand_is_what_cycles_sees(scene, rotation):
    stage.set_environment(scene.world, rotation, strength=2.5)
    assert not is_baked()
    ours, cycles = read(), bake(scene.world)
    seen = (ours.backdrop or ours.environment).look_up(texel_directions(512))
    truth = cycles.environment.map
    off = np.abs(seen - truth).max(-1) / (1e-3 + truth.max(-1))
    assert np.median(off) < 1e-3 and (off > 0.02).mean() < 0.001


def test_plain_color(scene):
    stage.set_color(scene.world, (0.2, 0.4, 0.8), 3)
    light = read()
    assert np.allclose(light.environment.look_up(np.float32([[1, 0, 0]])), (0.6, 1.2, 2.4)) and light.backdrop is None


def test_no_world_and_no_nodes(scene):
    scene.world.use_nodes = False
    if scene.world.use_nodes is False:  # Blender 5 knows nothing else than nodes
        scene.world.color = (0.1, 0.2, 0.3)
        assert np.allclose(read().environment.map, (0.1, 0.2, 0.3))
    scene.world = None
    assert not read().environment.map.any()


def test_unconnected_surface_is_black(scene):
    tree = scene.world.node_tree
    tree.links.remove(tree.nodes["World Output"].inputs["Surface"].links[0])
    assert not read().environment.map.any()


def change_location(nodes):
    nodes["Mapping"].inputs["Location"].default_value = (0, 0, 0.5)


def change_scale(nodes):
    nodes["Mapping"].inputs["Scale"].default_value = (1, 1, 2)


def change_type(nodes):
    nodes["Mapping"].vector_type = "TEXTURE"


def change_projection(nodes):
    nodes["TexEnvironment"].projection = "MIRROR_BALL"


def change_mute(nodes):
    nodes["Mapping"].mute = True


def change_coordinate(nodes):
    tree = nodes["Mapping"].id_data
    tree.links.new(nodes["TexCoord"].outputs["Normal"], nodes["Mapping"].inputs["Vector"])


def change_color(nodes):
    tree = nodes["Mapping"].id_data
    gamma = tree.nodes.new("ShaderNodeGamma")
    tree.links.new(nodes["TexEnvironment"].outputs[0], gamma.inputs[0])
    tree.links.new(gamma.outputs[0], nodes["Background"].inputs[0])


@pytest.mark.parametrize("change", [change_location, change_scale, change_type, change_projection, change_mute,
                                    change_coordinate, change_color], ids=lambda f: f.__name__)
def test_every_other_graph_is_baked(scene, change):
    change(stage.set_environment(scene.world))
    assert is_baked()


def test_reroutes_are_followed(scene):
    nodes = stage.set_environment(scene.world)
    tree = scene.world.node_tree
    reroute = tree.nodes.new("NodeReroute")
    tree.links.new(nodes["TexEnvironment"].outputs[0], reroute.inputs[0])
    tree.links.new(reroute.outputs[0], nodes["Background"].inputs[0])
    assert not is_baked()


def test_bake_is_as_sharp_as_its_images(scene):
    change_color(stage.set_environment(scene.world))
    scene.world.near.resolution = "512"
    light = read()
    assert light.environment.map.shape == (256, 512, 3) and light.backdrop.map.shape == (512, 1024, 3)


def test_byte_image_is_baked_and_linear(scene, tmp_path):
    image = bpy.data.images.new("byte", 8, 4)
    image.pixels.foreach_set(np.tile(np.float32([0.5, 0.25, 0.75, 1]), 32))
    image.filepath_raw, image.file_format = str(tmp_path / "byte.png"), "PNG"
    image.save()
    stage.set_environment(scene.world)["TexEnvironment"].image = bpy.data.images.load(image.filepath_raw)
    stored = np.round(np.array([0.5, 0.25, 0.75]) * 255) / 255
    linear = ((stored + 0.055) / 1.055) ** 2.4
    assert np.allclose(mean_radiance(read().environment), linear, rtol=0.01)


def test_sequence_shows_the_picture_of_its_frame(scene, tmp_path):
    for frame, color in enumerate(np.eye(3, dtype=np.float32), 1):
        write_exr(tmp_path / f"q_{frame:04}.exr", {"Combined": np.tile(color, (32, 64, 1))})
    image = bpy.data.images.load(str(tmp_path / "q_0001.exr"))
    image.source = "SEQUENCE"
    node = stage.set_environment(scene.world)["TexEnvironment"]
    node.image, user = image, node.image_user
    user.frame_duration, user.frame_start, user.use_auto_refresh = 3, 1, True
    scene.world.near.resolution = "512"
    for frame in (1, 3):
        scene.frame_set(frame)
        assert np.allclose(mean_radiance(read().environment), np.eye(3)[frame - 1], atol=1e-3)
    image.filepath = str(tmp_path / "gone_0001.exr")
    assert "could not be read" in read().problem


def test_a_bake_is_as_sharp_as_a_sequence(scene, tmp_path):
    write_exr(tmp_path / "q_0001.exr", {"Combined": np.ones((350, 700, 3), np.float32)})
    image = bpy.data.images.load(str(tmp_path / "q_0001.exr"))
    image.source = "SEQUENCE"
    stage.set_environment(scene.world)["TexEnvironment"].image = image
    scene.world.near.resolution = "512"
    assert read().backdrop.map.shape == (350, 700, 3)


@pytest.mark.parametrize("how", ["link", "override", "local"])
def test_linked_world_is_baked_as_it_is(scene, tmp_path, how):
    change_color(stage.set_environment(scene.world))
    scene.world.node_tree.nodes["Gamma"].inputs[1].default_value = 2
    scene.world.name, scene.world.near.resolution = "Studio", "512"
    here = mean_radiance(read().environment)
    bpy.data.libraries.write(str(tmp_path / "studio.blend"), {scene.world}, path_remap="RELATIVE")
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = stage.make_stage()
    with bpy.data.libraries.load(str(tmp_path / "studio.blend"), link=True) as (_, wanted):
        wanted.worlds = ["Studio"]
    (scene.world,) = wanted.worlds
    if how == "override":
        scene.world = scene.world.override_create()
    elif how == "local":
        scene.world = scene.world.copy()  # its picture is still the library's
    assert is_baked() and np.allclose(mean_radiance(read().environment), here, rtol=1e-3)


def test_missing_image_that_does_not_reach_the_output_does_not_matter(scene):
    tree = scene.world.node_tree
    stage.set_environment(scene.world)
    node, background = tree.nodes.new("ShaderNodeTexEnvironment"), tree.nodes.new("ShaderNodeBackground")
    node.image = bpy.data.images.load(str(stage.HDRI / "city.exr"))
    node.image.filepath = "/nowhere/x.exr"
    tree.links.new(node.outputs[0], background.inputs["Color"])
    assert read().environment.map.any() and read().problem == ""
    tree.links.new(background.outputs[0], tree.nodes["World Output"].inputs[0])
    assert "city.exr could not be read" in read().problem


@pytest.mark.parametrize("kind", ["generated", "painted", "packed"])
def test_images_without_a_file_are_baked(scene, tmp_path, kind):
    image = bpy.data.images.new("made", 64, 32, float_buffer=True)
    if kind == "generated":
        image.generated_color = 0.25, 0.5, 0.75, 1
    else:
        image.pixels.foreach_set(np.tile(np.float32([0.25, 0.5, 0.75, 1]), 64 * 32))
    if kind == "packed":
        image.pack()
    nodes = stage.set_environment(scene.world)
    nodes["TexEnvironment"].image = image
    change_color(nodes)
    scene.world.near.resolution = "512"
    assert is_baked() and np.allclose(mean_radiance(read().environment), image.pixels[:3], atol=1e-3)


def make_sky(scene):
    tree = scene.world.node_tree
    sky = tree.nodes.new("ShaderNodeTexSky")
    tree.links.new(sky.outputs[0], tree.nodes["Background"].inputs[0])
    return sky


def test_sky_is_baked_once_and_again_after_a_change(scene):
    sky = make_sky(scene)
    scene.world.near.resolution = "512"
    first = read()
    assert first.environment.map.shape == (256, 512, 3)
    assert read().environment is first.environment, "kept"
    for node in scene.world.node_tree.nodes:
        node.location.x += 100
    assert read().environment is first.environment, "moving nodes about changes no light"
    sky.sun_rotation += 1
    assert isinstance(worlds.read_light(bpy.context.evaluated_depsgraph_get()), worlds.WorldBake)
    moved = read().environment
    assert np.abs(np.array(np.unravel_index(moved.map.sum(-1).argmax(), (256, 512)))
                  - np.unravel_index(first.environment.map.sum(-1).argmax(), (256, 512)))[1] > 50


def test_dragging_a_slider_bakes_one_world_at_a_time(scene):
    sky = make_sky(scene)
    scene.world.near.resolution = "512"
    bakes = []
    for step in range(5):
        sky.sun_rotation = 2 + 0.1 * step
        bakes.append(worlds.read_light(bpy.context.evaluated_depsgraph_get()))
    assert len(set(bakes)) == 1 and bakes[0].wait(120)
    last = worlds.read_light(bpy.context.evaluated_depsgraph_get())
    assert isinstance(last, worlds.WorldBake) and last is not bakes[0] and last.wait(120)
    assert isinstance(worlds.read_light(bpy.context.evaluated_depsgraph_get()), worlds.WorldLight)


def test_sun_in_the_sky_keeps_its_energy(scene):
    make_sky(scene)
    coarse, fine = (mean_radiance(bake(scene.world, width).environment) for width in (256, 512))
    assert np.allclose(coarse, fine, rtol=0.15)
    assert fine.max() > 5, "the sun is most of the light and must not be clipped away"


def make_light_path(scene, lights=(0.1, 0.2, 0.9), seen=(0.9, 0.2, 0.1), group: bool = False):
    tree = scene.world.node_tree
    if group:
        inner = bpy.data.node_groups.new("choice", "ShaderNodeTree")
        inner.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
        holder = tree.nodes.new("ShaderNodeGroup")
        holder.node_tree = inner
        target, source = inner.nodes.new("NodeGroupOutput").inputs[0], holder.outputs[0]
        tree.links.new(source, tree.nodes["Background"].inputs[0])
    else:
        inner, target = tree, tree.nodes["Background"].inputs[0]
    mix, path = inner.nodes.new("ShaderNodeMixRGB"), inner.nodes.new("ShaderNodeLightPath")
    mix.inputs[1].default_value, mix.inputs[2].default_value = (*lights, 1), (*seen, 1)
    inner.links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    inner.links.new(mix.outputs[0], target)


@pytest.mark.parametrize("group", [False, True])
def test_light_path_separates_what_lights_from_what_is_seen(scene, group):
    make_light_path(scene, group=group)
    scene.world.near.resolution = "512"
    light = read()
    assert np.allclose(light.environment.map, (0.1, 0.2, 0.9), atol=1e-4)
    assert np.allclose(light.backdrop.map, (0.9, 0.2, 0.1), atol=1e-4)


def test_light_path_in_a_picture(scene, ball, tmp_path):
    make_light_path(scene, lights=(0, 0, 1), seen=(0, 1, 0))
    scene.world.near.resolution = "512"
    stage.add_asset(ball)
    combined = stage.render(scene, tmp_path)["Combined"]
    assert np.allclose(combined[0, 0], (0, 1, 0, 1), atol=1e-4)
    assert combined[24, 32, 2] > 0.1 and combined[24, 32, 0] < 1e-3


def test_world_hidden_from_the_camera_still_lights(scene):
    stage.set_color(scene.world, (1, 1, 1))
    scene.world.cycles_visibility.camera = False
    light = read()
    assert light.environment.map.all() and not light.backdrop.map.any()


def test_world_without_diffuse_rays_is_only_mirrored(scene):
    stage.set_color(scene.world, (1, 1, 1))
    scene.world.cycles_visibility.diffuse = False
    light = read()
    assert (light.environment.diffuse, light.environment.glossy) == (False, True) and light.backdrop.map.all()


@pytest.mark.parametrize("kind, fog", [("Scatter", (0.1, 0.05, 0)), ("Absorption", (0.1, 0.15, 0.2)),
                                       ("Principled", (0.2, 0.2, 0.2)), ("Info", None)])
def test_a_volume_takes_light_away(scene, kind, fog):
    nodes = scene.world.node_tree.nodes
    assert not worlds.has_volume(bpy.context.evaluated_depsgraph_get()) and read().fog is None
    node = nodes.new(f"ShaderNodeVolume{kind}")
    if fog:
        node.inputs["Density"].default_value, node.inputs["Color"].default_value = 0.2, (0.5, 0.25, 0, 1)
    scene.world.node_tree.links.new(node.outputs[0], nodes["World Output"].inputs["Volume"])
    assert worlds.has_volume(bpy.context.evaluated_depsgraph_get())
    assert read().fog is None if fog is None else read().fog == pytest.approx(fog, abs=1e-6)


def test_animated_strength_is_that_of_the_frame(scene):
    socket = stage.set_environment(scene.world)["Background"].inputs["Strength"]
    for frame, value in ((1, 1.0), (11, 3.0)):
        socket.default_value = value
        socket.keyframe_insert("default_value", frame=frame)
    scene.frame_set(11)
    assert read().environment.strength == pytest.approx(3)


def test_animated_graph_is_baked_for_its_frame(scene):
    gamma = scene.world.node_tree.nodes.new("ShaderNodeGamma")
    tree = scene.world.node_tree
    tree.links.new(gamma.outputs[0], tree.nodes["Background"].inputs[0])
    for frame, value in ((1, 0.0), (11, 1.0)):
        gamma.inputs["Color"].default_value = (value, value, value, 1)
        gamma.inputs["Color"].keyframe_insert("default_value", frame=frame)
    scene.world.near.resolution = "512"
    scene.frame_set(1)
    dark = mean_radiance(read().environment)
    scene.frame_set(11)
    assert np.allclose(dark, 0) and np.allclose(mean_radiance(read().environment), 1, atol=1e-3)


def set_pixels(scene, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    image = bpy.data.images.new("made", width, height, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
    stage.set_environment(scene.world)["TexEnvironment"].image = image


def test_wild_values_and_tiny_images_give_a_sensible_picture(scene, ball, tmp_path):
    stage.add_asset(ball)
    pixels = np.full((16, 32, 4), 0.5, np.float32)
    pixels[3, 4], pixels[5, 6], pixels[7, 8] = np.nan, 1e9, -1e9
    set_pixels(scene, pixels)
    assert np.isfinite(stage.render(scene, tmp_path)["Combined"]).all()
    assert read().environment.look_up(texel_directions(32)).max() == pytest.approx(1e9, rel=0.01)  # as Cycles has it
    set_pixels(scene, np.full((1, 1, 4), 0.5, np.float32))
    assert np.allclose(stage.render(scene, tmp_path)["Combined"][0, 0], (0.5, 0.5, 0.5, 1))


def test_large_images_light_by_a_smaller_map_of_the_same_energy(scene):
    rng = np.random.default_rng(0)
    set_pixels(scene, np.concatenate([rng.random((1000, 3000, 3), np.float32), np.ones((1000, 3000, 1))], -1))
    light = read()
    assert light.environment.map.shape == (341, 1024, 3) and light.backdrop.map.shape == (1000, 3000, 3)
    assert np.allclose(mean_radiance(light.environment), mean_radiance(light.backdrop), rtol=1e-3)


@pytest.mark.timing
def test_reading_a_world_again_costs_nothing(scene):
    stage.set_environment(scene.world)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    worlds.read_light(depsgraph)
    start = time.perf_counter()
    for _ in range(10):
        worlds.read_light(depsgraph)
    assert time.perf_counter() - start < 0.5 * slowness()


def test_a_wide_image_is_read_beside_blender(scene):
    wide = bpy.data.images.new("Wide", 2048, 1024, float_buffer=True)
    pixels = np.random.default_rng(0).random((1024, 2048, 4), np.float32)
    wide.pixels.foreach_set(pixels.ravel())
    stage.set_environment(scene.world)["TexEnvironment"].image = wide
    depsgraph = bpy.context.evaluated_depsgraph_get()
    first = worlds.read_light(depsgraph)
    assert isinstance(first, worlds.LightReading) and first.wait(60) and first.succeeded
    light = worlds.read_light(depsgraph)
    assert isinstance(light, worlds.WorldLight)
    assert np.allclose((light.backdrop or light.environment).map, pixels[::-1, :, :3], atol=1e-6)
