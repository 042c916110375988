"""Where assets land. What a drop meets is tried in a window, tests/gui."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import stage
from mathutils import Matrix, Vector

from near_blender.asset import proxy
from near_blender.operators import landing


@pytest.mark.parametrize("size", [1.0, 0.25])
def test_it_stands_on_the_point_as_large_as_asked(ball, size):
    ob = proxy.build(ball, "Ball")
    bpy.context.scene.collection.objects.link(ob)
    landing.land(ob, landing.Landing((1, 2, 3), size))
    bpy.context.view_layer.update()
    places = np.array([ob.matrix_world @ vertex.co for vertex in ob.data.vertices])
    low, high = places.min(0), places.max(0)
    assert np.allclose((low + high)[:2] / 2, (1, 2), atol=1e-5) and np.isclose(low[2], 3, atol=1e-5)
    assert np.isclose((high - low).max(), size)


def test_without_a_mouse_it_is_the_cursor():
    bpy.context.scene.cursor.location = (4, 5, 6)
    assert landing.find_point(bpy.context) == (4, 5, 6)


def test_a_drop_into_an_orthographic_view_lands_on_the_ground():
    """As Blender looks down from 15 m: from -1000 to 1000 m before the viewer."""
    view = Matrix.Translation((-3, -2, -15))
    window = Matrix.Diagonal((0.2, 0.2, -0.001, 1))
    region = SimpleNamespace(x=0, y=0, width=100, height=100, type="WINDOW")
    seen = SimpleNamespace(is_perspective=False, view_perspective="ORTHO", perspective_matrix=window @ view,
                           view_matrix=view)
    context = SimpleNamespace(region=region, region_data=seen, scene=bpy.context.scene,
                              evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get)
    bpy.context.scene.cursor.location = (4, 5, 6)
    assert np.allclose(landing.find_point(context, SimpleNamespace(mouse_x=50, mouse_y=50)), (3, 2, 0), atol=1e-3)


def test_several_stand_side_by_side_as_large_as_they_are(ball):
    placed = [stage.add_asset(ball, location=(9, 9, 9)) for _ in range(3)]
    placed[1].scale = 2, 2, 2
    bpy.context.view_layer.update()
    landing.line_up(placed, (1, 2, 3))
    bpy.context.view_layer.update()
    low, high = (np.array([side([ob.matrix_world @ Vector(corner) for corner in ob.bound_box]) for ob in placed])
                 for side in (lambda at: np.min(at, 0), lambda at: np.max(at, 0)))
    assert np.allclose(low[:, 2], 3, atol=1e-4) and np.allclose((low + high)[:, 1] / 2, 2, atol=1e-4)
    assert np.allclose((low + high)[0, :2] / 2, (1, 2), atol=1e-4) and (low[1:, 0] > high[:-1, 0]).all()
    assert np.allclose((high - low)[1], 2 * (high - low)[0], rtol=1e-3)
