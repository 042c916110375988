"""Holes where assets are: what they hide Cycles is spared."""

import bpy
import numpy as np
import pytest
import stage
from mathutils import Matrix

from near_blender.client import client
from near_blender.cycles import front
from near_blender.engine import surroundings
from near_core.create.create import create_from_mesh
from tests.create import test_skin


@pytest.fixture
def scene(monkeypatch):
    """A ball near the camera that sinks into a floor, a post before it, a wall behind, a grey World."""
    monkeypatch.setattr(surroundings, "LARGE", ((64, 32), 4))
    monkeypatch.setattr(surroundings, "ASSET_FACES", 0)
    scene = stage.make_stage()
    stage.set_color(scene.world, (0.5, 0.5, 0.5))
    stage.add_asset(create_from_mesh(test_skin.ball(24), name="Ball"), location=(0, 0, -0.3))
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.7))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 2, 0))
    bpy.context.object.scale = 4, 0.1, 1
    bpy.ops.mesh.primitive_cube_add(size=0.1, location=(0.1, -0.8, 0))
    bpy.context.object.scale.z = 20
    scene.camera.location.y = -2.2
    scene.near.samples, scene.near.denoise = 1, False
    stage.show_every_pass(scene.view_layers[0])
    return scene


@pytest.fixture
def drawn(monkeypatch):
    """The jobs of pictures that Cycles is asked for."""
    jobs, draw = [], client.get_cycles().draw

    def look_on(*arguments, **options):
        jobs.append(draw(*arguments, **options))
        return jobs[-1]

    monkeypatch.setattr(client.get_cycles(), "draw", look_on)
    return jobs


@pytest.mark.parametrize("film", [False, True])
def test_cycles_does_not_draw_what_assets_hide(scene, drawn, tmp_path, monkeypatch, film):
    """And every pass is the same."""
    scene.render.film_transparent = film
    sparing, spared = stage.render(scene, tmp_path), drawn[0]
    drawn.clear()
    monkeypatch.setattr(surroundings.OrdinaryThings, "waits", lambda *_: False)
    scene.camera.location.x = 1e-6
    whole = stage.render(scene, tmp_path)
    nothing, known = (each.result()["passes"]["Depth"] > 1e9 for each in (spared, drawn[0]))
    assert (nothing & ~known).mean() > 0.05 and not (known & ~nothing).any()
    for name in whole:
        np.testing.assert_allclose(sparing[name], whole[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("why", ["little", "large", "blurred", "holdout"])
def test_cycles_draws_all_where_that_is_quicker_or_is_seen(scene, drawn, tmp_path, monkeypatch, why):
    if why == "little":
        bpy.data.objects["Asset"].scale = 0.1, 0.1, 0.1
    elif why == "large":
        monkeypatch.setattr(surroundings, "ASSET_FACES", 1_000_000)
    elif why == "blurred":
        scene.camera.data.dof.use_dof = True
    else:
        bpy.data.objects["Asset"].is_holdout = True
    stage.render(scene, tmp_path)
    assert not len(drawn[0].request["screens"])


def test_screens_are_gone_from_the_next_picture(scene, drawn, tmp_path):
    stage.render(scene, tmp_path)
    assert len(drawn[0].request["screens"])
    bpy.data.objects["Asset"].location.x = 30
    stage.render(scene, tmp_path)
    assert (drawn[-1].result()["passes"]["Depth"][24, 32] < 1e9).all()


@pytest.mark.parametrize("moves", [False, True])
def test_holes_are_sheared_as_their_assets_are(ball, moves):
    """Else the floor inside of one that sinks into it is seen, black."""
    scene, ob = stage.make_stage(), stage.add_asset(ball)
    matrix = np.array(Matrix.Diagonal((2, 1, 1, 1)) @ Matrix.Rotation(0.7, 4, "Y"))
    places = np.stack([matrix, matrix])
    places[:, 2, 3] = (-0.5, 0.5) if moves else 0
    holes = front.Holes(scene, lambda each: each.data)
    holes.cut([{"name": ob.name_full, "matrix": places}], np.array([0, 0, 0, 0.01]), 2, scene.frame_current, 0.5)
    bpy.context.view_layer.update()
    (hole,) = [each for each in scene.objects if each.type == "MESH" and each != ob]
    assert np.allclose(hole.matrix_world, matrix, atol=1e-4)
    scene.frame_set(scene.frame_current, subframe=0.25)
    assert hole.matrix_world.translation.z == pytest.approx(0.5 * moves, abs=1e-4)
    holes.close()
    assert set(scene.objects) == {ob, scene.camera}
