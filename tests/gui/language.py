"""Run inside a Blender with a window by test_language.py: a message, a label and a tooltip in other languages.

OUT: a folder with ball.near; gets language.json and screenshots
"""

from typing import Any

import bpy

import near_blender
from near_blender import translations
from near_blender.asset import photo_options
from near_blender.operators import jobs
from tests.gui import hand, stepper
from tests.gui.stepper import OUT, events

events |= {"said": {}, "lens": {}, "skin": {}}


def in_area(kind: str, operator, *arguments, **options):
    area = hand.area(kind)
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=hand.window(), area=area, region=region):
        return operator(*arguments, **options)


def speak(language: str):
    """Has Blender speak it, asks for what a whole asset cannot do, and looks at what the panel says of a modifier."""
    view = bpy.context.preferences.view
    view.language = language
    view.use_translate_interface = view.use_translate_reports = view.use_translate_tooltips = True
    yield 0.5
    bpy.context.view_layer.objects.active = bpy.data.objects["Ball"]
    try:
        in_area("VIEW_3D", bpy.ops.near.limit_camera)
    except RuntimeError as error:
        events["said"][language] = str(error)
    fov: Any = photo_options.NEAR_PG_photo.bl_rna.properties["fov"]
    events["lens"][language] = bpy.app.translations.pgettext_iface(fov.name, fov.translation_context)
    events["skin"][language] = translations.translate("Skin")  # a phase, no armature's
    yield 2.0
    hand.screenshot(OUT / f"{language}.png")


def steps():
    near_blender.register()
    space = hand.area("VIEW_3D").spaces[0]
    bpy.ops.near.import_asset(filepath=str(OUT / "ball.near"))
    bpy.context.object.modifiers.new("Remesh", "REMESH")  # which the asset cannot follow
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
stepper.run(steps())
