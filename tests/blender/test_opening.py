"""near_blender.opening: what a file from somebody else can make NeAR do, which is to draw it."""

import subprocess
import sys
from pathlib import Path

import bpy
import pytest
import stage

import near_blender
from near_blender.client import client
from near_blender.cycles import scene as cycles_scene
from near_blender.engine import compositing

ROOT = Path(__file__).resolve().parents[2]


def trap(marker) -> str:
    """A line of Python that leaves a trace."""
    return f"open({str(marker)!r}, 'a').close()"


def set_traps(scene, marker) -> None:
    """Everything in a .blend file that may run Python or write files: texts that register themselves, drivers on
    objects, worlds and nodes, Freestyle's scripts, and a compositor that writes."""
    text = bpy.data.texts.new("trap.py")
    text.write(trap(marker))
    text.use_module = True
    expression = f"{trap(marker)} or 1.0"
    strength = scene.world.node_tree.nodes["Background"].inputs["Strength"]
    for owner, path in ((scene.objects["Cube"], "location"), (strength, "default_value"), (scene.near, "samples")):
        drivers = owner.driver_add(path)
        for curve in drivers if isinstance(drivers, list) else [drivers]:
            curve.driver.expression = expression
    scene.render.use_freestyle = True
    for layer in scene.view_layers:
        layer.freestyle_settings.mode = "SCRIPT"
        layer.freestyle_settings.modules.new().script = text
    scene.render.use_compositing = True
    tree = compositing._make_tree(scene)
    output = tree.nodes.new("CompositorNodeOutputFile")
    setattr(output, "base_path" if hasattr(output, "base_path") else "directory", str(marker.parent / "written"))
    tree.links.new(tree.nodes["Render Layers"].outputs["Image"], output.inputs[0])
    mesh = bpy.data.meshes.new("Not an asset")
    mesh["near_asset"] = b"\x80\x04cposix\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."  # a pickle
    scene.objects["Cube"].near.asset = mesh
    scene.objects["Cube"].near.origin.path, scene.objects["Cube"].near.origin.hints = f"|touch {marker}", "[" * 9999


def open_and_draw(folder) -> None:
    """In a process of its own, whose Blender has Auto Run Python Scripts off, as it comes."""
    near_blender.register()
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene, marker = stage.make_stage(32, 24), folder / "trace"
    bpy.ops.near.add_sample()
    for x in (-1, 1):
        bpy.ops.mesh.primitive_cube_add(size=0.5, location=(x, 0, 0))
    set_traps(scene, marker)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "evil.blend"))
    marker.unlink(missing_ok=True)
    before = sorted(folder.iterdir())
    bpy.ops.wm.open_mainfile(filepath=str(folder / "evil.blend"))
    scene = bpy.context.scene
    state = cycles_scene.capture(bpy.context.evaluated_depsgraph_get())
    drawn = client.get_cycles().draw(state, cycles_scene.describe_camera_object(scene.camera), (32, 24), samples=1)
    assert drawn.result()["passes"]["Combined"].shape == (24, 32, 4)
    assert sorted(folder.iterdir()) == before
    scene.render.use_freestyle = scene.render.use_compositing = False  # Blender's own, in F12
    with pytest.raises(RuntimeError, match="The asset of Cube is not a complete .near file"):
        stage.render(scene, folder)
    scene.objects["Cube"].near.asset = None
    assert stage.render(scene, folder)["Combined"][..., 3].max() > 0.5
    near_blender.unregister()


@pytest.mark.slow
def test_nothing_in_a_file_is_run_or_written_when_it_is_opened_and_drawn(tmp_path):
    """Neither in the artist's Blender nor in the second one, which draws the ordinary objects."""
    script = ("import os, pathlib, sys; sys.path[:0] = sys.argv[1:3]; import test_opening; "
              "test_opening.open_and_draw(pathlib.Path(sys.argv[3])); os._exit(0)")  # else it hangs after drivers
    done = subprocess.run([sys.executable, "-c", script, str(ROOT), str(ROOT / "tests/blender"), str(tmp_path)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "restricted access disallows name 'open'" in done.stdout + done.stderr, "the traps were set"
    assert not (tmp_path / "trace").exists() and not (tmp_path / "written").exists()
