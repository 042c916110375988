"""Run inside a Blender with a window by test_matte.py: corrects the matte of a photo with the mouse, as an artist does.

OUT: a folder; gets matte.json and screenshots
"""

from pathlib import Path

import bpy
import numpy as np

import near_blender
from near_blender.asset import payload, photo_options
from near_blender.operators import drawing, jobs
from tests.gui import holds, stepper
from tests.gui.hand import Watch, area, at, draw_box, mouse, region, screenshot, window
from tests.gui.stepper import OUT, events

PHOTO = str(Path(near_blender.__file__).parent / "assets" / "coffee.jpg")


def pixels() -> np.ndarray:
    image = bpy.data.images[drawing.NAME]
    return np.array(image.pixels[:], np.float32).reshape(image.size[1], image.size[0], 4)[::-1]


def brightness(x: float, y: float) -> float:
    shown = pixels()
    return float(shown[int(y * shown.shape[0]), int(x * shown.shape[1]), :3].sum())


def script():
    near_blender.register()
    yield 1.0
    mouse("mousemove", "640", "60", "click", "1")  # away with the splash screen
    yield 0.5
    view = area("VIEW_3D")
    with bpy.context.temp_override(window=window(), area=view, region=view.regions[-1]):
        with holds.waiting():
            bpy.ops.near.create_asset_from_image(filepath=PHOTO)
        ob = bpy.context.object
        events["before"] = len(payload.decode_asset(ob).coords)
        view.type = "IMAGE_EDITOR"
    yield 0.5
    with bpy.context.temp_override(window=window(), area=area("IMAGE_EDITOR"), region=region()):
        events["started"] = list(bpy.ops.near.correct_matte())
    yield from stepper.until(lambda: drawing.NAME in bpy.data.images, 120)
    yield 1.0
    screenshot(OUT / "found.png")
    events["saucer"] = brightness(0.21, 0.66)
    yield from draw_box(mouse, at)
    released = Watch()
    yield from stepper.until(lambda: brightness(0.21, 0.66) < 0.85 * events["saucer"], 120)
    events["box_followed_after"] = released.read()
    events["saucer_left"] = brightness(0.21, 0.66)
    # a stroke that takes the cup's middle away
    events["cup"] = brightness(0.47, 0.33)
    mouse(*at(0.45, 0.3), "keydown", "ctrl", "mousedown", "1")
    yield 0.3
    mouse(*at(0.52, 0.32))
    yield 0.2
    mouse("mouseup", "1", "keyup", "ctrl")
    released = Watch()
    yield from stepper.until(lambda: brightness(0.47, 0.33) < 0.7 * events["cup"], 20)
    events["stroke_followed_after"] = released.read()
    screenshot(OUT / "drawn.png")
    mouse(*at(0.5, 0.5), "key", "z")
    yield from stepper.until(lambda: brightness(0.47, 0.33) > 0.9 * events["cup"], 20)
    events["undone"] = brightness(0.47, 0.33)
    mouse("key", "Return")
    yield from stepper.until(lambda: jobs.get_current() is not None, 10)
    yield from stepper.until(lambda: jobs.get_current() is None, 400)
    yield 0.5
    hints = photo_options.read_hints(ob.near.origin.hints)
    events["box"] = hints and hints.box
    events["after"], events["images"] = len(payload.decode_asset(ob).coords), [i.name for i in bpy.data.images]
    area("IMAGE_EDITOR").type = "VIEW_3D"
    area("VIEW_3D").spaces.active.show_region_ui = True
    yield 1.0
    for each in area("VIEW_3D").regions:
        if each.type == "UI":
            each.active_panel_category = "NeAR"
    yield 2.0
    screenshot(OUT / "panel.png")
    # where no Image Editor is open: in a window of its own
    with bpy.context.temp_override(window=window(), area=area("VIEW_3D"), region=area("VIEW_3D").regions[-1]):
        bpy.ops.near.correct_matte()
    events["windows"] = [len(bpy.context.window_manager.windows)]
    yield from stepper.until(lambda: drawing.NAME in bpy.data.images, 120)
    yield 1.0
    screenshot(OUT / "window.png")
    mouse("mousemove", "640", "400", "key", "Return")
    yield from stepper.until(lambda: len(bpy.context.window_manager.windows) == 1, 20)
    yield 1.0
    events["windows"].append(len(bpy.context.window_manager.windows))
    events["goes_on"] = jobs.get_current() is not None and not jobs.get_current().job.done
    mouse("key", "Escape")
    yield from stepper.until(lambda: jobs.get_current() is None, 60)


stepper.run(script())
