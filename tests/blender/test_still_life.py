"""The demo's table: everything stands on it or behind it, in front of the camera, and nothing is broken."""

import bpy
import numpy as np
from mathutils import Vector

from near_blender.lab import still_life


def test_the_table_is_laid_and_seen():
    still_life.build()
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    meshes = {ob.name: ob for ob in scene.objects if ob.type == "MESH"}
    assert {"Board 0", "Wall", "Lamp Shade", "Blue Book Cover", "Glass", "Water", "Pot"} <= meshes.keys()
    for ob in meshes.values():
        assert len(ob.data.polygons) and not ob.data.validate(), ob.name
        lowest = min((ob.matrix_world @ Vector(corner)).z for corner in ob.bound_box)
        assert lowest > -1e-4 or ob.name.startswith("Board") or ob.name == "Wall", ob.name
    to_clip = scene.camera.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=16, y=9)
    for name in ("Lamp Shade", "Glass", "Red Book Cover", "Picture"):
        place = to_clip @ scene.camera.matrix_world.inverted() @ Vector((*meshes[name].matrix_world.translation, 1))
        assert np.abs(np.array(place.xy) / place.w).max() < 1, f"{name} is in the picture"
    assert {light.data.type for light in scene.objects if light.type == "LIGHT"} == {"POINT", "AREA"}
