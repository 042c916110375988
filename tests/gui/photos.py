"""Run inside a Blender with a window by test_photos.py: an artist lists photos, says with the mouse which thing of one
is meant before there is an asset, and makes it.

OUT: a folder; gets photos.json and screenshots
"""

import shutil
import subprocess
from pathlib import Path

import bpy
import numpy as np
from PIL import Image

import near_blender
from near_blender.asset import photo_options
from near_blender.operators import drawing, jobs, photos
from tests.gui import stepper
from tests.gui.hand import Watch, area, draw_box, screenshot, window
from tests.gui.stepper import OUT, events

PHOTO = Path(near_blender.__file__).parent / "assets" / "coffee.jpg"
NAME = "My cup (front).jpg"
SAUCER = 0.21, 0.66  # on the photo


def do(*actions: str) -> None:
    subprocess.run(["xdotool", *actions], check=True)


def on_photo(x: float, y: float) -> list[str]:
    """Moves the mouse to a place on the photo that is drawn on, in shares of its size from its top left."""
    shown = bpy.context.window_manager.windows[-1]
    editor = next(each for each in shown.screen.areas if each.type == "IMAGE_EDITOR")
    part = next(each for each in editor.regions if each.type == "WINDOW")
    right, up = part.view2d.view_to_region(x, 1 - y, clip=False)
    high = int(subprocess.run(["xdotool", "getdisplaygeometry"], capture_output=True, text=True).stdout.split()[1])
    return ["mousemove", str(shown.x + part.x + right), str(high - shown.y - part.y - up)]


def look(name: str) -> np.ndarray:
    screenshot(OUT / f"{name}.png")
    return np.asarray(Image.open(OUT / f"{name}.png").convert("RGB"), np.int32)


def brightness() -> float:
    """Of the saucer, as the editor shows it."""
    image = bpy.data.images[drawing.NAME]
    shown = np.array(image.pixels[:], np.float32).reshape(image.size[1], image.size[0], 4)[::-1]
    return float(shown[int(SAUCER[1] * shown.shape[0]), int(SAUCER[0] * shown.shape[1]), :3].sum())


def find_brush(found: list[int]):
    """Gets the middle of the button that draws on the first photo: what becomes blue once something is drawn."""
    blue = lambda picture: picture[..., 2] - picture[..., 0] > 80
    before = blue(look("dialog"))
    photos.get_open(0).hints = '{"number": 1}'
    photos.redraw()
    rows = columns = np.zeros(0, int)
    for _ in range(20):
        yield 0.5
        rows, columns = np.nonzero(blue(look("drawn_on")) & ~before)
        if rows.size:
            break
    events["brush"] = [int(edge) for edge in (columns.min(), rows.min(), columns.max(), rows.max())]
    found += [int(np.median(columns)), int(np.median(rows))]
    photos.get_open(0).hints = ""
    photos.redraw()


def draw_around_the_cup():
    events["saucer"] = brightness()
    yield from draw_box(do, on_photo)
    released = Watch()
    yield from stepper.until(lambda: brightness() < 0.85 * events["saucer"], 120)
    events["box_followed_after"], events["saucer_left"] = released.read(), brightness()


def in_viewport(operator, **options):
    do("mousemove", "640", "400")
    region = next(each for each in area("VIEW_3D").regions if each.type == "WINDOW")
    with bpy.context.temp_override(window=window(), area=area("VIEW_3D"), region=region):
        operator("INVOKE_DEFAULT", **options)
    yield 1.5


def steps():
    shutil.copy(PHOTO, OUT / NAME)
    yield 1.0
    yield from in_viewport(bpy.ops.near.create_asset_from_photos, directory=str(OUT), files=[{"name": NAME}])
    do("mousemove", "800", "120", "click", "1")  # beside the dialog, which closes it
    yield from stepper.until(lambda: photos.get_open(0) is None, 10)
    events["left"] = photos.get_open(0) is None
    yield from in_viewport(bpy.ops.wm.call_menu, name="NEAR_MT_add")
    do("key", "p")  # From Photos
    yield from stepper.until(lambda: photos.get_open(0) is not None, 10)
    yield 1.5
    events["kept"] = [Path(photos.get_open(0).path).name, photos.get_open(0).view]
    brush: list[int] = []
    yield from find_brush(brush)
    do("mousemove", *map(str, brush))
    yield 0.5
    do("mousemove", *(str(place + 1) for place in brush))
    yield 0.5
    do("mousedown", "1")
    yield 0.2
    do("mouseup", "1")
    yield from stepper.until(lambda: drawing.NAME in bpy.data.images, 120)
    yield 1.5
    events["windows"] = [len(bpy.context.window_manager.windows)]
    look("picking")
    yield from draw_around_the_cup()
    look("picked")
    do("key", "Return")
    yield from stepper.until(lambda: len(bpy.context.window_manager.windows) == 1, 20)
    yield 1.0
    events["windows"].append(len(bpy.context.window_manager.windows))
    row = photos.get_open(0)
    events["waits"] = jobs.get_current() is None
    events["box"] = photo_options.read_hints(row.hints).box if row is not None and row.hints else None
    for number, (view, reads) in enumerate((("FRONT", False), ("ANGLES", False), ("CAMERA", True))):
        told = photos.get_open(number)
        if number:
            told.path, told.use = str(OUT / NAME), False
        told.view, told.reads_fov, told.orthographic = view, reads, view == "ANGLES"
    photos.get_open(2).camera = "Camera"
    photos.redraw()
    yield 1.0
    look("options")
    do("key", "Return")
    yield from stepper.until(lambda: jobs.get_current() is not None, 10)
    events["creating"] = jobs.get_current().name if jobs.get_current() else ""
    yield from stepper.until(lambda: jobs.get_current() is None, 300)
    yield 1.0
    made = bpy.context.object.near.origin.photos
    events["made"] = [bpy.context.object.name, len(made), photo_options.read_hints(made[0].hints).box if made else None]
    area("VIEW_3D").spaces.active.show_region_ui = True
    yield 1.0
    for each in area("VIEW_3D").regions:
        if each.type == "UI":
            each.active_panel_category = "NeAR"
    yield 2.0
    look("panel")


bpy.context.preferences.view.show_splash = False
near_blender.register()
stepper.run(steps())
