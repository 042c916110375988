"""Run inside a Blender with a window by test_several.py: From Mesh with several objects selected, done and stopped.

OUT: a folder; gets several.json and screenshots
"""

import subprocess

import bpy

import near_blender
from near_blender.asset import payload
from near_blender.client import client
from near_blender.operators import jobs
from tests.gui import stepper
from tests.gui.hand import area, in_viewport, screenshot
from tests.gui.stepper import OUT, events


def describe() -> dict:
    """What is in the scene: sources that are hidden, assets, and what is selected."""
    assets = sorted(ob.name for ob in bpy.data.objects if payload.find_payload(ob) is not None)
    return {"assets": assets, "hidden": sorted(ob.name for ob in bpy.data.objects if ob.hide_render),
            "selected": sorted(ob.name for ob in bpy.context.view_layer.objects.selected)}


def add_meshes() -> None:
    in_viewport(bpy.ops.mesh.primitive_cone_add, location=(3, 0, 0))
    bpy.context.object.modifiers.new("Smooth", "SUBSURF").levels = 5
    nothing = bpy.data.objects.new("Nothing", bpy.data.meshes.new("Nothing"))
    bpy.context.scene.collection.objects.link(nothing)
    for ob in bpy.data.objects:
        ob.select_set(True)  # camera and light, too
    bpy.ops.ed.undo_push(message="Meshes")


def steps():
    area("VIEW_3D").spaces[0].show_region_ui = True
    yield 0.5
    next(each for each in area("VIEW_3D").regions if each.type == "UI").active_panel_category = "NeAR"
    client.get_worker().check(60)
    add_meshes()
    yield 1.0
    events["before"], statuses = describe(), set()
    in_viewport(bpy.ops.near.create_asset_from_mesh, "INVOKE_DEFAULT", detail="DRAFT")
    while jobs.get_current() is not None:
        statuses.add(jobs.get_current().status)
        if len(statuses) == 4:
            screenshot(OUT / "under_way.png")
        yield 0.05
    yield 1.0
    events["statuses"], events["made"] = sorted(statuses), describe()
    screenshot(OUT / "made.png")
    in_viewport(bpy.ops.ed.undo)
    events["undone"] = describe()
    yield 1.0

    in_viewport(bpy.ops.near.create_asset_from_mesh, "INVOKE_DEFAULT", detail="DRAFT")
    yield from stepper.until(lambda: jobs.get_current().status.startswith("2 of"), 200)
    subprocess.run(["xdotool", "mousemove", "400", "400", "key", "Escape"], check=True)
    yield from stepper.until(lambda: jobs.get_current() is None, 60)
    yield 1.0
    events["stopped"] = describe()
    in_viewport(bpy.ops.ed.undo)
    events["stopped_undone"] = describe()


bpy.context.preferences.view.show_splash = False
near_blender.register()
stepper.run(steps())
