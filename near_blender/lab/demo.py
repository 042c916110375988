"""What an artist does, from Install from Disk to F12, in a real Blender; started by `build.py demo`.

    python demo.py EXTENSION.zip FOLDER

Works through operators and properties only. Writes FOLDER/contact_sheet.png and FOLDER/passes.exr, prints the time of
each step, and ends with status 1 where one failed.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np
import still_life  # type: ignore[import-not-found]  # beside this file, which runs as a script
from mathutils import Vector

ADDON = "bl_ext.user_default.near"
PASSES = ("Combined", "Depth", "Normal", "Base Color", "Roughness", "Metallic", "Shadow")
TILE = (480, 270)  # pixels of one picture in the contact sheet
SIZE, TABLE_SIZE = (960, 540), (1280, 720)  # pixels of a picture; of the table's
LIGHTS = (("forest", 0), ("sunset", 60), ("sunset", 150))  # HDRIs that ship with Blender, degrees about Z
AZIMUTHS = (10, -35)  # degrees, where the two cameras stand
PLACES = ((-0.95, 0.4), (-0.55, -0.5), (0.05, 0.5), (1.05, 0.35), (0.5, -0.5))  # metres, x and y of the five assets
TABLE = {  # those on the table, by their place: longest side and middle of the foot in metres, degrees about Z
    2: (0.27, (-0.13, -0.06, 0.0), -22), 0: (0.36, (0.08, 0.33, 0.0), -10), 3: (0.18, (0.36, 0.13, 0.076), -16)}


class Demo:
    """Steps one after the other, each with its time; a failed one is told and the next goes on with what there is."""

    def __init__(self, archive: Path, out: Path):
        self.archive, self.out = archive, out
        self.failed: list[str] = []
        self.missing: list[str] = []  # what waits for networks that are not trained yet
        self.assets = Path(__file__).parents[1] / "assets"
        self.pictures: list[tuple[str, Path]] = []
        self.placed: dict[int, bpy.types.Object] = {}
        self.start = time.monotonic()

    def step(self, title: str, function, *arguments) -> None:
        start = time.monotonic()
        try:
            function(*arguments)
        except Exception as error:
            untrained = "no trained" in str(error)
            (self.missing if untrained else self.failed).append(title)
            print(f"demo: {'NOT THERE YET' if untrained else 'FAILED'}: {title}: "
                  f"{' '.join(str(error).split()) or type(error).__name__}", flush=True)
        print(f"demo: {title}: {time.monotonic() - start:.1f} s", flush=True)

    # --- what the artist does

    def install(self) -> None:
        bpy.ops.wm.read_factory_settings()
        bpy.ops.extensions.package_install_files(filepath=str(self.archive), repo="user_default",
                                                 enable_on_install=True)
        if ADDON not in bpy.context.preferences.addons:
            raise RuntimeError("Blender did not enable the extension")

    def empty_scene(self) -> None:
        for ob in list(bpy.data.objects):
            bpy.data.objects.remove(ob)
        bpy.context.scene.view_settings.view_transform = "Standard"

    def create(self, place: int, size: float, operator, **options) -> None:
        """Adds an asset and stands it on the ground at PLACES[place], its longest side `size` metres."""
        before = set(bpy.data.objects)
        operator(**options)
        (made,) = set(bpy.data.objects) - before
        self.placed[place] = made
        stand(made, size, (*PLACES[place], 0))

    def create_from_mesh(self) -> None:
        """Suzanne in polished copper, made by hand."""
        bpy.ops.mesh.primitive_monkey_add()
        bpy.ops.object.shade_smooth()
        monkey = bpy.context.object
        monkey.modifiers.new("Smooth", "SUBSURF").levels = 2
        material = bpy.data.materials.new("Copper")
        material.use_nodes = True
        surface = material.node_tree.nodes["Principled BSDF"]
        surface.inputs["Base Color"].default_value = (0.85, 0.42, 0.2, 1)
        surface.inputs["Metallic"].default_value, surface.inputs["Roughness"].default_value = 1, 0.3
        monkey.data.materials.append(material)
        monkey.select_set(True)
        self.create(3, 0.9, bpy.ops.near.create_asset_from_mesh, object_name=monkey.name)
        monkey.hide_render = True

    def export_and_import(self) -> None:
        """The copper asset goes through a .near file and comes back as another object."""
        bpy.ops.near.export_asset(filepath=str(self.out / "monkey.near"))
        self.create(4, 0.6, bpy.ops.near.import_asset, filepath=str(self.out / "monkey.near"))
        bpy.context.object.rotation_euler.z += math.radians(-40)

    def lay_table(self) -> None:
        """A scene of its own: a table with a lamp and ordinary things, and three of the assets among them."""
        scene = bpy.data.scenes.new("Table")
        bpy.context.window.scene = scene
        still_life.build()
        for place, (size, foot, degrees) in TABLE.items():
            if place in self.placed:
                twin = self.placed[place].copy()
                scene.collection.objects.link(twin)
                twin.rotation_euler.z = math.radians(degrees)
                stand(twin, size, foot)
        still_life.build_world("interior", 0, 0.15)
        scene.view_settings.view_transform = "AgX"
        scene.near.samples = 32

    def put_ground(self) -> None:
        """What catches shadows at the assets' feet, so that they stand in the map's picture."""
        bpy.ops.mesh.primitive_plane_add(size=40)
        bpy.context.object.name, bpy.context.object.is_shadow_catcher = "Ground", True
        bpy.context.scene.near.samples = 8

    def camera(self, azimuth: float) -> None:
        scene = bpy.context.scene
        if scene.camera is None:
            bpy.ops.object.camera_add()
            scene.camera = bpy.context.object
            scene.camera.data.lens = 50
        angle, target = math.radians(azimuth), Vector((0, 0, 0.3))
        position = target + Vector((math.sin(angle), -math.cos(angle), 0.35)).normalized() * 5
        scene.camera.location = position
        scene.camera.rotation_euler = (target - position).to_track_quat("-Z", "Y").to_euler()

    def render(self, label: str, path: Path, multilayer: bool = False, size: tuple[int, int] = SIZE) -> None:
        scene = bpy.context.scene
        scene.render.engine = "NEAR"
        scene.render.resolution_x, scene.render.resolution_y = size
        layer = bpy.context.view_layer
        layer.use_pass_z = layer.use_pass_normal = multilayer
        for name in ("base_color", "roughness", "metallic", "shadow"):
            setattr(layer.near, f"use_pass_{name}", multilayer)
        if hasattr(scene.render.image_settings, "media_type"):  # from 5.0
            scene.render.image_settings.media_type = "MULTI_LAYER_IMAGE" if multilayer else "IMAGE"
        scene.render.image_settings.file_format = "OPEN_EXR_MULTILAYER" if multilayer else "PNG"
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        if not path.is_file():
            raise RuntimeError(f"{path.name} was not written")
        if not multilayer:
            self.pictures.append((label, path))

    def render_passes(self) -> None:
        """The assets' own passes, without the ground."""
        bpy.data.objects["Ground"].hide_render = True
        self.render("", self.out / "passes.exr", multilayer=True)

    # --- what is shown of it

    def contact_sheet(self) -> None:
        """The table, photos, pictures under the lights and every pass on one page."""
        from PIL import Image, ImageDraw

        photos = [self.assets / "coffee.jpg", self.assets / "armchair.png"]
        tiles = [(title, _fitted(picture)) for photo in photos
                 for title, picture in (("photo", Image.open(photo)), ("matte and crop", _matte(photo)))]
        tiles += [(label, _fitted(Image.open(path))) for label, path in self.pictures if path.stem != "table"]
        if (self.out / "passes.exr").is_file():
            tiles += [(name, _fitted(picture)) for name, picture in _passes(self.out / "passes.exr")]
        columns, caption = 4, 18
        cells = [(x, y) for y in range(2 + len(tiles)) for x in range(columns)]
        if (self.out / "table.png").is_file():  # over the first two by two
            cells = [(x, y) for x, y in cells if x > 1 or y > 1]
            label = "One F12: the armchair from a picture, keg and head from meshes; Cycles draws the rest"
            tiles.append((label, _fitted(Image.open(self.out / "table.png"), (2 * TILE[0], 2 * TILE[1] + caption))))
            cells[len(tiles) - 1] = 0, 0
        rows = max(y for _, y in cells[:len(tiles)]) + 1
        sheet = Image.new("RGB", (columns * TILE[0], rows * (TILE[1] + caption)), (24, 24, 24))
        for (label, picture), (x, y) in zip(tiles, cells):
            left, top = x * TILE[0], y * (TILE[1] + caption)
            sheet.paste(picture, (left, top + caption))
            ImageDraw.Draw(sheet).text((left + 4, top + 3), label, (230, 230, 230))
        sheet.save(self.out / "contact_sheet.png")

    def run(self) -> int:
        self.step("install the extension from disk", self.install)
        if self.failed:
            return 1
        near = bpy.ops.near
        self.step("empty the scene", self.empty_scene)
        self.step("add the sample", lambda: self.create(0, 0.95, near.add_sample))
        still_life.build_world(*LIGHTS[0])
        self.camera(AZIMUTHS[0])
        self.step("F12: the sample", self.render, "the sample", self.out / "sample.png")
        seconds = time.monotonic() - self.start
        print(f"demo: from Install from Disk to the sample's first picture: {seconds:.1f} s", flush=True)
        self.step("create from a photo (coffee)",
                  lambda: self.create(1, 0.8, near.create_asset_from_image, filepath=str(self.assets / "coffee.jpg")))
        self.step("create from a picture (armchair)",
                  lambda: self.create(2, 0.95, near.create_asset_from_image, filepath=str(self.assets / "armchair.png"),
                                      azimuth=math.radians(30), elevation=math.radians(20), fov=math.radians(32)))
        self.step("create from a mesh", self.create_from_mesh)
        self.step("export and import a .near file", self.export_and_import)
        self.step("put a shadow catcher below", self.put_ground)
        for name, degrees in LIGHTS:
            for azimuth in AZIMUTHS:
                label = f"{name} turned {degrees}, camera at {azimuth}"
                still_life.build_world(name, degrees)
                self.camera(azimuth)
                self.step(f"F12: {label}", self.render, label, self.out / f"{name}_{degrees}_{azimuth}.png")
        self.step("F12: every pass", self.render_passes)
        self.step("lay a table with a lamp", self.lay_table)
        self.step("F12: a table with a lamp", self.render, "a table with a lamp", self.out / "table.png", False,
                  TABLE_SIZE)
        self.step("contact sheet", self.contact_sheet)
        print(f"demo: {time.monotonic() - self.start:.1f} s in Blender; "
              f"{'FAILED: ' + ', '.join(self.failed) if self.failed else 'no step failed'}"
              f"{'; not there yet: ' + ', '.join(self.missing) if self.missing else ''}", flush=True)
        return 1 if self.failed else 0


def stand(ob: bpy.types.Object, size: float, foot: tuple[float, float, float]) -> None:
    """Makes the longest side of ob `size` metres and puts the middle of its lowest side on `foot`."""
    bpy.context.view_layer.update()
    ob.scale *= size / max(ob.dimensions)
    bpy.context.view_layer.update()
    corners = np.array([ob.matrix_world @ Vector(corner) for corner in ob.bound_box])
    low, high = corners.min(0), corners.max(0)
    ob.location += Vector(foot) - Vector((*((low + high) / 2)[:2], low[2]))


def _fitted(picture, size=TILE):
    """A PIL picture as a tile of that size, its transparency on grey."""
    from PIL import Image

    picture = picture.convert("RGBA")
    picture.thumbnail(size)
    tile = Image.new("RGB", size, (90, 90, 90))
    tile.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2), picture)
    return tile


def _matte(photo: Path):
    """A photo as the worker cuts it out, made by the installed extension's own code in a process without Blender."""
    from PIL import Image

    program = ("import sys, numpy as np; from near_core import image; from near_core.create import create, photo\n"
               "from near_core.models.mini import runtime\n"
               "cut = photo.prepare(sys.argv[1], None, create.matte_of(runtime.NearMini()))\n"
               "color = image.srgb_encode(cut.rgb)\n"
               "np.save(sys.argv[2], np.concatenate([color, cut.alpha[..., None]], 2))")
    folder = Path(sys.modules[ADDON].__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "matte.npy"
        subprocess.run([sys.executable, "-c", program, photo, file], check=True,
                       env={**os.environ, "PYTHONPATH": str(folder)})
        pixels = np.load(file)
    pair = np.concatenate([np.concatenate([pixels[..., 3:].repeat(3, 2), np.ones_like(pixels[..., 3:])], 2), pixels], 1)
    return Image.fromarray(np.round(255 * pair).astype(np.uint8))


def _passes(path: Path):
    """(name, PIL picture) of each pass but Combined: depth near to far, normals around grey, colours encoded."""
    import OpenEXR
    from PIL import Image

    channels = {}
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            channels.update({name: channel.pixels.astype(np.float32) for name, channel in part.channels.items()})
    for name in PASSES[1:]:
        found = sorted((key for key in channels if key.split(".")[-2] == name), key=lambda key: "RGBXYZV".find(key[-1]))
        if not found:
            raise RuntimeError(f"{path.name} has no pass {name}")
        values = np.stack([channels[key] for key in found[:3]], -1)
        if name == "Depth":
            hit = values < 1e9
            low, high = values[hit].min(), values[hit].max()
            values = np.where(hit, 1 - 0.9 * (values - low) / max(high - low, 1e-6), 0)
        elif name == "Normal":
            values = np.where(np.abs(values).sum(-1, keepdims=True) > 0, 0.5 + 0.5 * values, 0)
        elif name == "Base Color":
            values = np.clip(values, 0, 1) ** (1 / 2.2)
        bytes_ = np.round(255 * np.clip(np.repeat(values, 3 // values.shape[-1], -1), 0, 1)).astype(np.uint8)
        yield name, Image.fromarray(bytes_)


if __name__ == "__main__":
    try:
        status = Demo(Path(sys.argv[1]), Path(sys.argv[2])).run()
    finally:
        # Blender's module hangs at its end while an engine is registered
        bpy.ops.preferences.addon_disable(module=ADDON)
    sys.stdout.flush()
    os._exit(status)
