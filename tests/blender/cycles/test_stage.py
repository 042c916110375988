"""The artist's scene in the second Blender."""

import bpy

from near_blender.cycles import stage as cycles_stage


def test_the_second_blender_leaves_strokes_out():
    """It would draw them in vain, and crashed where line art looks at an asset's skin."""
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    if bpy.app.version >= (4, 3, 0):
        bpy.ops.object.grease_pencil_add(type="LINEART_SCENE")
    else:
        bpy.ops.object.gpencil_add(type="LINEART_SCENE")
    instanced = bpy.context.object.copy()
    bpy.data.collections.new("Sketches").objects.link(instanced)
    shown = bpy.data.objects.new("Shown", None)
    shown.instance_type, shown.instance_collection = "COLLECTION", bpy.data.collections["Sketches"]
    bpy.context.scene.collection.objects.link(shown)
    cycles_stage.set_up(bpy.context.scene)
    assert instanced.hide_render and instanced.hide_viewport
    assert bpy.context.object.hide_render and bpy.context.object.hide_viewport and not cube.hide_render


def test_what_comes_for_one_bake_goes_and_all_else_stays():
    """A proxy in whose place a skin stands has no user."""
    waiting = bpy.data.meshes.new("Waiting")
    with cycles_stage.alone("Bake") as scene:
        assert bpy.context.window_manager.windows[0].scene == scene
        scene.world = bpy.data.worlds.new("Came")
        scene.world.use_fake_user = True
    assert waiting.name in bpy.data.meshes and not {"Bake", "Came"} & {each.name for each in bpy.data.user_map()}
