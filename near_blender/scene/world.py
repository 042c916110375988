"""The World as light: read by hand where that is exact, otherwise drawn once by Cycles in a second Blender.

By hand: a plain Background colour, and Texture Coordinate (Generated) -> Mapping (Point, rotation only) -> Environment
Texture (equirectangular, a float image in a linear colour space) -> Background. Everything else is baked to a panorama
and kept by its content. Where the graph asks what kind of ray looks (Light Path), what lights the assets and what the
camera sees behind them are two maps.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import colorspace, scratch
from .._core import cache, environment, errors
from ..client import client, cycles_loss
from ..shaders import image_files, node_trees
from . import fog
from .world_light import LightReading, WorldLight

Environment = environment.Environment

_WIDEST = 8192  # pixels of a map that is only looked at
_WIDEST_BAKE = 4096  # the same where Cycles draws it: 5 s of a processor
_QUICK = 256  # pixels across an image of which light is made at once
_LARGE_FILE = 2_000_000  # bytes of an image file that Blender opens in a tenth of a second
_WIDEST_COPY = 4096  # pixels across an open image that is copied in that time
_LINEAR = ("Linear Rec.709", "Linear Rec.2020", "ACEScg", "Linear", "Linear BT.709", "Non-Color", "scene_linear")
_SUN_SAMPLES = 64  # per pixel of the sun's disc: one can miss it

_lights: cache.RecentResults[WorldLight] = cache.RecentResults(4)
_bakes: dict[str, LightReading] = {}
_refused: set[str] = set()  # image files that the second Blender could not read


def read_light(depsgraph: bpy.types.Depsgraph) -> WorldLight | LightReading:
    """The light of the scene's World, or the bake to wait for before asking again. Never waits itself.

    Images that are gone are what Cycles makes of them. Raises NearError where the World cannot be read.
    """
    world, group = _find_world(depsgraph), find_group(depsgraph)
    if world is None:
        return WorldLight(environment.uniform((0, 0, 0)))
    if not node_trees.has_tree(world):
        return replace(_with_visibility(world, _plain(world.color, 1.0)), group=group)
    problem = _find_problem(world)
    light = (None if problem else read_by_hand(world)) or _read_baked(world, depsgraph)
    return light if not isinstance(light, WorldLight) else replace(
        _with_visibility(world, light), fog=fog.read(world), group=group, problem=problem)


def _find_world(depsgraph: bpy.types.Depsgraph) -> Any:
    """The World of a view layer; None where it has none."""
    layer: Any = depsgraph.view_layer_eval
    return (getattr(layer, "world_override", None) or depsgraph.scene_eval.world) if layer.use_sky else None


def find_group(depsgraph: bpy.types.Depsgraph) -> str:
    """The light group of a view layer's World."""
    return getattr(_find_world(depsgraph), "lightgroup", "")


def has_volume(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether the World fills all of a scene with a volume."""
    world = _find_world(depsgraph)
    return world is not None and node_trees.has_tree(world) and fog.find_volume(world) is not None


def depends_on_view(depsgraph: bpy.types.Depsgraph) -> bool:
    """Whether a picture shows a World that looks otherwise for each camera, as no map does: a gradient across the
    picture, say."""
    world, frame = _find_world(depsgraph), depsgraph.scene_eval
    if world is None or frame.render.film_transparent or not node_trees.has_tree(world):
        return False
    return any(node.type == "CAMERA" or node.type == "TEX_COORD" and output.name in ("Window", "Camera")
               or node.type == "VECT_TRANSFORM" and "CAMERA" in (node.convert_from, node.convert_to)
               for node, output in node_trees.list_reaching(world.node_tree))


def _find_problem(world: Any) -> str:
    """A sentence about an image that is gone; "" where none is."""
    for image in node_trees.list_images(world.node_tree):
        if _keeps_waiting(image):
            continue
        # a sequence has no size before one of its frames was shown
        known = image.size[0] if image.source == "FILE" else image.source not in ("SEQUENCE", "MOVIE") or _exists(image)
        if not known:
            return errors.Message("The World's image {name} could not be read: it is pink, or black. Find it with File "
                                  "> External Data > Find Missing Files, or choose another.", name=image.name)
    return ""


def _exists(image: Any) -> bool:
    """Whether the file of a sequence or movie, or another of its frames, is there."""
    path = Path(bpy.path.abspath(image.filepath, library=image.library))
    before, _, after = image_files.split_frame(path.name)
    frames = f"{glob.escape(before)}*{glob.escape(after)}"
    return os.path.isfile(path) or image.source == "SEQUENCE" and any(path.parent.glob(frames))


def _with_visibility(world: Any, light: WorldLight) -> WorldLight:
    """Cycles' Ray Visibility can keep a World from the camera, and from whatever it would light."""
    rays, around, black = getattr(world, "cycles_visibility", None), light.environment, environment.uniform((0, 0, 0))
    if rays is None or rays.camera and rays.diffuse and rays.glossy:
        return light
    lit = around.turn(around.world_to_map, around.strength, rays.diffuse, rays.glossy)
    return WorldLight(lit if rays.diffuse or rays.glossy else black,
                      (light.backdrop or around) if rays.camera else black)


def _plain(color, strength: float) -> WorldLight:
    rgb = colorspace.to_rec709(np.array(color[:3], np.float64)) * max(strength, 0.0)
    return WorldLight(environment.uniform(tuple(np.clip(rgb, 0, environment.MAX_RADIANCE))))


def read_by_hand(world: Any) -> WorldLight | LightReading | None:
    """The light of a World whose graph is one of those named at the top, or its image on its way; else None."""
    output = world.node_tree.get_output_node("CYCLES")
    if output is None or output.mute:
        return None if output else _plain((0, 0, 0), 0)
    try:
        background = node_trees.find_source(output.inputs["Surface"])
        if background is None:
            return _plain((0, 0, 0), 0)
        node_trees.expect(background, "BACKGROUND")
        strength = node_trees.read_constant(background.inputs["Strength"])
        texture = node_trees.find_source(background.inputs["Color"])
        if texture is None:
            return _plain(background.inputs["Color"].default_value, strength)
        node_trees.expect(texture, "TEX_ENVIRONMENT")
        rotation = _read_rotation(texture)
    except node_trees.Unexpected:
        return None
    image = texture.image
    if texture.projection != "EQUIRECTANGULAR" or not node_trees.is_plain(texture) or image is None:
        return None
    if image.source not in ("FILE", "GENERATED") or not _is_linear(image):
        return None
    read = _read_unopened if _keeps_waiting(image) else _read_image
    kept = read(image, int(world.near.resolution), world.name)
    if not isinstance(kept, WorldLight):
        return kept
    around, behind = (sky and sky.turn(rotation, sky.strength * max(strength, 0.0))
                      for sky in (kept.environment, kept.backdrop))
    return WorldLight(around, behind)


def _read_rotation(texture: Any) -> np.ndarray:
    """world_to_map (3, 3) of an Environment Texture's vector input. Raises node_trees.Unexpected."""
    node = node_trees.find_source(texture.inputs["Vector"])
    if node is None:
        return np.eye(3)
    if node.type == "MAPPING":
        mapping = node
        if mapping.vector_type != "POINT":
            raise node_trees.Unexpected
        location, scale = (node_trees.read_constant(mapping.inputs[name]) for name in ("Location", "Scale"))
        if any(location) or tuple(scale) != (1, 1, 1):
            raise node_trees.Unexpected
        node = node_trees.find_source(mapping.inputs["Vector"])
        rotation = np.array(node_trees.read_constant(mapping.inputs["Rotation"]).to_matrix(), np.float64)
        if node is None:
            raise node_trees.Unexpected
        node_trees.expect(node, "TEX_COORD", node_trees.find_output(mapping.inputs["Vector"]), "Generated")
        return rotation
    node_trees.expect(node, "TEX_COORD", node_trees.find_output(texture.inputs["Vector"]), "Generated")
    return np.eye(3)


def _keeps_waiting(image: Any) -> bool:
    """Whether an artist would have to wait while Blender opens an image, that holds floats, or copies its pixels."""
    path = bpy.path.abspath(image.filepath, library=image.library)
    away = (not bpy.app.background and image.source == "FILE" and image.packed_file is None and not image.is_dirty
            and path.lower().endswith((".exr", ".hdr")) and path not in _refused)
    if not away or not os.path.isfile(path):
        return False
    return image.size[0] > _WIDEST_COPY if image.has_data else os.path.getsize(path) > _LARGE_FILE


def _read_unopened(image: Any, width: int, called: str) -> WorldLight | LightReading:
    """As _read_image, but that the second Blender opens it."""
    key = f"{node_trees.describe_image(image)} {width} {colorspace.get_working_space()}"
    return _find(key, lambda: FileReading(image, width, called))


def _is_linear(image: Any) -> bool:
    return (_keeps_waiting(image) or image.is_float) and image.colorspace_settings.name in _LINEAR


def _read_image(image: Any, width: int, called: str) -> WorldLight | LightReading:
    """A float image as light, kept while its file does not change. width: pixels of the map that lights."""
    key = f"{node_trees.describe_image(image)} {width} {colorspace.get_working_space()}"
    if image.size[0] <= _QUICK:
        return _lights.get_or(key, lambda: _read_pixels(image, width)())
    return _find(key, lambda: LightReading(called, _read_pixels(image, width)))


def _read_pixels(image: Any, width: int) -> Callable[[], WorldLight]:
    """Takes the pixels of an image; what is returned makes light of them, on any thread."""
    columns, rows = image.size
    pixels = np.empty((rows, columns, image.channels), np.float32)
    image.pixels.foreach_get(pixels.ravel())
    return _plan_light(image, lambda: pixels, width)


def _plan_light(image: Any, read: Callable[[], np.ndarray], width: int) -> Callable[[], WorldLight]:
    """What makes light of the pixels that read gives, (H, W, C) with row 0 at the bottom, without a look at image."""
    is_color, space = not image.colorspace_settings.is_data, colorspace.get_working_space()

    def make() -> WorldLight:
        table = read()[::-1]
        environment.clean(table)
        rgb = table[..., :3] if table.shape[2] >= 3 else np.repeat(table[..., :1], 3, 2)
        rgb = _reduced(rgb, _WIDEST)
        return _make_light(colorspace.to_rec709(rgb, space) if is_color else rgb, width)
    return make


def _make_light(seen: np.ndarray, width: int, lighting: np.ndarray | None = None) -> WorldLight:
    """The light of a map (H, W, 3) that is seen; lights by it, at most `width` pixels wide, or by a map of its own."""
    backdrop = environment.take_map(seen)
    if lighting is None and seen.shape[1] <= width:
        return WorldLight(backdrop)
    return WorldLight(environment.take_map(_reduced(seen if lighting is None else lighting, width)), backdrop)


def _reduced(rgb: np.ndarray, width: int) -> np.ndarray:
    """A map (H, W, 3) averaged down to at most `width` pixels across."""
    rows, columns = rgb.shape[:2]
    if columns <= width:
        return rgb
    for axis, count in ((0, max(1, rows * width // columns)), (1, width)):
        edges = np.arange(count) * rgb.shape[axis] // count
        widths = np.diff(np.append(edges, rgb.shape[axis])).astype(np.float32)
        rgb = np.add.reduceat(rgb, edges, axis) / widths.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return rgb


def _read_baked(world: Any, depsgraph: bpy.types.Depsgraph) -> WorldLight | LightReading:
    width = int(world.near.resolution)
    widest = max([width, *(image.size[0] for image in node_trees.list_images(world.node_tree))])
    tree = node_trees.compute_fingerprint(world.node_tree, depsgraph.scene_eval.frame_current)
    key = f"{tree} {width} {colorspace.get_working_space()}"
    return _find(key, lambda: WorldBake(world.original, depsgraph.scene_eval.frame_current, width,
                                        min(widest, _WIDEST_BAKE)))


def _find(key: str, start: Callable[[], LightReading]) -> WorldLight | LightReading:
    """The light that goes by key, or what has to be waited for; where nothing is on its way, that is started."""
    for finished in [k for k, bake in _bakes.items() if bake.done]:
        bake = _bakes.pop(finished)
        if bake.succeeded or bake.is_final and finished == key:
            _lights.put(finished, bake.light())
    if key in _lights:
        return _lights[key]
    if not _bakes:  # one at a time: dragging a slider must not start a Blender per step
        _bakes[key] = start()
    return next(iter(_bakes.values()))


class FileReading(LightReading):
    """Light of an image file that Blender has not opened. Made where bpy.data may be read."""

    def __init__(self, image: Any, width: int, called: str) -> None:
        self._path = path = bpy.path.abspath(image.filepath, library=image.library)
        self._job = client.get_cycles().read_pixels(path, space=image.colorspace_settings.name, alpha=image.alpha_mode)

        def read() -> np.ndarray:
            try:
                return self._job.result()["pixels"]
            except errors.NearError:
                _refused.add(path)  # Blender tries it itself
                raise

        super().__init__(called, _plan_light(image, read, width))

    @property
    def is_final(self) -> bool:
        """Whether there is no other way where it failed."""
        return self._path not in _refused and not isinstance(self._error, errors.Cancelled)

    def stop(self) -> None:
        """Gives it up."""
        self._job.cancel()


class WorldBake(LightReading):
    """A panorama of a World on its way. Made where bpy.data may be read."""

    def __init__(self, world: bpy.types.World, frame: int, width: int, seen_width: int):
        self._width, sun = width, node_trees.uses_type(world.node_tree, "TEX_SKY")
        try:
            path, self._folder = scratch.hand_over(world, "world")
        except OSError as error:
            raise errors.NearError("The World {name} could not be handed over ({reason}).", _NO_ROOM, name=world.name,
                                   reason=error) from error
        self._job = client.get_cycles().bake_world(
            path, world.name, frame=frame, width=width, seen_width=seen_width, widest=_WIDEST_BAKE,
            samples=_SUN_SAMPLES if sun else 1, lighting=node_trees.uses_type(world.node_tree, "LIGHT_PATH"),
            painted=cycles_loss.collect_painted(node_trees.list_images(world.node_tree)))
        super().__init__(world.name, self._develop)

    def _develop(self) -> WorldLight:
        try:
            maps = self._job.result()["maps"]
        except (errors.NearError, errors.Cancelled) as error:
            raise errors.NearError("The World {name} could not be baked ({reason}).", _ADVICE, name=self.name,
                                   reason=error) from error
        for rgb in maps.values():
            environment.clean(rgb)
        return _make_light(maps["seen"], self._width, maps.get("lighting"))

    def stop(self) -> None:
        """Gives it up."""
        self._job.cancel()


_NO_ROOM = "Free space for temporary files, or choose another folder in Preferences > File Paths."
_ADVICE = "See the log in Check Setup, or connect an Environment Texture straight to the Background."


def unregister() -> None:
    for bake in _bakes.values():
        bake.stop()
    for kept in (_bakes, _lights, _refused):
        kept.clear()
