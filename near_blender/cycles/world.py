"""A World as light maps, drawn by Cycles in the second Blender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import errors
from ..client import cycles_loss
from .stage import Drawing, add_object, alone, look_around, set_up

# what a Light Path node says to a ray that left a diffuse surface
DIFFUSE_RAY = {"Is Camera Ray": 0.0, "Is Diffuse Ray": 1.0, "Ray Depth": 1.0, "Diffuse Depth": 1.0}


def bake(request: Any) -> dict[str, np.ndarray]:
    """`seen`, the World as a camera sees it, and, where `lighting` asks for it, `lighting`, the World as a diffuse
    surface sees it: (w / 2, w, 3) float32 linear Rec.709 each, row 0 on top. w is width for lighting; for seen it is
    seen_width, or the width of a sequence or movie where that is more, up to `widest`.

    Raises NearError, Cancelled.
    """
    with alone("World") as scene:
        before = set(bpy.data.images)
        world = _append(request)
        images = set(bpy.data.images) - before
        cycles_loss.restore_painted(request["painted"], images)
        _prepare(scene, world, request)
        moving = [_measure_width(image) for image in images if image.source in ("SEQUENCE", "MOVIE")]
        maps = {"seen": _draw(scene, min(max([request["seen_width"], *moving]), request["widest"]), request)}
        if request["lighting"]:
            see_as_diffuse_ray(world.node_tree, set())
            maps["lighting"] = _draw(scene, request["width"], request)
    return maps


def _append(request: Any) -> Any:
    libraries: Any = bpy.data.libraries
    try:
        with libraries.load(request["path"]) as (_, wanted):
            wanted.worlds = [request["world"]]
    except OSError as error:
        raise errors.NearError("The World {name} could not be handed over ({reason}).", "Render again.",
                               name=request["world"], reason=error) from error
    if wanted.worlds[0] is None:
        raise errors.NearError("The World {name} is not in {file} any more.",
                               "Reload the library, or save your file and open it again.", name=request["world"],
                               file=Path(request["path"]).name)
    return wanted.worlds[0]


def read_pixels(request: Any) -> np.ndarray:
    """The pixels of an image file, (H, W, C) float32 as Blender keeps them, row 0 at the bottom.

    request: path, space and alpha, as an image's colour space and alpha mode. Raises NearError.
    """
    try:
        image: Any = bpy.data.images.load(request["path"], check_existing=False)
    except RuntimeError as error:
        raise errors.NearError("{file} could not be read ({reason}).", "Choose another one.",
                               file=Path(request["path"]).name, reason=error) from error
    try:
        image.colorspace_settings.name, image.alpha_mode = request["space"], request["alpha"]
        columns, rows = image.size
        if not columns or not len(image.pixels):
            raise errors.NearError("{file} is damaged.", "Choose another one.", file=Path(request["path"]).name)
        pixels = np.empty((rows, columns, image.channels), np.float32)
        image.pixels.foreach_get(pixels.ravel())
        return pixels
    finally:
        bpy.data.images.remove(image)


def _prepare(scene: Any, world: Any, request: Any) -> None:
    """Nothing in the scene but a panoramic camera."""
    render, cycles, samples = scene.render, scene.cycles, request["samples"]
    set_up(scene)
    scene.world = world
    scene.camera = add_object(scene, bpy.data.cameras.new("World"))
    look_around(scene.camera, np.zeros(3))
    scene.frame_set(request["frame"])
    render.resolution_percentage, render.use_persistent_data, render.film_transparent = 100, False, False
    cycles.samples, cycles.use_denoising = samples, False
    # a World is without noise but for what is smaller than a pixel, so nearly all pixels stop at four samples
    cycles.use_adaptive_sampling, cycles.adaptive_min_samples, cycles.adaptive_threshold = samples > 4, 4, 0.02
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01 if samples == 1 else 1.0
    for ray in ("camera", "diffuse", "glossy", "transmission", "scatter"):
        setattr(world.cycles_visibility, ray, True)


def _measure_width(image: Any) -> int:
    """Pixels across of a sequence or movie, which Blender does not know before it shows one of its frames."""
    try:
        first: Any = bpy.data.images.load(bpy.path.abspath(image.filepath, library=image.library))
    except RuntimeError:  # the first file is gone; others need not be
        return 0
    width = first.size[0]
    bpy.data.images.remove(first)
    return width


def _draw(scene: Any, width: int, request: Any) -> np.ndarray:
    scene.render.resolution_x, scene.render.resolution_y = width, width // 2
    drawn = Drawing({}, request.progress).run(scene)
    return colorspace.to_rec709(drawn["Combined"][..., :3])


def see_as_diffuse_ray(tree: Any, done: set) -> None:
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
