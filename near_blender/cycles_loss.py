"""What a written scene would lose on its way to the second Blender, and what cannot be drawn as the artist sees it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from ._core import errors

_NAMED = 3  # names in a sentence


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
            if image.source == "FILE" and image.users and not image.packed_file and not image.has_data
            and not os.path.isfile(bpy.path.abspath(image.filepath, library=image.library))]


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


def collect_painted(images: Iterable[Any] | None = None) -> list[dict[str, Any]]:
    """Of images, else of all, those that were changed and not saved yet: name, size (2,) and pixels, float32 as
    Blender's foreach_get."""
    painted = []
    for image in list[Any](bpy.data.images) if images is None else images:
        if not (image.is_dirty and image.has_data and image.users and image.source in ("FILE", "GENERATED")):
            continue
        width, height = image.size
        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
        painted.append({"name": image.name, "size": (width, height), "pixels": pixels})
    return painted


def restore_painted(painted: Iterable[dict[str, Any]], images: Iterable[Any] | None = None) -> None:
    """Gives images, else those of an opened scene, the pixels that the file lacks. Where the file was appended, their
    names may have got a number."""
    known = {image.name: image for image in (list[Any](bpy.data.images) if images is None else images)}
    if images is not None:
        known = {re.sub(r"\.\d{3}$", "", name): image for name, image in known.items()} | known
    for each in painted:
        image = known.get(each["name"])
        if image is None:
            continue
        space = image.colorspace_settings.name
        image.source = "GENERATED"
        image.generated_width, image.generated_height = each["size"]
        image.use_generated_float = image.is_float
        image.colorspace_settings.name = space
        if len(image.pixels) == len(each["pixels"]):
            image.pixels.foreach_set(each["pixels"])
            image.update()


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
