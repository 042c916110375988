"""Run inside a Blender with a window by test_bake.py: bakes an asset as an artist does, and repeats that.

OUT: a folder; gets bake.json
"""

import time

import bpy

import near_blender
from tests.gui import holds, stepper
from tests.gui.hand import viewport
from tests.gui.stepper import OUT, events


def count_baked() -> int:
    return sum("Baked" in ob.name for ob in bpy.data.objects)


def script():
    near_blender.register()
    yield 1.0
    tree = bpy.context.scene.world.node_tree  # a World that Cycles has to draw
    noise = tree.nodes.new("ShaderNodeTexNoise")
    tree.links.new(noise.outputs["Color"], next(n for n in tree.nodes if n.type == "BACKGROUND").inputs["Color"])
    with bpy.context.temp_override(**viewport()):
        with holds.waiting():
            bpy.ops.near.add_sample()
        name = bpy.context.object.name
        start = time.monotonic()
        events["started"] = list(bpy.ops.near.bake_mesh("INVOKE_DEFAULT", side="1024"))
        events["away_for"] = time.monotonic() - start
    yield from stepper.until(lambda: count_baked() == 1, 200)
    yield 0.5
    events["baked"] = count_baked()
    with bpy.context.temp_override(**viewport()), holds.waiting():
        events["last"] = [operator.bl_idname for operator in bpy.context.window_manager.operators]
        bpy.context.view_layer.objects.active = bpy.data.objects[name]
        events["repeated"] = list(bpy.ops.screen.repeat_last())
    yield 1.0
    events["baked_again"] = count_baked()
    with bpy.context.temp_override(**viewport()), holds.waiting():
        bpy.context.view_layer.objects.active = bpy.data.objects[name]
        bpy.ops.near.bake_splats(filepath=str(OUT / "sample.ply"))  # as a script does
        events["splats"] = (OUT / "sample.ply").stat().st_size


stepper.run(script())
