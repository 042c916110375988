"""Run inside a Blender with a window by test_pose.py: fits a large mesh to a photo, corrects it with the mouse, paints
it.

OUT: a folder; gets pose.json and screenshots
"""

import bpy
import numpy as np

import near_blender
from near_blender.asset import payload
from near_blender.operators import jobs, pose
from tests.gui import stepper
from tests.gui.hand import area, at, mouse, region, screenshot, window
from tests.gui.stepper import OUT, events


def pixels() -> np.ndarray:
    return np.array(bpy.data.images[pose.NAME].pixels[:], np.float32)


def draw_photo() -> str:
    """A photo of the default cube made longer, by Cycles, so that its pose is known."""
    scene, cube = bpy.context.scene, bpy.data.objects["Cube"]
    cube.scale = (1.0, 0.5, 0.4)
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 8, "CPU"
    scene.cycles.use_denoising = False  # Debian's 4.3 cannot
    scene.render.film_transparent, scene.render.resolution_percentage = True, 20
    scene.render.filepath = str(OUT / "photo.png")
    bpy.ops.render.render(write_still=True)
    cuts = cube.modifiers.new("Cuts", "SUBSURF")
    cuts.subdivision_type, cuts.levels, cuts.render_levels = "SIMPLE", 0, 8  # 786,000 triangles
    return scene.render.filepath


def script():
    near_blender.register()
    yield 1.0
    mouse("mousemove", "640", "60", "click", "1")  # away with the splash screen
    yield 0.5
    path = draw_photo()
    view = area("VIEW_3D")
    view.type = "IMAGE_EDITOR"
    yield 0.5
    with bpy.context.temp_override(window=window(), area=area("IMAGE_EDITOR"), region=region()):
        events["started"] = list(bpy.ops.near.create_asset_from_image("INVOKE_DEFAULT", filepath=path,
                                                                      mesh_object="Cube"))
    yield from stepper.until(lambda: pose.NAME in bpy.data.images, 200)
    yield 1.0
    screenshot(OUT / "found.png")
    before = pixels()
    mouse(*at(0.5, 0.5), "mousedown", "1")
    yield 0.3
    mouse(*at(0.55, 0.5))
    yield 0.3
    mouse("mouseup", "1")
    yield from stepper.until(lambda: not np.array_equal(pixels(), before), 20)
    yield 2.0
    screenshot(OUT / "turned.png")
    events["turned"] = float(np.abs(pixels() - before).mean())
    mouse(*at(0.5, 0.5), "key", "z")
    yield from stepper.until(lambda: np.array_equal(pixels(), before), 20)
    events["found_again"] = bool(np.array_equal(pixels(), before))
    mouse("key", "Return")
    yield from stepper.until(lambda: jobs.get_current() is not None, 10)
    yield from stepper.until(lambda: jobs.get_current() is None, 400)
    yield 0.5
    ob = bpy.context.view_layer.objects.active
    events["asset"] = payload.find_payload(ob) is not None
    asset, cube = payload.decode_asset(ob), bpy.data.objects["Cube"]
    apart = np.abs(np.array(ob.matrix_world) - np.array(cube.matrix_world)).max()
    events["stands_for"] = cube.hide_get() and cube.hide_render and bool(apart < 1e-4)
    truth = bpy.context.scene.camera.matrix_world
    found = np.array(asset.camera["matrix_world"])[:3, :3]
    turn = (np.array(truth.to_3x3()).T @ found)
    events["degrees"] = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    events["images"] = [image.name for image in bpy.data.images]
    screenshot(OUT / "made.png")


stepper.run(script())
