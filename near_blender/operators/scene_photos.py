"""What a scene holds of an object's photos: image empties, images and clips behind cameras, and cameras that took
them."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._core import camera as cameras
from .._core import errors
from .._core import image as images
from .._core import shot as shots
from ..asset import payload, photo_options
from ..scene.sync import convert_camera
from ..shaders import image_files
from .pictures import name_source

Source = tuple[str, str]  # path and image, as photos have them
_LENSES = ("PERSP", "ORTHO")


def list_image_empties(scene: bpy.types.Scene) -> list[tuple[Source, str, bool]]:
    """What the scene's image empties show, each with the name of the view that it stands in, the one whose camera looks
    at its face, and whether it is a drawing without perspective: those are shown in orthographic views alone."""
    found = []
    for ob in scene.objects:
        picture = ob.data if ob.type == "EMPTY" and ob.empty_display_type == "IMAGE" else None
        if picture is None or picture.source == "MOVIE":
            continue
        face = ob.matrix_world.to_3x3().col[2].normalized()
        source = _name_frame(picture, ob.image_user, scene)
        found.append((source, _name_view(face), not ob.show_empty_image_perspective))
    return found


def list_backgrounds(scene: bpy.types.Scene) -> list[tuple[Source, str]]:
    """The images behind what the scene's cameras see, frames of tracked clips, too, panoramic ones left out, each with
    the camera's name, but for photos that an asset was made from: Match Camera shows these."""
    made = [each for ob in scene.objects if payload.find_payload(ob) is not None
            for each in (ob.near.origin, *ob.near.origin.photos)]  # type: ignore[attr-defined]
    found = []
    for ob in scene.objects:
        lens: Any = ob.data
        for behind in lens.background_images if ob.type == "CAMERA" and lens.type in _LENSES else ():
            shown = _find_shown(behind, scene)
            if shown is None:
                continue
            source = _name_frame(shown, behind.image_user, scene) if shown == behind.image else _name_clip(shown, scene)
            if source is not None and not any(_shows(shown, each, source[0] or shown.filepath) for each in made):
                found.append((source, ob.name))
    return found


def _find_shown(behind: Any, scene: bpy.types.Scene) -> Any:
    """The image or clip that a background image shows; None where it is none, or a movie, whose frames are no files."""
    clip = scene.active_clip if behind.use_camera_clip else behind.clip
    shown = behind.image if behind.source == "IMAGE" else clip
    return None if shown is None or shown.source == "MOVIE" else shown


def _name_clip(clip: Any, scene: bpy.types.Scene) -> Source | None:
    """The file that a clip of pictures shows in a scene's current frame, None where it has none then."""
    first = int(image_files.split_frame(clip.filepath)[1] or 0)
    path = image_files.name_frame(clip.filepath, first + scene.frame_current - clip.frame_start + clip.frame_offset)
    whole = bpy.path.abspath(path, library=clip.library)
    return (whole if clip.library else path, "") if os.path.isfile(whole) else None


def _name_frame(image: Any, user: Any, scene: bpy.types.Scene) -> Source:
    """How a picture is remembered that is shown in a scene's current frame, which counts for sequences."""
    user.frame_current = image_files.find_frame(user, scene.frame_current)  # Blender is late at times
    return name_source(image, user)


def take_camera(photo: Any, path: Path, scene: bpy.types.Scene) -> cameras.Camera:
    """The camera that one of several photos is told to be taken by, in the world, as wide and high as the photo. path:
    its file. Raises NearError."""
    ob = photo_options.find_camera(photo)
    if ob is None or ob.type != "CAMERA":
        raise errors.NearError("{photo} has no camera.", "Choose the camera that it was taken from, or its view.",
                               photo=photo_options.name_photo(photo))
    if ob.data.type not in _LENSES:
        raise errors.NearError("{camera} takes no photos: its lens is neither a perspective nor an orthographic one.",
                               "Change its lens type, or choose the photo's view.", camera=ob.name)
    size, matrix, behind = images.read_size(path), np.array(ob.matrix_world), _find_behind(ob, photo, scene)
    try:
        return convert_camera(ob.data, matrix, *size) if behind is None else _look_through(
            ob.data, matrix, size, images.read_turn(path)[0], behind, scene)
    except (ValueError, ArithmeticError) as error:
        raise errors.NearError("{what} has a number that is endless, out of range, or none.",
                               "Check its values, and the drivers that they come from.", what=ob.name) from error


def is_mirrored(photo: Any, path: Path) -> bool:
    """Whether the camera that one of several photos is told to be taken by shows it in a mirror, left and right. path:
    its file."""
    ob = photo_options.find_camera(photo)
    behind = _find_behind(ob, photo, bpy.context.scene) if ob is not None and ob.type == "CAMERA" else None
    if behind is None:
        return False
    flipped = behind.use_flip_x != behind.use_flip_y  # both turn it by half a turn
    return flipped != images.read_turn(path)[1]


def _find_behind(ob: Any, photo: Any, scene: bpy.types.Scene) -> Any:
    """The last of a camera's background images that is a photo; None where none is."""
    return next((each for each in reversed(ob.data.background_images)
                 if (shown := _find_shown(each, scene)) is not None and _shows(shown, photo)), None)


def _look_through(lens: Any, matrix: np.ndarray, size: tuple[int, int], quarters: int, behind: Any, scene: Any
                  ) -> cameras.Camera:
    """The camera of a photo of a size, width and height, that Blender shows behind a camera's frame, of the photo's
    mirror image where it shows that. quarters: clockwise turns by which it is upright, which Blender does not do.
    behind: as which background image."""
    render = scene.render
    wide, high = (round(getattr(render, f"resolution_{axis}") * getattr(render, f"pixel_aspect_{axis}"))
                  for axis in "xy")
    frame, (tall, low) = convert_camera(lens, matrix, wide, high), _find_shown(behind, scene).display_aspect
    lying = size[::-1] if quarters % 2 else size  # as Blender shows it
    shape, across, down = lying[0] / lying[1] * tall / low, float(wide), float(high)
    if behind.frame_method != "STRETCH":
        if (shape > wide / high) == (behind.frame_method == "FIT"):
            down = wide / shape
        else:
            across = high * shape
    scale = max(behind.scale, 1e-6)  # Blender lets it be 0
    shares = [lying[0] / (across * scale), lying[1] / (down * scale)]
    finer = np.diag(shares[::-1] if quarters % 2 else shares)
    middle = np.array([wide, high]) / 2 + _measure_offset(behind, lens, wide, high, shape)
    turn = behind.rotation + math.pi * behind.use_flip_y  # clockwise
    turn -= math.pi / 2 * (quarters if behind.use_flip_x == behind.use_flip_y else -quarters)
    back = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    world_to_camera, intrinsics = frame.world_to_camera.copy(), np.eye(3)
    world_to_camera[:2] = back @ world_to_camera[:2]
    intrinsics[:2, :2] = finer @ frame.intrinsics[:2, :2]
    intrinsics[:2, 2] = finer @ back @ (frame.intrinsics[:2, 2] - middle) + np.array(size) / 2
    return replace(frame, world_to_camera=world_to_camera, intrinsics=intrinsics, width=size[0], height=size[1])


def _measure_offset(behind: Any, lens: Any, wide: int, high: int, shape: float) -> np.ndarray:
    """(2,): by how much a background image is moved, to the right and down, in pixels of a camera's frame, as Blender
    draws it: in sides that the sensor covers, and along Y by the image's shape, width over height, too."""
    fit, aspect = lens.sensor_fit, wide / high
    side = high if fit == "VERTICAL" or fit == "AUTO" and wide < high else wide
    return side * np.array([behind.offset[0] * min(1, aspect), -behind.offset[1] * min(1, aspect) / shape])


def _shows(image: Any, photo: Any, frame: str = "") -> bool:
    """Whether an image is a photo, of several or of an asset. frame: the file of a sequence that counts; "" for all."""
    known = photo_options.find_image(photo)
    if known is not None or not photo.path:
        return image == known
    files = [os.path.normpath(bpy.path.abspath(frame or image.filepath, library=image.library)),
             os.path.normpath(bpy.path.abspath(photo.path))]
    if not frame and image.source == "SEQUENCE":
        files = [image_files.split_frame(file)[0] for file in files]
    return files[0] == files[1]


def _name_view(face) -> str:
    """The view from whose camera a direction points at the camera."""
    def agreement(name: str) -> float:
        azimuth, elevation = (math.radians(angle or 0) for angle in shots.VIEWS[name])
        level = math.sin(azimuth) * face.x - math.cos(azimuth) * face.y
        return level * math.cos(elevation) + face.z * math.sin(elevation)
    return max(shots.VIEWS, key=agreement).upper()
