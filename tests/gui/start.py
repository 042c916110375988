"""Run inside a Blender with a window by test_start.py: the five minutes of docs/start.md, from the zip to a photo.

    blender -P start.py -- ZIP OUT      OUT: a folder; gets a screenshot of each step and start.json
"""

import json
import math
import os
import sys
import time
import traceback
from pathlib import Path

import bpy
from mathutils import Vector

ZIP, OUT = map(Path, sys.argv[sys.argv.index("--") + 1:][:2])
ROOT = Path(__file__).resolve().parents[2]
sys.path += os.environ["NEAR_GUI_PACKAGES"].split(os.pathsep)  # the wheels of that Blender's Python
sys.path += [str(ROOT / "tests" / "gui")]

import hand

ADDON = "bl_ext.user_default.near"
HDRI = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights" / "world" / "forest.exr"
events: dict = {"blender": bpy.app.version_string}


def module(name: str):
    return sys.modules[f"{ADDON}.near_blender.{name}"]


def until(condition, seconds: float):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        yield 0.05


def at_rest():
    """Lets the viewport come to its last picture."""
    yield 1.0
    yield from until(lambda: not any(view.is_busy() for view in module("engine.viewport")._views), 90)
    yield 1.0


def show_properties(tab: str) -> None:
    hand.area("PROPERTIES").spaces[0].context = tab


def install():
    bpy.ops.screen.userpref_show("INVOKE_DEFAULT")
    bpy.context.preferences.active_section = "EXTENSIONS"
    yield 1.5
    start = time.monotonic()
    bpy.ops.extensions.package_install_files(filepath=str(ZIP), repo="user_default", enable_on_install=True)
    events["install"] = round(time.monotonic() - start, 2)
    yield 2.0
    hand.mouse("mousemove", "294", "260", "click", "1")
    yield 2.0
    hand.screenshot(OUT / "1_install.png")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
        bpy.ops.wm.window_close()
    yield 0.5


def first_picture():
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    hand.mouse("mousemove", "300", "260")
    yield 0.5
    hand.in_viewport(bpy.ops.wm.call_menu, "INVOKE_DEFAULT", name="NEAR_MT_add")
    yield 1.5
    hand.screenshot(OUT / "2_add.png")
    hand.mouse("key", "Escape")
    yield 0.5
    hand.in_viewport(bpy.ops.near.add_sample)
    bpy.context.scene.render.engine = "NEAR"
    show_properties("RENDER")
    hand.area("VIEW_3D").spaces[0].shading.type = "RENDERED"
    hand.in_viewport(bpy.ops.view3d.view_selected)
    yield from at_rest()
    hand.screenshot(OUT / "3_rendered.png")
    bpy.context.scene.render.resolution_percentage = 50
    yield from render("4_f12")


def render(name: str):
    ended: list[float] = []
    note = lambda *_: ended.append(time.monotonic())
    bpy.app.handlers.render_complete.append(note)
    start = time.monotonic()
    with bpy.context.temp_override(window=hand.window()):
        bpy.ops.render.render("INVOKE_DEFAULT")
    yield from until(lambda: ended, 200)
    events[name] = round(ended[0] - start, 2) if ended else "never"
    bpy.app.handlers.render_complete.remove(note)
    yield 1.5
    hand.screenshot(OUT / f"{name}.png")
    while len(bpy.context.window_manager.windows) > 1:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
            bpy.ops.wm.window_close()
        yield 0.5


def light_world() -> None:
    tree = bpy.context.scene.world.node_tree
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = bpy.data.images.load(str(HDRI))
    background = next(node for node in tree.nodes if node.type == "BACKGROUND")
    background.inputs["Strength"].default_value = 0.4
    tree.links.new(texture.outputs["Color"], background.inputs["Color"])


def floor_and_lamp():
    light_world()
    asset = bpy.context.object
    hand.in_viewport(bpy.ops.mesh.primitive_plane_add, size=6, location=(0, 0, 0))
    wood = bpy.data.materials.new("Floor")
    wood.use_nodes = True  # before 5.0 they are not there by themselves
    surface = next(node for node in wood.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    surface.inputs["Base Color"].default_value = (0.35, 0.2, 0.1, 1)
    surface.inputs["Roughness"].default_value = 0.5
    bpy.context.object.data.materials.append(wood)
    lamp = bpy.data.objects["Light"]
    lamp.location, lamp.data.energy, lamp.data.color = (1.6, -1.2, 2.2), 120, (1, 0.75, 0.5)
    low = min((asset.matrix_world @ Vector(corner)).z for corner in asset.bound_box)
    asset.location.z -= low
    bpy.context.scene.camera.location, bpy.context.scene.camera.rotation_euler = (2.5, -2.7, 1.5), (1.25, 0, 0.75)
    hand.area("VIEW_3D").spaces[0].region_3d.view_perspective = "CAMERA"
    show_properties("WORLD")
    yield from at_rest()
    hand.screenshot(OUT / "5_floor.png")
    yield from render("6_floor")


def photo():
    jobs = module("operators.jobs")
    scene = bpy.context.scene
    scene.cursor.location = (-0.75, -0.6, 0)
    path = ROOT / "near_blender" / "assets" / "armchair.png"
    hand.in_viewport(bpy.ops.near.create_asset_from_image, filepath=str(path), azimuth=math.radians(30),
                     elevation=math.radians(20))
    space = hand.area("VIEW_3D").spaces[0]
    space.show_region_ui = True
    yield 0.5
    for region in hand.area("VIEW_3D").regions:
        if region.type == "UI":
            region.active_panel_category = "NeAR"
    yield from until(lambda: jobs.get_current() is None or jobs.get_current().icons, 60)
    yield 1.0
    hand.screenshot(OUT / "7_photo.png")
    yield from until(lambda: jobs.get_current() is None, 200)
    yield from at_rest()
    hand.screenshot(OUT / "8_made.png")


def run() -> None:
    script = (wait for step in (install, first_picture, floor_and_lamp, photo) for wait in step())

    def step() -> float | None:
        try:
            return next(script)
        except StopIteration:
            events["log"] = module("log").get_text()
        except Exception:
            events["error"] = traceback.format_exc()
        (OUT / "start.json").write_text(json.dumps(events, indent=1))
        bpy.ops.preferences.addon_disable(module=ADDON)
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(step, first_interval=1.0, persistent=True)


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.render_display_type = "WINDOW"
run()
