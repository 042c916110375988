"""Packs a library of six samples for the Asset Browser; started by `build.py library`.

    python -m near_blender.lab.library --models FOLDER --out LIBRARY.zip

FOLDER holds the models of SAMPLES. The zip has a .blend with the assets, the catalogue and where each comes from.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

import near_blender
from near_blender import api
from near_blender.client import client
from near_blender.operators import landing

ROOT = Path(__file__).resolve().parents[2]
CATALOG = "6f1d1c52-6d0e-4f0e-9d63-0c4c1f4f9f0a"


@dataclass(frozen=True)
class LibraryModel:
    """A model in the public domain. file: in the folder of models. size: metres along its longest side. author,
    source: of the model. tags: for searching."""

    file: str
    name: str
    size: float
    author: str
    source: str
    tags: tuple[str, ...]


SAMPLES = (
    LibraryModel("kh_waterbottle.glb", "Water Bottle", 0.26, "Microsoft", "Khronos glTF Sample Models, WaterBottle",
                 ("bottle", "metal")),
    LibraryModel("kh_avocado.glb", "Avocado", 0.12, "Microsoft", "Khronos glTF Sample Models, Avocado",
                 ("food", "fruit")),
    LibraryModel("kh_flighthelmet.glb", "Flight Helmet", 0.6, "Microsoft and Gary Hsu",
                 "Khronos glTF Sample Assets, FlightHelmet", ("leather", "glass", "wood")),
    LibraryModel("kd_keg_decorated.glb", "Keg", 1.4, "Kay Lousberg (KayKit)",
                 "KayKit Dungeon Remastered 1.0, keg_decorated", ("wood", "tavern")),
    LibraryModel("kf_armchair_pillows.glb", "Armchair", 1.1, "Kay Lousberg (KayKit)",
                 "KayKit Furniture Bits 1.0, armchair_pillows", ("furniture", "chair")),
    LibraryModel("kn_vehicle_motorcycle.glb", "Motorcycle", 2.1, "Kenney", "Starter Kit Racing, vehicle_motorcycle",
                 ("vehicle",)))


def build(models: Path, folder: Path) -> None:
    """Writes the library's files into folder."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    ops: Any = bpy.ops
    for number, sample in enumerate(SAMPLES):
        path = folder / f"{sample.file}.near"
        subprocess.run([sys.executable, "-m", "near_core", "create", "--mesh", models / sample.file, "--name",
                        sample.name, "--out", path], cwd=ROOT, check=True)
        ob: Any = api.add(path)
        path.unlink()
        landing.land(ob, landing.Landing((number * 1.5, 0, 0), sample.size))
        ops.near.mark_asset()
        told = ob.asset_data
        told.author, told.license, told.copyright = sample.author, "CC0-1.0", "Public domain"
        told.description, told.catalog_id = f"Neural asset of {sample.source}", CATALOG
        for tag in sample.tags:
            told.tags.new(tag)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "near_samples.blend"), compress=True)
    (folder / "blender_assets.cats.txt").write_text(f"VERSION 1\n\n{CATALOG}:Neural Assets:Neural Assets\n")
    (folder / "SOURCES.md").write_text(describe_sources())


def describe_sources() -> str:
    """Who made what."""
    rows = "\n".join(f"| {each.name} | {each.author} | {each.source} |" for each in SAMPLES)
    return ("# Where the samples come from\n\nAll of them are in the public domain (CC0 1.0).\n\n"
            f"| asset | model by | source |\n|---|---|---|\n{rows}\n\nUnpack this folder and add it under Preferences "
            "> File Paths > Asset Libraries. The NeAR extension draws the assets.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the folder with the models' .glb files")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "near-library.zip", help="default: %(default)s")
    options = parser.parse_args()
    missing = [each.file for each in SAMPLES if not (options.models / each.file).is_file()]
    if missing:
        sys.exit(f"library.py: {options.models} lacks {', '.join(missing)}.")
    near_blender.register()
    try:
        with tempfile.TemporaryDirectory() as name:
            build(options.models.resolve(), Path(name))
            options.out.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(options.out, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(Path(name).iterdir()):
                    if path.suffix != ".blend1":
                        archive.write(path, f"near_library/{path.name}")
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    finally:
        client.stop_workers()
        near_blender.unregister()


if __name__ == "__main__":
    main()
