"""Run inside a Blender with a window by test_draft.py: ordinary objects around an asset in Rendered mode.

OUT: a folder with ball.near; gets ordinary.json and screenshots
"""

import os
import signal
import time

import bpy
import gpu
from gpu_extras import presets

import near_blender
from near_blender.client import client
from near_blender.engine import draft, viewport
from tests.gui import hand, holds, stepper
from tests.gui.stepper import OUT, events

events |= {"draws": [], "reads": []}


def view() -> viewport.ViewportPicture:
    return max(viewport._views, key=lambda v: v._changed)


def watch(name: str, method: str) -> None:
    """Notes the processor time of the main thread in a method of the viewport."""
    plain = getattr(viewport.ViewportPicture, method)

    def watched(*args):
        start = time.thread_time()
        plain(*args)
        events[name].append(round(time.thread_time() - start, 3))
    setattr(viewport.ViewportPicture, method, watched)


def screenshot(name: str) -> None:
    os.system(f"import -window root {OUT / name}.png")


def paint(ob: bpy.types.Object, color) -> None:
    material = bpy.data.materials.new("Paint")
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*color, 1)
    material.diffuse_color = (*color, 1)
    ob.data.materials.append(material)


def build_scene() -> None:
    scene = bpy.context.scene
    scene.render.engine = "NEAR"
    scene.view_settings.view_transform = "Standard"
    for ob in list(scene.objects):
        if ob.type == "MESH":
            bpy.data.objects.remove(ob)
    with holds.waiting():
        bpy.ops.near.import_asset(filepath=str(OUT / "ball.near"))
    bpy.ops.mesh.primitive_plane_add(size=6, location=(0, 0, -0.5))
    paint(bpy.context.object, (0.1, 0.1, 0.8))
    bpy.ops.mesh.primitive_cube_add(size=0.4, location=(0.45, -0.6, -0.1))
    paint(bpy.context.object, (0.8, 0.05, 0.05))
    bpy.ops.mesh.primitive_uv_sphere_add(segments=500, ring_count=260, radius=0.3, location=(-1, 0, -0.2))
    paint(bpy.context.object, (0.05, 0.7, 0.05))
    scene.camera.location, scene.camera.rotation_euler = (0, -4, 0.6), (1.42, 0, 0)


def read_state() -> list:
    """What Blender's own drawing goes on with."""
    state = gpu.state
    return [state.blend_get(), state.depth_test_get(), bool(state.depth_mask_get()), list(state.scissor_get()),
            list(state.viewport_get())]


def break_drawing(name: str, owner, method: str):
    """Has one drawing fail inside a function; notes the state before and after it, and what the artist is told."""
    draw, plain = viewport.ViewportPicture.draw, getattr(owner, method)

    def watched(*args):
        before = read_state()
        draw(*args)
        events.setdefault(name, [before, read_state(), args[0]._message])

    def fails(*_, **__):
        raise RuntimeError("broken on purpose")
    viewport.ViewportPicture.draw = watched
    setattr(owner, method, fails)
    hand.area("VIEW_3D").tag_redraw()
    yield from stepper.until(lambda: name in events, 60)
    viewport.ViewportPicture.draw = draw
    setattr(owner, method, plain)
    bpy.data.objects["Cube"].location.x += 0.0  # something changes
    hand.area("VIEW_3D").tag_redraw()
    yield from stepper.until(lambda: not view()._message and not view().is_busy(), 60)


def wait_for_the_worker(space):
    """A viewport that begins while the worker does not answer, of assets alone."""
    bpy.context.scene.near.ordinary = "NONE"
    space.shading.type = "SOLID"
    yield 0.5
    pid = client.get_worker().hello["pid"]
    os.kill(pid, signal.SIGSTOP)
    before = set(viewport._views)
    space.shading.type = "RENDERED"
    yield from stepper.until(lambda: set(viewport._views) - before and view()._draft is not None, 30)
    yield 1.0
    events["waits"] = view()._texture is None
    screenshot("waiting")
    os.kill(pid, signal.SIGCONT)
    yield from stepper.until(lambda: not view().is_busy(), 60)
    yield 0.3
    screenshot("come")


def steps():
    build_scene()
    watch("draws", "draw")
    watch("reads", "update")
    space = hand.area("VIEW_3D").spaces[0]
    space.region_3d.view_perspective, space.overlay.show_overlays = "CAMERA", False
    space.shading.type = "RENDERED"
    yield from stepper.until(lambda: viewport._views and not view().is_busy(), 120)
    yield 0.3
    screenshot("rest")
    events["note"], events["boxes"] = view()._describe_work(), view()._surfaces.boxes
    space.region_3d.view_camera_offset = 0.02, 0.0
    hand.area("VIEW_3D").tag_redraw()
    shown = view()._shown
    yield from stepper.until(lambda: view()._wanted is not None and view()._wanted != shown[0], 120)
    screenshot("moving")
    yield from stepper.until(lambda: not view().is_busy(), 120)
    count = len(events["draws"])
    yield 2.0
    screenshot("moved")
    events["draws_at_rest"] = len(events["draws"]) - count
    yield from break_drawing("broken_draft", draft.Draft, "_draw_parts")
    yield from break_drawing("broken_picture", presets, "draw_texture_2d")
    screenshot("healed")
    bpy.context.scene.cycles.film_exposure = 0.5
    bpy.context.scene.update_tag()
    hand.area("VIEW_3D").tag_redraw()
    yield 0.5
    yield from stepper.until(lambda: not view().is_busy(), 60)
    yield 0.3
    screenshot("dim")
    bpy.context.scene.cycles.film_exposure = 1.0
    for name in ("Cube", "Ball"):
        bpy.data.objects[name].is_holdout = True
    yield 0.5
    yield from stepper.until(lambda: not view().is_busy(), 60)
    yield 0.3
    screenshot("holes")
    for name in ("Cube", "Ball"):
        bpy.data.objects[name].is_holdout = False
    yield from wait_for_the_worker(space)


bpy.context.preferences.view.show_splash = False
near_blender.register()
stepper.run(steps())
