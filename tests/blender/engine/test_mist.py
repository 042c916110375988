"""The pass Mist, beside Cycles' own of the same shape."""

import bpy
import numpy as np
import pytest
import stage


@pytest.fixture
def scene(ball):
    """A ball of 1.35 m in diameter, 4 m away, on its own; mist from 1 to 5 m."""
    scene = stage.make_stage()
    stage.add_asset(ball)
    scene.view_layers[0].use_pass_mist = True
    settings = scene.world.mist_settings
    settings.start, settings.depth, settings.falloff = 1, 4, "QUADRATIC"
    scene.near.samples, scene.near.denoise = 4, False
    return scene


def draw_by_cycles(scene, folder) -> np.ndarray:
    """Mist with a sphere in the place of the ball."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.675, segments=64, ring_count=32)
    asset = bpy.data.objects["Asset"]
    bpy.context.object.is_holdout, asset.hide_render = asset.is_holdout, True
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 64, False
    return stage.render(scene, folder)["Mist"][..., 0]


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("among", [False, True])
def test_mist_is_that_of_cycles(scene, tmp_path, among, kind):
    scene.camera.data.type, scene.camera.data.ortho_scale = kind, 3
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.3))
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=(0.6, -0.8, 0))
    made = stage.render(scene, tmp_path)["Mist"][..., 0]
    wanted = draw_by_cycles(scene, tmp_path)
    assert wanted.min() < 0.4 and wanted.max() == pytest.approx(1), "there is something to see"
    off = np.abs(made - wanted)
    assert off.mean() < 0.01 and np.quantile(off, 0.9) < 0.02


@pytest.mark.parametrize("among", [False, True])
def test_without_a_world_it_is_that_of_cycles(scene, tmp_path, among):
    scene.world = None
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.3))
    made = stage.render(scene, tmp_path)["Mist"][..., 0]
    wanted = draw_by_cycles(scene, tmp_path)
    assert wanted.min() < 0.05 and wanted.max() == pytest.approx(1), "there is something to see"
    assert np.abs(made - wanted).mean() < 0.01


@pytest.mark.parametrize("among", [False, True])
def test_a_holdout_has_none(scene, tmp_path, among):
    bpy.data.objects["Asset"].is_holdout = scene.render.film_transparent = True
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.3))
    made = stage.render(scene, tmp_path)["Mist"][..., 0]
    wanted = draw_by_cycles(scene, tmp_path)
    assert wanted[24, 32] == 1
    assert np.abs(made - wanted).mean() < 0.01
