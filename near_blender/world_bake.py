"""Run by a second Blender: draws a World as light maps with Cycles. world.py starts it; it imports nothing of ours.

    blender -b --factory-startup -P world_bake.py -- 'OPTIONS'

OPTIONS is JSON: blend, world, frame, samples, out, seen_width, width, lighting. Writes the file `out`.npz with `seen`,
the World as a camera sees it, and, where `lighting` asks for it, `lighting`, the World as a diffuse surface sees it:
(w / 2, w, 3) float32 each, w = seen_width and width, in the working space named by `space`, row 0 on top.
"""

import json
import math
import os
import sys
from typing import Any

import bpy
import numpy as np

# what a Light Path node says to a ray that left a diffuse surface
DIFFUSE_RAY = {"Is Camera Ray": 0.0, "Is Diffuse Ray": 1.0, "Ray Depth": 1.0, "Diffuse Depth": 1.0}


def load_world(blend, name):
    """The World of that name from a .blend file."""
    libraries: Any = bpy.data.libraries
    with libraries.load(blend) as (_, wanted):
        wanted.worlds = [name]
    return wanted.worlds[0]


def make_scene(world, samples, frame):
    """The scene with nothing in it but a panoramic camera, whose middle looks along +X."""
    scene: Any = bpy.context.scene  # a scene in no window would be rendered at frame 1
    for ob in list(scene.objects):
        bpy.data.objects.remove(ob)
    camera: Any = bpy.data.cameras.new("panorama")
    ob = bpy.data.objects.new("panorama", camera)
    scene.collection.objects.link(ob)
    scene.camera, scene.world = ob, world
    scene.frame_set(frame)
    camera.type = "PANO"
    # a property of the camera from 5.0, of Cycles' group before
    (camera if hasattr(camera, "panorama_type") else camera.cycles).panorama_type = "EQUIRECTANGULAR"
    ob.rotation_euler = (math.pi / 2, 0, -math.pi / 2)  # the middle of the picture is +X
    render, cycles, image = scene.render, scene.cycles, scene.render.image_settings
    render.engine, cycles.device = "CYCLES", "CPU"
    render.resolution_percentage = 100
    render.use_file_extension = render.use_compositing = render.use_sequencer = render.film_transparent = False
    cycles.samples = samples
    cycles.use_denoising = False
    # a World is without noise but for what is smaller than a pixel, so nearly all pixels stop at four samples
    cycles.use_adaptive_sampling, cycles.adaptive_min_samples, cycles.adaptive_threshold = samples > 4, 4, 0.02
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01 if samples == 1 else 1.0
    for ray in ("camera", "diffuse", "glossy", "transmission", "scatter"):
        setattr(world.cycles_visibility, ray, True)
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_depth, image.color_mode, image.exr_codec = "OPEN_EXR", "32", "RGB", "NONE"
    return scene


def draw(scene, width, path):
    """The panorama (width / 2, width, 3) float32, row 0 on top. path: of the picture that is written on the way."""
    scene.render.resolution_x, scene.render.resolution_y, scene.render.filepath = width, width // 2, path
    bpy.ops.render.render(write_still=True)
    image: Any = bpy.data.images.load(path, check_existing=False)
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    os.remove(path)
    return pixels.reshape(height, width, -1)[::-1, :, :3].copy()


def see_as_diffuse_ray(tree, done):
    """Puts DIFFUSE_RAY in the place of what Light Path nodes say, in groups too. done: trees that were seen to."""
    if tree in done:
        return
    done.add(tree)
    for node in list(tree.nodes):
        if node.type == "GROUP" and node.node_tree:
            see_as_diffuse_ray(node.node_tree, done)
        if node.type != "LIGHT_PATH":
            continue
        for output in node.outputs:
            for link in list(output.links):
                constant = tree.nodes.new("ShaderNodeValue")
                constant.outputs[0].default_value = DIFFUSE_RAY.get(output.name, 0.0)
                tree.links.new(constant.outputs[0], link.to_socket)


def main(options):
    """Writes the maps that the options ask for."""
    world = load_world(options["blend"], options["world"])
    scene = make_scene(world, options["samples"], options["frame"])
    maps = {"seen": draw(scene, options["seen_width"], options["out"] + ".exr")}
    if options["lighting"]:
        see_as_diffuse_ray(world.node_tree, set())
        maps["lighting"] = draw(scene, options["width"], options["out"] + ".exr")
    space = getattr(getattr(bpy.data, "colorspace", None), "working_space", "")
    np.savez(options["out"] + ".part.npz", space=np.array(space), **maps)
    os.replace(options["out"] + ".part.npz", options["out"] + ".npz")


if __name__ == "__main__":
    main(json.loads(sys.argv[-1]))
