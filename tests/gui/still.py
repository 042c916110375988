"""Run inside a Blender with a window by test_still.py: F12 after Rendered mode; and inside one without: the same file.

OUT: a folder; gets scene.blend, window.exr and still.json, or plain.exr
"""

import bpy

import near_blender
from near_blender.engine import viewport
from tests.gui import hand, stepper
from tests.gui.stepper import OUT


def build() -> None:
    """The sample on a floor that Cycles draws, under the lamp of a new file."""
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    bpy.ops.near.add_sample()
    bpy.ops.mesh.primitive_plane_add(size=6)
    scene = bpy.context.scene
    scene.render.engine, scene.near.samples, scene.render.resolution_percentage = "NEAR", 4, 20
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR_MULTILAYER", "32"
    bpy.context.view_layer.use_pass_z = True
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "scene.blend"))


def script():
    build()
    hand.area("VIEW_3D").spaces[0].shading.type = "RENDERED"
    yield 1.0
    yield from stepper.until(lambda: not any(view.is_busy() for view in viewport._views), 90)
    yield from stepper.press_f12(OUT / "window.exr")


near_blender.register()
if bpy.app.background:
    bpy.ops.wm.open_mainfile(filepath=str(OUT / "scene.blend"))
    bpy.context.scene.render.filepath = str(OUT / "plain.exr")
    bpy.ops.render.render(write_still=True)
    near_blender.unregister()
else:
    bpy.context.preferences.view.show_splash = False
    stepper.run(script())
