"""What a written scene would lose on its way to the second Blender, and what cannot be drawn as the artist sees it."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import log, scratch
from .._core import errors
from ..shaders import image_files, node_trees

_NAMED = 3  # names in a sentence
_seen: dict[str, tuple[int, int]] = {}  # files of sequences as they were last shown, as stamp_file
_rewritten = 0  # how often one was another the next time


def describe(scene: Any) -> str:
    """Sentences for the artist about what Cycles cannot draw as it is shown; "" where all is well."""
    said = []
    if lost := _list_lost():
        said.append(errors.Message("Images that cannot be found are drawn pink: {names}. Use File > External Data > "
                                   "Find Missing Files.", names=_name(lost)))
    if missing := _list_missing(scene):
        said.append(errors.Message("Data-blocks that are gone with their library are not drawn: {names}.",
                                   names=_name(missing)))
    if drivers := _list_drivers():
        said.append(errors.Message("Cycles runs no Python drivers: values of {names} stay as they were. Bake them, or "
                                   "use simple expressions.", names=_name(drivers)))
    return errors.join(*said)


def _name(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_NAMED])} (+{more})"


def _list_lost() -> list[str]:
    return [image.name for image in bpy.data.images  # without a look at its pixels, which would load them all
            if image.source in ("FILE", "MOVIE", "TILED") and image.users and not image.packed_file
            and not (image.has_data and image.source == "FILE") and not _is_unsaved(image)
            and not all(map(os.path.isfile, image_files.list_files(image)))]


def _is_unsaved(image: Any) -> bool:
    """Whether an image has pixels that are in no file yet."""
    if image.source == "TILED":
        return image_files.copies_tiles() and (image.is_dirty or any(tile.is_generated_tile for tile in image.tiles))
    return image.is_dirty and image.has_data and image.source in ("FILE", "GENERATED")


def _list_missing(scene: Any) -> list[str]:
    data = bpy.data
    owners: list[Iterable[Any]] = [scene.objects, data.meshes, data.curves, data.collections, data.materials,
                                   data.node_groups, data.lights, data.worlds, data.textures]
    return sorted({each.name for owner in owners for each in owner if each.library and getattr(each, "is_missing", 0)})


def _list_drivers() -> list[str]:
    owners: list[Iterable[Any]] = [bpy.data.objects, bpy.data.materials, bpy.data.lights, bpy.data.shape_keys,
                                   bpy.data.node_groups, bpy.data.worlds, bpy.data.meshes]
    return sorted({each.name for owner in owners for each in owner if each.animation_data
                   for curve in each.animation_data.drivers
                   if curve.driver.type == "SCRIPTED" and not curve.driver.is_simple_expression})


def list_painted(images: Iterable[Any] | None = None) -> list[Any]:
    """Of images, else of all, those that were changed and not saved yet."""
    return [image for image in (list[Any](bpy.data.images) if images is None else images)
            if image.users and _is_unsaved(image)]


def stamp_painted() -> list[tuple]:
    """Equal where list_painted's images are; of tiles but the first, as far as Blender says what they are made of."""
    return [(image.name_full, zlib.crc32(_read_pixels(image).data), [
        (tile.number, tuple(tile.size), tuple(tile.generated_color), tile.generated_type)
        for tile in image.tiles if image.source == "TILED"]) for image in list_painted()]


def stamp_files(now: int) -> tuple:
    """Equal while the files of images are: Cycles reads them at each F12, and artists paint in other programs. Of
    sequences those count that a scene's frame now shows, but that it is another frame does not."""
    global _rewritten
    images = [image for image in bpy.data.images if image.users and not image.packed_file
              and image.source in ("FILE", "SEQUENCE", "MOVIE", "TILED")]
    moving = {image for image in images if image.source == "SEQUENCE"}
    for image, user in node_trees.list_image_users() if moving else ():
        for path in image_files.list_files(image, user, now) if image in moving else ():
            stamp = image_files.stamp_file(path)
            _rewritten += _seen.get(path, stamp) != stamp
            _seen[path] = stamp
    stamps = [(image.name_full, *map(image_files.stamp_file, image_files.list_files(image))) for image in images]
    return *stamps, _rewritten


def collect_painted(images: Iterable[Any] | None = None) -> list[dict[str, Any]]:
    """What restore_painted puts into list_painted's images: name, and size (2,) and pixels, float32 as Blender's
    foreach_get; of one in tiles instead files, what a file of each holds, uint8, by the file's name."""
    painted = []
    for image in list_painted(images):
        if image.source == "TILED":
            painted.append({"name": image.name_full, "files": _read_tiles(image)})
        else:
            painted.append({"name": image.name_full, "size": tuple(image.size), "pixels": _read_pixels(image)})
    return painted


def _read_pixels(image: Any) -> np.ndarray:
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels


def _read_tiles(image: Any) -> dict[str, np.ndarray]:
    """What files of an image's tiles would hold, by their names; none where they cannot be written."""
    suffix = "exr" if image.is_float else "png"
    try:
        with scratch.make_folder("tiles") as folder:
            image_files.save_copy(image, str(Path(folder) / f"tile.<UDIM>.{suffix}"))
            return {path.name: np.fromfile(path, np.uint8) for path in sorted(Path(folder).iterdir())}
    except (OSError, RuntimeError) as error:
        log.add(f"Tiles of the image {image.name} could not be handed over ({error}).")
        return {}


def restore_painted(painted: Iterable[dict[str, Any]], images: Iterable[Any] | None = None) -> None:
    """Gives images, else those of an opened scene, the pixels that the file lacks. Where the file was appended, their
    names may have got a number."""
    there = list[Any](bpy.data.images) if images is None else list(images)
    known = {image.name: image for image in there} | {image.name_full: image for image in there}
    if images is not None:
        known = {re.sub(r"\.\d{3}$", "", name): image for name, image in known.items()} | known
    for each in painted:
        image = known.get(each["name"])
        if image is None:
            continue
        if "files" in each:
            _restore_tiles(image, each["files"])
            continue
        space = image.colorspace_settings.name
        image.source = "GENERATED"
        image.generated_width, image.generated_height = each["size"]
        image.use_generated_float = image.is_float
        image.colorspace_settings.name = space
        if len(image.pixels) == len(each["pixels"]):
            image.pixels.foreach_set(each["pixels"])
            image.update()


def _restore_tiles(image: Any, files: dict[str, np.ndarray]) -> None:
    """Has an image of tiles take its place that are packed: of others Cycles reads files only."""
    if not files:
        return
    with scratch.make_folder("tiles") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content.tobytes())
        made: Any = bpy.data.images.load(str(Path(folder) / min(files)))
        made.source = "TILED"
        there = {tile.number for tile in made.tiles}
        for number in sorted({int(name.split(".")[1]) for name in files} - there):
            made.tiles.new(tile_number=number)
        made.colorspace_settings.name, made.alpha_mode = image.colorspace_settings.name, image.alpha_mode
        made.pack()
    image.user_remap(made)


def describe_devices() -> dict[str, Any]:
    """What the artist has Cycles compute on: type and ids of the devices in use; factory settings know the CPU only."""
    addon: Any = bpy.context.preferences.addons.get("cycles")
    if addon is None or getattr(addon.preferences, "compute_device_type", "NONE") == "NONE":
        return {}
    return {"type": addon.preferences.compute_device_type,
            "devices": [device.id for device in addon.preferences.devices if device.use]}


def choose_devices(wanted: dict[str, Any]) -> None:
    """Has Cycles compute on what describe_devices says, as far as this process finds it."""
    addon: Any = bpy.context.preferences.addons.get("cycles")
    if not wanted or addon is None:
        return
    try:
        addon.preferences.compute_device_type = wanted["type"]
        addon.preferences.refresh_devices()
    except (TypeError, AttributeError):  # a build without that kind of device
        return
    for device in addon.preferences.devices:
        device.use = device.id in wanted["devices"]
