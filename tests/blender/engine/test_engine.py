"""Final renders by the engine in Blender."""

import math
import threading
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import stage

from near_blender.asset import payload
from near_blender.client import client, worker_process
from near_blender.engine import engine
from near_blender.scene import sync, world
from near_blender.scene.world_light import WorldLight
from near_core import asset as assets
from near_core.asset import CELL
from near_core.engine import Engine
from near_core.scene import PASSES, Instance, Settings
from tests.surfaces import dress, lay

SEES_THROUGH = 0.03  # a surface a few pixels wide lets a fiftieth of what is behind it through


@pytest.fixture(scope="session")
def box() -> assets.NeuralAsset:
    """A blue cube, 0.6 wide."""
    square = np.stack(np.meshgrid(*[(np.arange(80) + 0.5) / 80 - 0.5] * 2), -1).reshape(-1, 2)
    flat = np.concatenate([square, np.full((len(square), 1), 0.5)], 1)
    position = np.concatenate([np.roll(flat * sign, axis, 1) for axis in range(3) for sign in (1, -1)]) * 0.6
    normal = np.where(np.abs(position) > 0.299999, np.sign(position), 0).astype(np.float32)
    return dress(lay(position, normal, (0.1, 0.1, 0.8), area=(0.6 / 80 / CELL) ** 2), name="Box", model="near-mini")


def test_every_pass_reaches_the_file(scene, ball, tmp_path):
    stage.add_asset(ball)
    stage.show_every_pass(scene.view_layers[0])
    passes = stage.render(scene, tmp_path)
    hit = passes["Confidence"][..., 0] > 0.99
    assert set(PASSES) <= set(passes) and 0.1 < hit.mean() < 0.9
    assert (passes["Depth"][0, 0] == 1e10).all() and 3.3 < passes["Depth"][hit].min() < passes["Depth"][hit].max() < 4.1
    assert np.allclose(np.linalg.norm(passes["Normal"][hit], axis=1), 1, atol=0.02)
    assert np.allclose(passes["Base Color"][24, 32], (0.8, 0.1, 0.1), atol=0.02), "the ball's front is red"
    assert np.allclose(passes["Roughness"][hit], 0.3, atol=0.01) and np.allclose(passes["Metallic"][hit], 0, atol=0.01)
    assert passes["Normal"][10, 32, 2] > 0.5, "row 0 must be the top"


def test_only_wanted_passes_are_written(scene, ball, tmp_path):
    stage.add_asset(ball)
    scene.view_layers[0].near.use_pass_shadow = True
    assert set(stage.render(scene, tmp_path)) == {"Combined", "Shadow"}


def test_picture_is_near_cores(scene, ball, tmp_path):
    ob = stage.add_asset(ball, location=(0.3, 0.2, 0.1))
    ob.rotation_euler, ob.scale = (0.3, 0.2, 1), (1, 0.7, 1.2)
    stage.set_environment(scene.world, rotation=(0, 0, 1), strength=2)
    combined = stage.render(scene, tmp_path)["Combined"]
    depsgraph = bpy.context.evaluated_depsgraph_get()
    camera = sync.convert_camera(scene.camera.data, np.array(scene.camera.matrix_world), 64, 48)
    matrix = np.array(ob.matrix_world) @ np.diag([1.5, 1.5, 1.5, 1])
    stored = assets.from_bytes(assets.to_bytes(ball))
    here = Engine().render([Instance(stored, matrix)], camera, world.read_light(depsgraph).environment,
                           Settings(background=True))
    assert np.abs(combined - here["Combined"]).max() < 2e-3


@pytest.mark.parametrize("crop", [False, True])
def test_border_is_the_crop_of_the_full_picture(scene, ball, tmp_path, crop):
    stage.add_asset(ball)
    stage.set_environment(scene.world)
    stage.show_every_pass(scene.view_layers[0])
    full = stage.render(scene, tmp_path, "full")
    render = scene.render
    render.use_border, render.use_crop_to_border = True, crop
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.2, 0.77, 0.4, 1.0
    part = stage.render(scene, tmp_path, "part")
    window = slice(0, 48 - int(0.4 * 48)), slice(int(0.2 * 64), int(0.77 * 64))
    for name in full:
        inside = part[name] if crop else part[name][window]
        assert inside.shape == full[name][window].shape
        # surfels that hardly any pixel of the window sees are not shaded, which shows a little at thin edges
        assert np.abs(inside - full[name][window]).max() < 4e-3, name
    if not crop:
        part["Combined"][window] = 0
        assert (part["Combined"] == 0).all(), "nothing is drawn outside the border"


@pytest.mark.parametrize("low, high", [(0, 0.7), (0.29, 0.58), (0.1, 0.3)])
def test_border_ends_where_blender_has_it(scene, tmp_path, low, high):
    scene.render.resolution_x = scene.render.resolution_y = 100
    scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x = scene.render.border_min_y = low
    scene.render.border_max_x = scene.render.border_max_y = high
    ours = stage.render(scene, tmp_path, "ours")["Combined"]
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    assert ours.shape == stage.render(scene, tmp_path, "theirs")["Combined"].shape and (ours[..., 3] == 1).all()


def test_percentage_and_orthographic_camera(scene, ball, tmp_path):
    stage.add_asset(ball)
    scene.render.film_transparent = True
    scene.render.resolution_percentage = 200
    scene.camera.data.type, scene.camera.data.ortho_scale = "ORTHO", 3.0
    alpha = stage.render(scene, tmp_path)["Combined"][..., 3]
    assert alpha.shape == (96, 128)
    assert math.sqrt(alpha.sum() / math.pi) == pytest.approx(0.45 * 1.5 / 3 * 128, rel=0.03), "radius in pixels"


def test_nearer_asset_hides_the_one_behind(scene, ball, box, tmp_path):
    stage.add_asset(ball, "Ball", (0, 0, 0))
    block = stage.add_asset(box, "Block", (0, -1.2, 0.15))
    stage.show_every_pass(scene.view_layers[0])
    front = stage.render(scene, tmp_path)["Base Color"]
    assert np.allclose(front[24, 32], (0.1, 0.1, 0.8), atol=SEES_THROUGH)
    block.location.y = 1.2
    behind = stage.render(scene, tmp_path)["Base Color"]
    assert np.allclose(behind[24, 32], (0.8, 0.1, 0.1), atol=SEES_THROUGH)


def test_order_of_objects_does_not_matter(scene, ball, box, tmp_path):
    stage.set_environment(scene.world)
    first, second = stage.add_asset(ball, "A"), stage.add_asset(box, "B", (0.4, -0.5, 0.3))
    one = stage.render(scene, tmp_path)["Combined"]
    for ob in (first, second):
        scene.collection.objects.unlink(ob)
    for ob in (second, first):
        scene.collection.objects.link(ob)
    assert np.abs(stage.render(scene, tmp_path)["Combined"] - one).max() < 1e-4


def test_hidden_objects_and_collections_are_not_drawn(scene, ball, tmp_path):
    scene.render.film_transparent = True
    ob = stage.add_asset(ball)
    ob.hide_render = True
    assert stage.render(scene, tmp_path)["Combined"].max() == 0
    ob.hide_render = False
    ob.hide_viewport = True
    assert stage.render(scene, tmp_path)["Combined"].max() > 0, "the viewport's eye does not hide from renders"
    ob.hide_viewport, ob.visible_camera = False, False
    assert stage.render(scene, tmp_path)["Combined"].max() == 0


def test_collection_instances_are_drawn_where_they_stand(scene, ball, tmp_path):
    scene.render.film_transparent = True
    stage.turn_around(scene.camera, 0, distance=6)
    ob = stage.add_asset(ball)
    alone = stage.render(scene, tmp_path)["Combined"]
    collection = bpy.data.collections.new("Kept")
    collection.objects.link(ob)
    scene.collection.objects.unlink(ob)
    for x in (-1.0, 1.0):
        empty = bpy.data.objects.new("Instance", None)
        empty.instance_type, empty.instance_collection, empty.location.x = "COLLECTION", collection, x
        scene.collection.objects.link(empty)
    two = stage.render(scene, tmp_path)["Combined"]
    assert two[24, 32, 3] < 0.01
    assert two[..., 3].sum() == pytest.approx(2 * alone[..., 3].sum(), rel=0.1)
    assert two[:, :32, 3].sum() == pytest.approx(two[:, 32:, 3].sum(), rel=0.02)


def test_view_layers_show_their_collections(scene, ball, box, tmp_path):
    stage.add_asset(ball)
    collection = bpy.data.collections.new("Second")
    scene.collection.children.link(collection)
    collection.objects.link(block := stage.add_asset(box, "Block", (0, -1.2, 0)))
    scene.collection.objects.unlink(block)
    scene.view_layers[0].layer_collection.children["Second"].exclude = True
    scene.view_layers[0].near.use_pass_base_color = scene.view_layers.new("Both").near.use_pass_base_color = True
    passes = stage.render(scene, tmp_path)
    assert np.allclose(passes["ViewLayer.Base Color"][24, 32], (0.8, 0.1, 0.1), atol=0.03)
    assert np.allclose(passes["Both.Base Color"][24, 32], (0.1, 0.1, 0.8), atol=SEES_THROUGH)


@pytest.mark.parametrize("kind", ["holdout", "indirect_only"])
def test_holdouts_are_left_out_of_their_layer_only(scene, ball, tmp_path, kind):
    scene.render.film_transparent = True
    collection = bpy.data.collections.new("Cut")
    scene.collection.children.link(collection)
    collection.objects.link(ob := stage.add_asset(ball))
    scene.collection.objects.unlink(ob)
    setattr(scene.view_layers.new("Without").layer_collection.children["Cut"], kind, True)
    passes = stage.render(scene, tmp_path)
    assert passes["Without.Combined"].max() < 1e-6 and passes["ViewLayer.Combined"][24, 32, 3] > 0.8


def test_stereo_views_are_seen_from_both_eyes(scene, ball, tmp_path):
    stage.add_asset(ball)
    stage.set_environment(scene.world)
    scene.render.film_transparent = True
    data = scene.camera.data
    data.stereo.convergence_mode, data.stereo.interocular_distance = "PARALLEL", 0.4
    scene.render.use_multiview, scene.render.views_format = True, "STEREO_3D"
    stage.set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    scene.render.image_settings.views_format = "MULTIVIEW"
    passes = stage.render(scene, tmp_path)
    middle = {eye: (passes[f"Combined.{eye}"][..., 3] * np.arange(64)).sum() / passes[f"Combined.{eye}"][..., 3].sum()
              for eye in ("left", "right")}
    focal = data.lens / data.sensor_width * 64
    assert middle["left"] - middle["right"] == pytest.approx(focal * 0.4 / math.hypot(4, 0.5), rel=0.05)


def test_views_with_cameras_of_their_own(scene, ball, tmp_path):
    stage.add_asset(ball)
    scene.render.film_transparent = True
    render = scene.render
    render.use_multiview, render.views_format = True, "MULTIVIEW"
    stage.set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    render.image_settings.views_format = "MULTIVIEW"
    scene.camera.name = "Camera_L"
    other = bpy.data.objects.new("Camera_R", scene.camera.data)
    scene.collection.objects.link(other)
    stage.turn_around(other, 0, distance=8)
    passes = stage.render(scene, tmp_path)
    left, right = (passes[f"Combined.{eye}"][..., 3].sum() for eye in ("left", "right"))
    assert left / right == pytest.approx(4, rel=0.15)


def test_strength_scales_the_picture_exactly(scene, ball, tmp_path):
    stage.add_asset(ball)
    background = stage.set_environment(scene.world)["Background"]
    one = stage.render(scene, tmp_path)["Combined"]
    background.inputs["Strength"].default_value = 3.5
    assert np.allclose(stage.render(scene, tmp_path)["Combined"][..., :3], 3.5 * one[..., :3], rtol=1e-4, atol=1e-6)


def test_the_films_exposure_counts_where_nothing_is_ordinary_too(scene, ball, tmp_path):
    stage.add_asset(ball)
    one = stage.render(scene, tmp_path)["Combined"]
    scene.cycles.film_exposure = 2.5
    assert np.allclose(stage.render(scene, tmp_path)["Combined"], one * (2.5, 2.5, 2.5, 1), rtol=1e-4, atol=1e-6)


def test_turning_everything_together_changes_nothing(scene, ball, tmp_path):
    ob = stage.add_asset(ball, location=(0.2, 0.1, 0))
    mapping = stage.set_environment(scene.world)["Mapping"]
    scene.view_settings.view_transform = "Standard"
    pictures = []
    for degrees in (0, 37, 180):
        a = math.radians(degrees)
        stage.turn_around(scene.camera, degrees)
        ob.rotation_euler.z = a
        ob.location.xy = 0.2 * math.cos(a) - 0.1 * math.sin(a), 0.2 * math.sin(a) + 0.1 * math.cos(a)
        mapping.inputs["Rotation"].default_value = (0, 0, -a)
        pictures.append(np.clip(stage.render(scene, tmp_path)["Combined"], 0, 1) ** (1 / 2.2))
    assert max(np.abs(p - pictures[0]).max() for p in pictures) < 1 / 255


def test_empty_frame_is_no_error(scene, tmp_path):
    stage.set_color(scene.world, (0.2, 0.4, 0.8))
    assert np.allclose(stage.render(scene, tmp_path)["Combined"], (0.2, 0.4, 0.8, 1), atol=1e-6)
    scene.render.film_transparent = True
    assert stage.render(scene, tmp_path)["Combined"].max() == 0
    scene.world = None
    scene.render.film_transparent = False
    assert np.allclose(stage.render(scene, tmp_path)["Combined"], (0, 0, 0, 1)), "no World is black"


def test_animation_writes_every_frame(scene, ball, tmp_path):
    ob = stage.add_asset(ball)
    scene.render.film_transparent = True
    for frame, x in ((1, -1.0), (3, 1.0)):
        ob.location.x = x
        ob.keyframe_insert("location", frame=frame)
    scene.frame_start, scene.frame_end = 1, 3
    stage.set_format(scene, "OPEN_EXR_MULTILAYER", "32")
    scene.render.filepath = str(tmp_path / "frame_")
    bpy.ops.render.render(animation=True)
    alphas = [stage.read(tmp_path / f"frame_{n:04}.exr")["Combined"][..., 3] for n in (1, 2, 3)]
    middles = [(a * np.arange(64)).sum() / a.sum() for a in alphas]
    assert middles[0] < 20 < 30 < middles[1] < 33 < 43 < middles[2]


def fails(scene, folder, words: str) -> None:
    """A render must raise with these words and write nothing."""
    scene.render.filepath = str(folder / "nothing.png")
    stage.set_format(scene, "PNG", "8")
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.render.render(write_still=True)
    assert not list(folder.glob("nothing*"))


def test_scene_without_a_camera_writes_nothing(scene, ball, tmp_path):
    stage.add_asset(ball)
    scene.camera = None
    fails(scene, tmp_path, "[Nn]o camera")


def test_panoramic_camera_writes_nothing(scene, tmp_path, capfd):
    bpy.ops.mesh.primitive_plane_add()
    scene.camera.data.type = "PANO"
    fails(scene, tmp_path, "Perspective or Orthographic")
    assert "left out" not in capfd.readouterr().out, "it is told once"


def test_object_as_camera_writes_nothing(scene, ball, tmp_path):
    stage.add_asset(ball)
    scene.camera = bpy.data.objects.new("Empty", None)
    scene.collection.objects.link(scene.camera)
    fails(scene, tmp_path, "not a camera")


def test_damaged_asset_writes_nothing(scene, ball, tmp_path):
    ob = stage.add_asset(ball, "Cup")
    data = assets.to_bytes(ball)
    payload.attach(ob, data[: len(data) // 2], "Cup")
    fails(scene, tmp_path, "The asset of Cup is not a complete")


def warns(scene, folder, capfd, words: str) -> np.ndarray:
    """A render that draws what there is, with these words. (H, W, 4)."""
    made = stage.render(scene, folder)["Combined"]
    assert words in capfd.readouterr().out
    return made


def test_without_a_payload_the_others_are_drawn(scene, ball, tmp_path, capfd):
    scene.render.film_transparent = True
    stage.add_asset(ball)
    alone = stage.render(scene, tmp_path)["Combined"]
    stage.add_asset(ball, "Cup").near.asset = bpy.data.meshes.new("empty")
    made = warns(scene, tmp_path, capfd, "The asset of Cup is not in this file")
    assert alone[..., 3].max() > 0.99 and (made == alone).all()


@pytest.mark.parametrize("way, color", [("gone", (1, 0, 1)), ("cut off", None), ("another file", (1, 0, 1)),
                                        ("empty", (1, 0, 1))])
def test_an_environment_image_that_is_gone_or_damaged_is_as_in_cycles(scene, ball, tmp_path, way, color, capfd):
    stage.add_asset(ball)
    data, file = (stage.HDRI / "city.exr").read_bytes(), tmp_path / "sky.exr"
    file.write_bytes({"cut off": data[:len(data) // 3], "another file": b"<html>" * 99, "empty": b""}.get(way, data))
    scene.world.near.resolution = "512"
    texture = stage.set_environment(scene.world)["TexEnvironment"]
    texture.image = bpy.data.images.load(str(file), check_existing=False)
    if way == "gone":
        file.unlink()
    made = warns(scene, tmp_path, capfd, "The World's image sky.exr could not be read")
    if color is not None:  # below the cut Blender shows what its memory held
        assert np.allclose(made[0, 0, :3], color, atol=1e-3)


@pytest.mark.parametrize("scale", [(0, 1, 1), (0, 0, 0), (1e-20, 1e-20, 1e-20)])
def test_object_without_size_is_left_out(scene, ball, tmp_path, scale, capfd):
    scene.render.film_transparent = True
    stage.add_asset(ball).scale = scale
    assert stage.render(scene, tmp_path)["Combined"].max() == 0
    assert ("without thickness is not drawn" in capfd.readouterr().out) == (scale == (0, 1, 1))


def test_one_pulled_vertex_moves_what_is_around_it(scene, ball, tmp_path):
    scene.render.film_transparent = True
    ob = stage.add_asset(ball)
    straight = stage.render(scene, tmp_path)["Combined"]
    ob.data.vertices[0].co.x += 1.0
    assert 0 < np.abs(stage.render(scene, tmp_path)["Combined"] - straight).mean() < 0.01


def test_the_clock_above_the_picture_goes_while_a_phase_lasts():
    """Blender writes it anew when it is told something."""
    job, told = worker_process.JobHandle(client.get_worker(), {}, {}), []
    drawing = SimpleNamespace(update_stats=lambda *said: told.append(said), update_progress=lambda share: None,
                              _progress=engine.Progress(), _is_stopped=lambda: False, report=lambda *_: None)
    threading.Timer(2.5, job.finish).start()
    engine.NearRenderEngine._wait_for(drawing, [job], 0.0, 1.0)
    assert told == [("", "Starting")] * 3


def test_render_threads_are_honoured(scene):
    scene.render.threads_mode, scene.render.threads = "FIXED", 3
    light = WorldLight(world.environment.uniform((1, 1, 1)))
    settings, _ = sync.make_request(scene, sync.VisibleAssets(), light, ("Combined",), True)
    assert settings.threads == 3 and settings.background
    scene.render.threads_mode = "AUTO"
    assert sync.make_request(scene, sync.VisibleAssets(), light, ("Combined",), True)[0].threads == 0


def test_standard_view_transform_shows_srgb(scene, ball, tmp_path):
    stage.set_color(scene.world, (0.18, 0.18, 0.18))
    scene.view_settings.view_transform = "Standard"
    scene.render.dither_intensity = 0
    stage.set_format(scene, "PNG", "16")
    scene.render.filepath = str(tmp_path / "card.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    image.colorspace_settings.name = "Non-Color"
    assert image.pixels[0] == pytest.approx(1.055 * 0.18 ** (1 / 2.4) - 0.055, abs=1e-3)
