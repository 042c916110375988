"""Scenes as artists build them, drawn at F12 by NeAR with Cycles beside it: three made here, and shared ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import stage
from mathutils import Matrix

from near_blender.lab import still_life
from tests.blender.regression import scenes

SHARED = ("catcher", "crowd", "night", "ordinary", "room", "shelf", "sun", "table")
SAMPLES = 8  # of Cycles, denoised


def draw_open_file(folder: Path) -> np.ndarray:
    """(H, W, 4) uint8 of the open file's scene, in the references' size."""
    scene = bpy.context.scene
    scene.render.engine = "NEAR"
    scene.render.resolution_x, scene.render.resolution_y = scenes.SIZE
    scene.render.resolution_percentage = 100
    scene.near.samples, scene.near.denoise = SAMPLES, True
    return scenes.encode(stage.render(scene, folder)["Combined"])


def build_still_life() -> None:
    """The demo's table with the keg on it: lamp, glass, books, a window's light."""
    still_life.build()
    keg = stage.add_asset(scenes.keg(), location=(0.05, 0.02, 0))
    keg.scale = (0.3,) * 3
    keg.location.z = -0.3 * min(corner[2] for corner in keg.bound_box)


def build_catcher() -> None:
    """A ring on a shadow catcher under a sun, before nothing."""
    scene = stage.make_stage(*scenes.SIZE)
    stage.set_color(scene.world, (0.3, 0.35, 0.4))
    stage.turn_around(scene.camera, 30, distance=3.2, up=1.4)
    stage.add_asset(scenes.ring())
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 0, -0.2))
    bpy.context.object.is_shadow_catcher = True
    bpy.ops.object.light_add(type="SUN", rotation=(0.6, 0.5, 0))
    bpy.context.object.data.energy = 3
    scene.render.film_transparent = True


def build_blur() -> None:
    """A keg that moves and one that the camera's focus misses, before a board."""
    scene = stage.make_stage(*scenes.SIZE)
    stage.set_environment(scene.world)
    stage.turn_around(scene.camera, 0, distance=3.2)
    camera = scene.camera.data
    camera.dof.use_dof, camera.dof.focus_distance, camera.dof.aperture_fstop = True, 3.2, 0.3
    moved = stage.add_asset(scenes.keg(), location=(-0.7, 0, 0))
    for frame, x in ((0, -0.9), (2, -0.5)):
        moved.location.x = x
        moved.keyframe_insert("location", frame=frame)
    scene.frame_set(1)
    scene.render.use_motion_blur = True
    stage.add_asset(scenes.keg(), "Far", (0.8, 1.6, 0))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 3, 0))
    bpy.context.object.scale = 6, 0.1, 1


def open_shared(path: Path) -> None:
    """Opens a file of data/scenes and makes neural assets of the objects that it marks; those that share a mesh share
    one."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    made: dict[str, tuple[bpy.types.Object, Matrix]] = {}
    for source in [ob for ob in bpy.context.scene.objects if ob.get("near_asset")]:
        if source.data.name in made:
            twin = made[source.data.name][0].copy()
            bpy.context.scene.collection.objects.link(twin)
        else:
            before = set(bpy.data.objects)
            bpy.ops.near.create_asset_from_mesh(object_name=source.name)
            twin, = set(bpy.data.objects) - before
            bpy.context.view_layer.update()
            made[source.data.name] = twin, source.matrix_world.inverted() @ twin.matrix_world
        twin.matrix_world = source.matrix_world @ made[source.data.name][1]
        source.hide_render = True


OWN: dict[str, Callable[[], None]] = {"still_life": build_still_life, "artists_catcher": build_catcher,
                                      "blur": build_blur}
