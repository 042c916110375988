"""Which camera a viewport looks through, and its render border, as Blender says where they are in the picture."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import stage
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from near_blender.engine import border

SIZE = 300, 200


@pytest.fixture
def scene():
    """A scene with a border, and a second camera of another picture."""
    scene = stage.make_stage(160, 90)
    render = scene.render
    render.use_border = True
    render.border_min_x, render.border_max_x, render.border_min_y, render.border_max_y = 0.25, 0.5, 0.4, 0.9
    ob = bpy.data.objects.new("Local", bpy.data.cameras.new("Local"))
    ob.data.lens, ob.data.shift_x = 25, 0.2
    stage.turn_around(ob, 70, 5.0, 2.0)
    scene.collection.objects.link(ob)
    bpy.context.view_layer.update()
    return scene


def look_through(eye, **space) -> SimpleNamespace:
    """A viewport that looks through a camera; its frame takes 240 pixels of the region's 300."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    window = eye.calc_matrix_camera(depsgraph, x=SIZE[0], y=SIZE[1])
    shrink = np.diag([0.8, 0.8, 1, 1]) @ np.array(window)
    space = {"use_local_camera": False, "camera": None, "use_render_border": False} | space
    return SimpleNamespace(
        space_data=SimpleNamespace(**space), region=SimpleNamespace(width=SIZE[0], height=SIZE[1]),
        region_data=SimpleNamespace(view_perspective="CAMERA", window_matrix=shrink,
                                    view_matrix=eye.matrix_world.inverted()))


def expect_box(scene, camera, context) -> np.ndarray:
    """What find_box should say, by points that Blender says are seen in the border's corners."""
    at_0, at_1 = (np.array(world_to_camera_view(scene, camera, camera.matrix_world @ Vector((each, each, -10)))[:2])
                  for each in (0, 1))
    window, corners = context.region_data, []
    for corner in ((0.25, 0.4), (0.5, 0.9)):
        point = camera.matrix_world @ Vector((*(corner - at_0) / (at_1 - at_0), -10))
        x, y, _, w = np.array(window.window_matrix) @ np.array(window.view_matrix) @ (*point, 1)
        corners.append((np.array([x, y]) / w + 1) / 2 * SIZE)
    return np.array([*corners[0], *(corners[1] - corners[0])])


@pytest.mark.parametrize("is_local", [False, True])
def test_the_scenes_border_counts_in_what_is_looked_through(scene, is_local):
    local, depsgraph = bpy.data.objects["Local"], bpy.context.evaluated_depsgraph_get()
    camera = local if is_local else scene.camera
    context = look_through(camera, use_local_camera=is_local, camera=local)
    assert border.find_camera(context, depsgraph).original == camera
    assert np.allclose(border.find_box(context, depsgraph), expect_box(scene, camera, context), atol=1)
    scene.render.use_border = False
    assert border.find_box(context, bpy.context.evaluated_depsgraph_get()) is None


def test_other_views_have_their_own(scene):
    depsgraph = bpy.context.evaluated_depsgraph_get()
    context = look_through(scene.camera, use_render_border=True, render_border_min_x=0.5, render_border_max_x=1.0,
                   render_border_min_y=0.0, render_border_max_y=0.25)
    context.region_data.view_perspective = "PERSP"
    assert border.find_camera(context, depsgraph) is None
    assert border.find_box(context, depsgraph) == (150, 0, 150, 50)
