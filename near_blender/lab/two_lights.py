"""Draws the six assets of the library side by side on a seamless backdrop, under two Worlds: docs/two_lights.jpg.

    python -m near_blender.lab.two_lights --models FOLDER --out docs/two_lights.jpg

FOLDER holds the models of library.SAMPLES.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import bpy
from PIL import Image

import near_blender
from near_blender import api
from near_blender.client import client
from near_blender.operators import landing

from . import still_life
from .library import ROOT, SAMPLES

WORLDS = (("studio", 90), ("sunset", 20))  # HDRIs that ship with Blender, degrees about z
SIZE = (1600, 400)  # pixels of one picture
PLACES = {  # x in metres, longest side in metres, degrees about z
    "Motorcycle": (-1.50, 0.72, 35), "Armchair": (-0.84, 0.50, 25), "Keg": (-0.20, 0.62, 12),
    "Water Bottle": (0.40, 0.54, -30), "Flight Helmet": (0.93, 0.62, 15), "Avocado": (1.42, 0.42, 10)}


def build(models: Path, folder: Path) -> None:
    """Makes the scene in an empty file; folder takes the assets on their way."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene: Any = bpy.context.scene
    for sample in SAMPLES:
        path, (x, size, turn) = folder / f"{sample.file}.near", PLACES[sample.name]
        subprocess.run([sys.executable, "-m", "near_core", "create", "--mesh", models / sample.file, "--out", path],
                       cwd=ROOT, check=True)
        ob = api.add(path)
        landing.land(ob, landing.Landing((0, 0, 0), size))
        foot = bpy.data.objects.new(f"{sample.name} Foot", None)
        scene.collection.objects.link(foot)
        ob.parent, foot.location.x, foot.rotation_euler.z = foot, x, math.radians(turn)
    build_backdrop()
    still_life.add_camera("Camera", 74, (0, -7.6, 1.55), (0, 0, 0.27))
    scene.render.engine, scene.near.samples = "NEAR", 32
    scene.render.resolution_x, scene.render.resolution_y = SIZE
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"


def build_backdrop() -> None:
    """A floor that bends up into a wall."""
    paper = still_life.make_material("Paper", (0.42, 0.42, 0.43), roughness=0.8)
    bend = [(1.2 + math.sin(a), 1 - math.cos(a)) for a in (math.pi / 2 * k / 24 for k in range(25))]
    profile = [(-6.0, 0.0), *bend, (2.2, 5.0)]

    def build_into(shape: Any) -> None:
        rows = [[shape.verts.new((x, y, z)) for y, z in profile] for x in (-12, 12)]
        for k in range(len(profile) - 1):
            shape.faces.new((rows[0][k], rows[1][k], rows[1][k + 1], rows[0][k + 1]))
    still_life.add_mesh("Backdrop", build_into, paper)


def draw(folder: Path) -> Image.Image:
    """One picture under the other."""
    sheet = Image.new("RGB", (SIZE[0], SIZE[1] * len(WORLDS)))
    for number, (name, degrees) in enumerate(WORLDS):
        still_life.build_world(name, degrees)
        bpy.context.scene.render.filepath = str(folder / f"{name}.png")
        bpy.ops.render.render(write_still=True)
        sheet.paste(Image.open(folder / f"{name}.png").convert("RGB"), (0, SIZE[1] * number))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the folder with the models' .glb files")
    parser.add_argument("--out", type=Path, required=True, help="the picture")
    options = parser.parse_args()
    near_blender.register()
    try:
        with tempfile.TemporaryDirectory() as name:
            build(options.models.resolve(), Path(name))
            draw(Path(name)).save(options.out, quality=90)
    finally:
        client.stop_workers()
        near_blender.unregister()


if __name__ == "__main__":
    main()
