"""The pass Position, beside Cycles' own of the same shape."""

import bpy
import numpy as np
import pytest
import stage


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("among", [False, True])
def test_positions_are_those_of_cycles(ball, tmp_path, among, kind):
    """Of a ball that is no bound of the world's, alone, and behind a cube and on a plane, in a part of the picture."""
    scene = stage.make_stage()
    scene.camera.data.type, scene.camera.data.ortho_scale = kind, 3
    asset = stage.add_asset(ball)
    asset.location = scene.camera.location.x, 0, 100
    scene.camera.location.z += 100
    if among:
        bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, 99.7))
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=(0.6, -0.8, 100))
        scene.render.use_border, scene.render.border_min_x, scene.render.border_max_y = True, 0.2, 0.8
    scene.view_layers[0].use_pass_position = scene.render.film_transparent = True
    scene.near.samples, scene.near.denoise = 4, False
    made = stage.render(scene, tmp_path)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.675, segments=64, ring_count=32, location=asset.location)
    asset.hide_render = True
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    truth = stage.render(scene, tmp_path, "truth")
    seen = (made["Combined"][..., 3] > 0.99) & (truth["Combined"][..., 3] > 0.99)
    off = np.linalg.norm(made["Position"] - truth["Position"], axis=-1)[seen]
    assert seen.sum() > 300 and np.ptp(truth["Position"][seen], axis=0).min() > 0.2, "there is something to see"
    assert np.median(off) < 0.01 and np.quantile(off, 0.9) < 0.02
    nothing = (made["Combined"][..., 3] == 0) & (truth["Combined"][..., 3] == 0)
    assert nothing.any() and not made["Position"][nothing].any()
