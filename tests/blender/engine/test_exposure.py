"""Motion blur and depth of field beside Cycles' own, of the proxies."""

import bpy
import numpy as np
import pytest
import stage

from near_blender.cycles import motion as cycles_motion
from near_blender.engine import exposure
from near_core.scene import camera as cameras


@pytest.fixture
def scene(ball):
    """A ball that moves to the right and turns, on a transparent film."""
    scene = stage.make_stage(96, 72)
    stage.set_color(scene.world, (0.6, 0.6, 0.6))
    ob = stage.add_asset(ball)
    for frame, x in ((0, -1.0), (2, 1.0)):
        ob.location.x = x
        ob.keyframe_insert("location", frame=frame)
    for curve in cycles_motion.list_curves(ob.animation_data):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
    scene.render.film_transparent = True
    scene.render.motion_blur_shutter = 0.5
    scene.near.samples, scene.near.denoise = 16, False
    scene.frame_set(1)
    return scene


def draw(scene, folder, engine: str) -> np.ndarray:
    scene.render.engine = engine
    if engine == "CYCLES":
        scene.cycles.samples, scene.cycles.use_denoising = 64, False
    return stage.render(scene, folder, engine)["Combined"]


def profile(picture: np.ndarray) -> np.ndarray:
    """Alpha along the middle row."""
    return picture[33:39, :, 3].mean(0)


@pytest.mark.parametrize("position", ["CENTER", "START", "END"])
def test_motion_blur_has_the_shape_of_cycles(scene, tmp_path, position):
    scene.render.use_motion_blur = True
    scene.render.motion_blur_position = position
    ours, theirs = draw(scene, tmp_path, "NEAR"), draw(scene, tmp_path, "CYCLES")
    assert scene.frame_current == 1 and scene.frame_subframe == 0
    assert np.abs(profile(ours) - profile(theirs)).mean() < 0.02
    assert np.abs(profile(ours) - profile(theirs)).max() < 0.15
    scene.render.use_motion_blur = False
    assert np.abs(profile(draw(scene, tmp_path, "NEAR")) - profile(theirs)).mean() > 0.04


def test_a_view_layer_may_do_without_motion_blur(scene, tmp_path):
    still = draw(scene, tmp_path, "NEAR")
    scene.render.use_motion_blur, scene.view_layers[0].use_motion_blur = True, False
    assert np.abs(draw(scene, tmp_path, "NEAR") - still).max() < 1e-4


@pytest.mark.parametrize("name", ["Asset", "Camera"])
def test_an_object_may_do_without_motion_blur(scene, tmp_path, name):
    if name == "Camera":
        bpy.data.objects["Asset"].animation_data_clear()
        bpy.data.objects["Asset"].location.x = 0
        for frame, x in ((0, -1.0), (2, 1.0)):
            scene.camera.location.x = x
            scene.camera.keyframe_insert("location", index=0, frame=frame)
        scene.frame_set(1)
    still = draw(scene, tmp_path, "NEAR")
    scene.render.use_motion_blur = True
    blurred = draw(scene, tmp_path, "NEAR")
    bpy.data.objects[name].cycles.use_motion_blur = False
    ours, theirs = draw(scene, tmp_path, "NEAR"), draw(scene, tmp_path, "CYCLES")
    assert np.abs(ours - still).max() < 1e-4 < 0.1 < np.abs(ours - blurred).max()
    assert np.abs(profile(ours) - profile(theirs)).mean() < 0.02 < np.abs(profile(blurred) - profile(theirs)).mean()


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_depth_of_field_has_the_shape_of_cycles(scene, tmp_path, kind):
    camera = scene.camera.data
    camera.type, camera.ortho_scale = kind, 4
    camera.dof.use_dof, camera.dof.focus_distance = True, 2.0
    camera.dof.aperture_fstop = 0.12 if kind == "PERSP" else 1.5
    camera.dof.aperture_blades, camera.dof.aperture_rotation, camera.dof.aperture_ratio = 3, 0.4, 1.5
    ours, theirs = draw(scene, tmp_path, "NEAR"), draw(scene, tmp_path, "CYCLES")
    assert np.abs(ours[..., 3] - theirs[..., 3]).mean() < 0.015
    camera.dof.use_dof = False
    assert np.abs(draw(scene, tmp_path, "NEAR")[..., 3] - theirs[..., 3]).mean() > 0.025


def test_ordinary_things_and_the_camera_blur_alike(scene, tmp_path):
    """A plate in front of the ball moves with the camera: it stays sharp, everything else is blurred."""
    bpy.ops.mesh.primitive_plane_add(size=40, location=(0, 30, 0), rotation=(1.5708, 0, 0))
    bpy.ops.mesh.primitive_cube_add(size=0.3, location=(0, -1.5, 0.2))
    plate = bpy.context.object
    ob = bpy.data.objects["Asset"]
    ob.animation_data_clear()
    ob.location = 0, 0, 0
    for thing in (scene.camera, plate):
        for frame, x in ((0, -0.4), (2, 0.4)):
            thing.location.x = x
            thing.keyframe_insert("location", index=0, frame=frame)
    scene.frame_set(1)
    scene.render.use_motion_blur = True
    blurred = draw(scene, tmp_path, "NEAR")
    scene.render.use_motion_blur = False
    sharp = draw(scene, tmp_path, "NEAR")
    assert np.allclose(blurred[..., 3], 1, atol=1e-3)
    inside = np.abs(blurred[30:34, 44:52, :3] - sharp[30:34, 44:52, :3]).mean()
    edge = np.abs(blurred[30:42, 18:34, :3] - sharp[30:42, 18:34, :3]).mean()
    assert inside < 0.02 < edge


@pytest.mark.parametrize("blur", ["motion", "lens"])
def test_a_post_before_an_asset_is_as_bright_where_nothing_is_blurred(scene, tmp_path, blur):
    bpy.ops.mesh.primitive_plane_add(size=40, location=(0, 3, 0), rotation=(1.5708, 0, 0))
    bpy.ops.mesh.primitive_cylinder_add(radius=0.008, depth=3, location=(0.005, -1.2, 0))  # half a pixel
    bpy.context.object.data.materials.append(bpy.data.materials.new("Black"))
    bpy.context.object.data.materials[0].use_nodes = True
    principled = bpy.context.object.data.materials[0].node_tree.nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = 0, 0, 0, 1
    ob = bpy.data.objects["Asset"]
    ob.animation_data_clear()
    ob.location, scene.near.samples = (0, 0, 0), 64
    sharp = draw(scene, tmp_path, "NEAR")
    if blur == "motion":
        scene.render.use_motion_blur = True
    else:
        scene.camera.data.dof.use_dof, scene.camera.data.dof.aperture_fstop = True, 1e4
    switched = draw(scene, tmp_path, "NEAR")
    post = np.s_[30:42, 47:50, :3]
    assert switched[post].mean() == pytest.approx(sharp[post].mean(), rel=0.03)


def test_a_lens_follows_the_object_in_focus(scene):
    camera = scene.camera
    assert exposure.read_lens(camera) is None
    camera.data.dof.use_dof, camera.data.lens, camera.data.dof.aperture_fstop = True, 50, 2.5
    camera.data.dof.focus_object = bpy.data.objects["Asset"]
    bpy.context.view_layer.update()
    lens = exposure.read_lens(camera.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    assert lens.radius == pytest.approx(0.01)
    assert lens.focus == pytest.approx((4 ** 2 + 0.5 ** 2) ** 0.5, abs=1e-3)


def test_vectors_of_a_model_that_tells_no_assets_apart_are_none(scene):
    picture = np.ones((9, 16, 1), np.float32)
    camera = cameras.orbit(0, 0, 3, 40, 16, 9)
    steps = exposure.Motion({}, {}, np.zeros((3, 0, 4, 4)), np.zeros((3, 0, 4, 4)), (1.0, 1.0), 2.0)
    made = exposure.make_vectors({"Combined": picture, "Depth": picture}, camera, steps, "")
    assert made["Vector"].shape == (9, 16, 4) and not made["Vector"].any()
