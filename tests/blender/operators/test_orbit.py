"""A camera that cannot leave the arc from which an asset can be trusted."""

import math
from dataclasses import replace

import bpy
import numpy as np
import pytest
import stage
from mathutils import Matrix

from near_blender.operators import orbit


@pytest.fixture
def scene(ball):
    """A ball, turned, moved and scaled, of which the front is known, and a camera behind it."""
    scene = stage.make_stage()
    known = np.where(ball.surfels.normal[:, 1] < 0, 1, 0.3).astype(np.float32)
    ob = stage.add_asset(replace(ball, surfels=replace(ball.surfels, confidence=known)), location=(1, 2, 3))
    ob.rotation_euler.z, ob.scale = 0.5, (2, 2, 2)
    scene.camera.location, scene.camera.rotation_euler = (5, 9, 5), (1.2, 0, 2.5)
    bpy.context.view_layer.objects.active = ob
    bpy.context.view_layer.update()
    return scene


def find_azimuth(scene) -> float:
    """Degrees from the asset's front to the camera."""
    bpy.context.view_layer.update()
    ob = bpy.context.object
    x, y, _ = (ob.matrix_world @ Matrix.Identity(4)).inverted() @ scene.camera.matrix_world.translation
    return math.degrees(math.atan2(x, -y))


def test_it_is_turned_into_the_arc_and_stays_there(scene):
    arc = orbit.payload.decode_asset(bpy.context.object).trusted
    assert 60 < arc.width < 300 and abs(find_azimuth(scene)) > 90
    away = (scene.camera.matrix_world.translation - bpy.context.object.location).length
    height = scene.camera.matrix_world.translation.z
    assert bpy.ops.near.limit_camera() == {"FINISHED"}
    ends = arc.middle + np.array([-0.5, 0.5]) * arc.width
    assert min(abs(find_azimuth(scene) - ends)) < 0.1
    assert (scene.camera.matrix_world.translation - bpy.context.object.location).length == pytest.approx(away, rel=1e-4)
    assert scene.camera.matrix_world.translation.z == pytest.approx(height, rel=1e-4)
    pivot = orbit.find_pivot(scene.camera)
    for turn in (-3.0, 0.1, 3.0):
        pivot.rotation_euler.z = turn
        assert ends[0] - 0.1 < find_azimuth(scene) < ends[1] + 0.1
    bpy.context.object.rotation_euler.z += 1.0
    assert ends[0] - 0.1 < find_azimuth(scene) < ends[1] + 0.1, "the orbit turns along"


def test_once_more_frees_it_where_it_is(scene):
    bpy.ops.near.limit_camera()
    bpy.context.view_layer.update()
    before = np.array(scene.camera.matrix_world)
    assert bpy.ops.near.limit_camera() == {"FINISHED"}
    bpy.context.view_layer.update()
    assert scene.camera.parent is None and np.allclose(before, np.array(scene.camera.matrix_world), atol=1e-5)
    assert not [ob for ob in bpy.data.objects if ob.type == "EMPTY"]


def test_each_asset_has_its_own_button(scene, ball):
    first = bpy.context.object
    bpy.ops.near.limit_camera()
    other = first.copy()
    scene.collection.objects.link(other)
    bpy.context.view_layer.objects.active = other
    bpy.context.view_layer.update()
    assert orbit.is_around(scene.camera, first) and not orbit.is_around(scene.camera, other)
    assert bpy.ops.near.limit_camera() == {"FINISHED"}
    assert orbit.is_around(scene.camera, other), "it goes around the active one now"
    assert len([ob for ob in bpy.data.objects if ob.type == "EMPTY"]) == 1


def test_what_cannot_be_limited_is_named(scene, ball):
    scene.camera.keyframe_insert("location", frame=1)
    with pytest.raises(RuntimeError, match="Camera is moved by a parent"):
        bpy.ops.near.limit_camera()
    bpy.context.view_layer.objects.active = stage.add_asset(ball, "Whole")
    with pytest.raises(RuntimeError, match="Whole can be trusted from all around"):
        bpy.ops.near.limit_camera()
    scene.camera = None
    assert not bpy.ops.near.limit_camera.poll()


def test_a_copy_of_the_camera_stays_where_it_is(scene):
    bpy.ops.near.limit_camera()
    pivot, copy = orbit.find_pivot(scene.camera), scene.camera.copy()
    scene.collection.objects.link(copy)
    bpy.context.view_layer.update()
    before = np.array(copy.matrix_world)
    bpy.ops.near.limit_camera()
    bpy.context.view_layer.update()
    assert copy.parent == pivot and np.allclose(before, np.array(copy.matrix_world), atol=1e-5)


def test_a_linked_camera_is_left_alone(scene, tmp_path):
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {scene.camera})
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = [scene.camera.name]
    (scene.camera,) = wanted.objects
    assert not bpy.ops.near.limit_camera.poll()
