"""What a scene holds of an object's photos: image empties, images behind cameras, and cameras that took them."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import payload, photo_options
from .._core import camera as cameras
from .._core import errors
from .._core import image as images
from .._core import shot as shots
from ..sync import convert_camera
from .pictures import name_source

Source = tuple[str, str]  # path and image, as photos have them


def list_image_empties(scene: bpy.types.Scene) -> list[tuple[Source, str]]:
    """What the scene's image empties show, each with the name of the view that it stands in: the one whose camera looks
    at its face."""
    found = []
    for ob in scene.objects:
        picture = ob.data if ob.type == "EMPTY" and ob.empty_display_type == "IMAGE" else None
        if picture is None or picture.source == "MOVIE":
            continue
        face = ob.matrix_world.to_3x3().col[2].normalized()
        found.append((name_source(picture), _name_view(face)))
    return found


def list_backgrounds(scene: bpy.types.Scene) -> list[tuple[Source, str]]:
    """The images behind what the scene's perspective cameras see, each with the camera's name, but for photos that an
    asset was made from: Match Camera shows these."""
    made = [each for ob in scene.objects if payload.find_payload(ob) is not None
            for each in (ob.near.origin, *ob.near.origin.photos)]  # type: ignore[attr-defined]
    found = []
    for ob in scene.objects:
        lens: Any = ob.data
        for behind in lens.background_images if ob.type == "CAMERA" and lens.type == "PERSP" else ():
            image = behind.image if behind.source == "IMAGE" else None
            if image is not None and image.source != "MOVIE" and not any(_shows(image, each) for each in made):
                found.append((name_source(image), ob.name))
    return found


def take_camera(photo: Any, path: Path, scene: bpy.types.Scene) -> cameras.Camera:
    """The camera that one of several photos is told to be taken by, in the world, as wide and high as the photo. path:
    its file. Raises NearError."""
    ob = photo_options.find_camera(photo)
    if ob is None or ob.type != "CAMERA":
        raise errors.NearError("{photo} has no camera.", "Choose the camera that it was taken from, or its view.",
                               photo=photo_options.name_photo(photo))
    if ob.data.type != "PERSP":
        raise errors.NearError("{camera} takes no photos: its lens is not a perspective one.",
                               "Set its lens type to Perspective, or choose the photo's view.", camera=ob.name)
    size, matrix, behind = images.read_size(path), np.array(ob.matrix_world), None
    for each in ob.data.background_images:
        if each.image is not None and _shows(each.image, photo):
            behind = each
    return convert_camera(ob.data, matrix, *size) if behind is None else _look_through(
        ob.data, matrix, size, behind, scene.render)


def _look_through(lens: Any, matrix: np.ndarray, size: tuple[int, int], behind: Any, render: Any) -> cameras.Camera:
    """The camera of a photo of a size, width and height, that Blender shows behind a camera's frame. behind: as which
    background image; where that is moved, turned or flipped is not followed."""
    wide, high = (round(getattr(render, f"resolution_{axis}") * getattr(render, f"pixel_aspect_{axis}"))
                  for axis in "xy")
    frame, shape = convert_camera(lens, matrix, wide, high), size[0] / size[1]
    across, down = float(wide), float(high)
    if behind.frame_method != "STRETCH":
        if (shape > wide / high) == (behind.frame_method == "FIT"):
            down = wide / shape
        else:
            across = high * shape
    scale = max(behind.scale, 1e-6)  # Blender lets it be 0
    across, down = across * scale, down * scale
    intrinsics = frame.intrinsics.copy()
    intrinsics[:2, 2] -= (wide - across) / 2, (high - down) / 2
    intrinsics = np.diag([size[0] / across, size[1] / down, 1.0]) @ intrinsics
    return replace(frame, intrinsics=intrinsics, width=size[0], height=size[1])


def _shows(image: Any, photo: Any) -> bool:
    """Whether an image is a photo, of several or of an asset."""
    known = photo_options.find_image(photo)
    if known is not None or not photo.path:
        return image == known
    path = bpy.path.abspath(image.filepath, library=image.library)
    return os.path.normpath(path) == os.path.normpath(bpy.path.abspath(photo.path))


def _name_view(face) -> str:
    """The view from whose camera a direction points at the camera."""
    def agreement(name: str) -> float:
        azimuth, elevation = (math.radians(angle or 0) for angle in shots.VIEWS[name])
        level = math.sin(azimuth) * face.x - math.cos(azimuth) * face.y
        return level * math.cos(elevation) + face.z * math.sin(elevation)
    return max(shots.VIEWS, key=agreement).upper()
