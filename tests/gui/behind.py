"""Run inside a Blender with a window by test_behind.py: pictures with dots behind cameras, as Blender draws them and as
NeAR takes them for photos.

OUT: a folder; gets behind.json and screenshots
"""

import math
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from PIL import Image, ImageDraw

import near_blender
from near_blender.operators import scene_photos
from tests.gui import stepper
from tests.gui.hand import area, screenshot, window
from tests.gui.stepper import OUT, events

DOTS = {(255, 0, 255): (0.3, 0.35), (255, 255, 0): (0.7, 0.3), (0, 255, 255): (0.4, 0.7)}  # in the picture
TALL, WIDE = (180, 320), (300, 150)  # pixels of pictures
MOVED = {"offset": (0.15, -0.1), "scale": 0.8}
TURNED = MOVED | {"rotation": math.radians(25)}
# name -> picture's size, frame's size, the camera's lens, the background image's settings
CASES = {
    "as it is": (WIDE, (160, 90), {}, {}),
    "fit, moved": (WIDE, (160, 90), {}, MOVED),
    "fit, turned": (TALL, (160, 90), {"shift_x": 0.1, "shift_y": -0.05}, TURNED),
    "crop, turned": (WIDE, (90, 160), {}, TURNED | {"frame_method": "CROP"}),
    "stretch, turned": (TALL, (160, 90), {}, TURNED | {"frame_method": "STRETCH"}),
    "fit in a tall frame": (WIDE, (90, 160), {"sensor_fit": "HORIZONTAL"}, TURNED),
    "crop, sensor upright": (TALL, (160, 90), {"sensor_fit": "VERTICAL"}, TURNED | {"frame_method": "CROP"}),
    "flipped in Y and X": (TALL, (160, 90), {}, TURNED | {"use_flip_x": True, "use_flip_y": True}),
    "flipped in X": (WIDE, (160, 90), {}, TURNED | {"use_flip_x": True}),
    "flipped in Y": (WIDE, (160, 90), {}, TURNED | {"use_flip_y": True, "frame_method": "CROP"}),
    "orthographic": (WIDE, (160, 90), {"type": "ORTHO", "ortho_scale": 3, "shift_x": 0.1}, TURNED),
    "orthographic, tall": (TALL, (90, 160), {"type": "ORTHO", "ortho_scale": 3}, TURNED | {"frame_method": "CROP"}),
}
events |= {"apart": {}}


def draw_dots(size: tuple[int, int]) -> Path:
    picture = Image.new("RGB", size, (20, 20, 20))
    for color, (x, y) in DOTS.items():
        x, y = x * size[0], y * size[1]
        ImageDraw.Draw(picture).ellipse((x - 12, y - 12, x + 12, y + 12), fill=color)
    picture.save(OUT / f"dots_{size[0]}.png")
    return OUT / f"dots_{size[0]}.png"


def make_camera(path: Path, lens: dict, behind: dict):
    data = bpy.data.cameras.new("Tripod")
    for name, value in lens.items():
        setattr(data, name, value)
    ob = bpy.data.objects.new("Tripod", data)
    ob.matrix_world = bpy.data.objects["Camera"].matrix_world
    bpy.context.scene.collection.objects.link(ob)
    data.show_background_images, data.passepartout_alpha = True, 0.0
    data.show_limits = data.show_name = False
    image = data.background_images.new()
    image.image = bpy.data.images.load(str(path), check_existing=True)
    image.alpha, image.display_depth = 1.0, "FRONT"
    for name, value in behind.items():
        setattr(image, name, value)
    return ob


def find_dots(name: str) -> list[np.ndarray]:
    """Where the window shows the dots, in the viewport's pixels."""
    screenshot(OUT / f"{name.replace(', ', '_').replace(' ', '_')}.png")
    shown = np.asarray(Image.open(OUT / f"{name.replace(', ', '_').replace(' ', '_')}.png").convert("RGB"), np.int32)
    region = next(each for each in area("VIEW_3D").regions if each.type == "WINDOW")
    bottom, left = shown.shape[0] - window().y - region.y, window().x + region.x
    shown = shown[bottom - region.height:bottom, left:left + region.width]
    found = []
    for color in DOTS:
        rows, columns = np.nonzero(np.abs(shown - color).max(-1) < 70)
        found.append(np.array([columns.mean() + 0.5, region.height - rows.mean() - 0.5]) if rows.size else np.zeros(2))
    return found


def expect_dots(told, path: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """Where the window would show things of the scene that the photo's camera, as NeAR has it, sees at the dots."""
    camera = scene_photos.take_camera(told, path, bpy.context.scene)
    region = next(each for each in area("VIEW_3D").regions if each.type == "WINDOW")
    found = []
    for x, y in DOTS.values():
        x = 1 - x if scene_photos.is_mirrored(told, path) else x
        ray = (np.array([x * size[0], y * size[1]]) - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2]
        place = np.append(ray if camera.orthographic else 5 * ray, 5)
        world = (place - camera.world_to_camera[:3, 3]) @ camera.world_to_camera[:3, :3]
        view = area("VIEW_3D").spaces.active.region_3d
        found.append(np.array(location_3d_to_region_2d(region, view, world.tolist())))
    return found


def clear_view() -> None:
    space = area("VIEW_3D").spaces.active
    space.show_gizmo = space.overlay.show_text = space.overlay.show_floor = False
    space.overlay.show_axis_x = space.overlay.show_axis_y = space.overlay.show_cursor = False
    space.show_region_ui = space.show_region_toolbar = False
    for ob in bpy.context.scene.objects:
        ob.hide_set(True)


def steps():
    yield 1.0
    clear_view()
    region = next(each for each in area("VIEW_3D").regions if each.type == "WINDOW")
    owner = bpy.data.objects.new("Owner", None).near.origin
    for name, (size, frame, lens, behind) in CASES.items():
        path, render = draw_dots(size), bpy.context.scene.render
        render.resolution_x, render.resolution_y = frame
        bpy.context.scene.camera = ob = make_camera(path, lens, behind)
        told = owner.photos.add()
        told.path, told.view, told.camera = str(path), "CAMERA", ob.name
        view = area("VIEW_3D").spaces.active.region_3d
        if view.view_perspective != "CAMERA":
            with bpy.context.temp_override(window=window(), area=area("VIEW_3D"), region=region):
                bpy.ops.view3d.view_camera()
        view.view_camera_zoom, view.view_camera_offset = 0, (0, 0)
        yield 1.0
        dots = zip(find_dots(name), expect_dots(told, path, size))
        events["apart"][name] = max(float(np.linalg.norm(seen - said)) for seen, said in dots)
        ob.hide_set(True)


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.smooth_view = 0
near_blender.register()
stepper.run(steps())
