"""Writes an example scene: a neural asset on a table with a lamp and ordinary things, and a camera that goes around it.

    python -m near_blender.lab.example [OUT.blend]

Started by `build.py example`. The file holds all that it shows, and no path.
"""

import math
import os
import sys
from pathlib import Path
from typing import Any

import bpy
import zstandard  # comes with bpy
from mathutils import Vector

import near_blender
from near_blender import api
from near_blender.client import client
from near_blender.operators import landing
from near_blender.operators.transfer import SAMPLE

from . import still_life

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 96  # of one turn
TWIN = 0.11  # metres, the longest side of the second one on the books


def build(path: Path) -> None:
    """Makes the scene in an empty file and writes it to path."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for part in (still_life.build_table, still_life.build_lamp, still_life.build_books, still_life.build_glass,
                 still_life.build_plant, still_life.build_pencils, still_life.build_window, build_floor, build_world):
        part()
    build_assets()
    build_turntable()
    scene: Any = bpy.context.scene
    scene.render.engine, scene.near.samples = "NEAR", 24
    scene.render.resolution_x, scene.render.resolution_y, scene.render.filepath = 960, 540, "//turn_"
    scene.view_settings.view_transform = "AgX"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
    data = path.read_bytes()
    for place in (path, Path.home()):  # Blender writes down where it saved a file, and where its file browsers look
        name = os.fsencode(place) + b"\0"
        data = data.replace(name, bytes(len(name)))
    path.write_bytes(zstandard.compress(data, 12))


def build_floor() -> None:
    """A floor far enough below the table to be calm."""
    grey = still_life.make_material("Floor", (0.12, 0.13, 0.14))
    still_life.add_box("Floor", (14, 14, 0.1), (0, 0, -0.8), grey, bevel=0)


def build_world() -> None:
    world: Any = bpy.data.worlds.new("Evening")
    bpy.context.scene.world = world
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.10, 0.14, 0.20, 1)


def build_assets() -> None:
    """The sample in the middle of the table, and once more, small, on the books."""
    keg: Any = api.add(SAMPLE)
    keg.rotation_euler.z = math.radians(-22)
    landing.land(keg, landing.Landing((0, 0, 0), 0.34))
    twin = keg.copy()
    bpy.context.scene.collection.objects.link(twin)
    landing.land(twin, landing.Landing((0.36, 0.13, 0.076), TWIN))


def build_turntable() -> None:
    """The camera, and what it hangs on and turns with."""
    scene = bpy.context.scene
    still_life.build_camera()
    hub = bpy.data.objects.new("Turntable", None)
    hub.empty_display_size = 0.2
    scene.collection.objects.link(hub)
    camera: Any = scene.camera
    camera.parent = hub
    camera.location = (0, -1.6, 0.62)
    camera.rotation_euler = (Vector((0, 0, 0.13)) - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.frame_start, scene.frame_end = 1, FRAMES
    bpy.context.preferences.edit.keyframe_new_interpolation_type = "LINEAR"
    for frame, turn in ((1, 0.0), (FRAMES + 1, 2 * math.pi)):
        hub.rotation_euler.z = turn
        hub.keyframe_insert("rotation_euler", index=2, frame=frame)
    hub.rotation_euler.z = 0.0


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist" / "near-example.blend").resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    near_blender.register()
    try:
        build(out)
        print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    finally:
        client.stop_workers()
        near_blender.unregister()


if __name__ == "__main__":
    main()
