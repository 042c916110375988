"""Run inside a Blender with a window by test_language.py: a message, a label and a tooltip in other languages.

    blender -P language.py -- OUT      OUT: a folder with ball.near; gets language.json and screenshots
"""

import contextlib
import os
import sys
from pathlib import Path

import bpy

OUT = Path(sys.argv[sys.argv.index("--") + 1])
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path += os.environ["NEAR_GUI_PACKAGES"].split(os.pathsep)  # the extension brings its own, a checkout does not

import near_blender
from near_blender.operators import jobs
from tests.gui import hand, stepper

events: dict = {"blender": bpy.app.version_string, "said": {}}


def in_area(kind: str, operator, *arguments, **options):
    area = hand.area(kind)
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=hand.window(), area=area, region=region):
        return operator(*arguments, **options)


def speak(language: str):
    """Has Blender speak it, makes an asset of a mesh, and asks for what a whole asset cannot do."""
    view = bpy.context.preferences.view
    view.language = language
    view.use_translate_interface = view.use_translate_reports = view.use_translate_tooltips = True
    yield 0.5
    bpy.context.view_layer.objects.active = bpy.data.objects["Ball"]
    with contextlib.suppress(RuntimeError):
        in_area("VIEW_3D", bpy.ops.near.limit_camera)
    yield 1.0
    kinds = {area.type for area in hand.window().screen.areas}
    hand.area("INFO" if "INFO" in kinds else "DOPESHEET_EDITOR").type = "INFO"
    yield 0.5
    in_area("INFO", bpy.ops.info.select_all, action="SELECT")
    in_area("INFO", bpy.ops.info.report_copy)
    events["said"][language] = bpy.context.window_manager.clipboard
    yield 1.0
    hand.screenshot(OUT / f"{language}.png")


def steps():
    near_blender.register()
    space = hand.area("VIEW_3D").spaces[0]
    bpy.ops.near.import_asset(filepath=str(OUT / "ball.near"))
    bpy.context.scene.render.engine = "NEAR"
    space.show_region_ui = True
    yield 0.5
    next(r for r in hand.area("VIEW_3D").regions if r.type == "UI").active_panel_category = "NeAR"
    yield 0.5
    for language in ("de_DE", "zh_HANS"):
        yield from speak(language)
    assert jobs.get_current() is None
    bpy.context.preferences.view.language = "en_US"


bpy.context.preferences.view.show_splash = False
stepper.run(steps(), events, OUT / "language.json")
