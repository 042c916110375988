"""Run inside a Blender with a window by test_dropped.py: photos and an asset dropped on the viewport.

OUT: a folder with ball.near; gets dropped.json and screenshots
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import bpy

import near_blender
from near_blender.asset import payload
from near_blender.operators import jobs, photos
from tests.gui import hand, stepper
from tests.gui.stepper import OUT, events

PHOTO = Path(near_blender.__file__).parent / "assets" / "coffee.jpg"
AT = 500, 400  # pixels of the screen, in the viewport


def drop(*files: Path):
    """Waits until they are dropped; gives how that ended."""
    window = subprocess.run(["xdotool", "search", "--class", "blender"], capture_output=True, text=True).stdout.split()
    subprocess.run(["xdotool", "mousemove", *map(str, AT)], check=True)
    script = Path(__file__).with_name("drop.py")
    process = subprocess.Popen(["python3", str(script), window[-1], *map(str, AT), *map(str, files)])
    yield from stepper.until(lambda: process.poll() is not None, 40)
    return process.poll()


def list_assets() -> list[str]:
    return sorted(ob.name for ob in bpy.data.objects if payload.find_payload(ob) is not None)


def steps():
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    yield 1.0
    events["asset_taken"] = yield from drop(OUT / "ball.near")
    yield from stepper.until(list_assets, 20)
    hand.screenshot(OUT / "asset.png")
    events["asset"], events["place"] = list_assets(), [round(value, 3) for value in bpy.context.object.location]
    events["photo_taken"] = yield from drop(PHOTO)
    yield 1.0
    hand.screenshot(OUT / "photo.png")
    subprocess.run(["xdotool", "key", "Return"], check=True)  # Blender asks whether it shall be a reference, or this
    yield from stepper.until(lambda: jobs.get_current() is not None, 10)
    events["creating"] = jobs.get_current().name if jobs.get_current() else ""
    if jobs.get_current():
        jobs.get_current().job.cancel()
    yield from stepper.until(lambda: jobs.get_current() is None, 20)
    listed = watch_list()
    several = [OUT / "cup_front.jpg", OUT / "cup_right.jpg"]
    for path in several:
        shutil.copy(PHOTO, path)
    yield from drop(*several)
    for _ in range(3):  # a menu that never was answered has nothing chosen yet
        if not listed:
            yield 1.5
            subprocess.run(["xdotool", "key", "Return"], check=True)
            yield from stepper.until(lambda: listed, 3)
    yield 1.0
    hand.screenshot(OUT / "several.png")
    events["listed"] = listed
    events["asked_first"] = jobs.get_current() is None
    subprocess.run(["xdotool", "key", "Escape"], check=True)
    yield 1.0


def watch_list() -> list:
    """Gets what the dialog for several photos lists, once it opens: names and views."""
    listed: list = []
    dialog: Any = photos.NEAR_OT_create_asset_from_photos
    invoke = dialog.invoke

    def watched(self, context, event):
        state = invoke(self, context, event)
        listed.extend([Path(photo.path).name, photo.view] for photo in self.photos)
        return state
    dialog.invoke = watched
    return listed


bpy.context.preferences.view.show_splash = False
near_blender.register()
stepper.run(steps())
