"""Files of what images in Blender show, beside their own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .. import colorspace
from .._core import image as images

_TOKENS = {"<UDIM>": "{number}", "<UVTILE>": "u{column}_v{row}"}  # of a path, for a tile's number
_END = b"\0\0\0\0IEND\xaeB`\x82"  # of a PNG


def list_files(image: Any, user: Any = None, now: int = 0) -> Iterator[str]:
    """Where the files of an image lie. user: bpy's ImageUser, by which one of a sequence is shown in a scene's frame
    now; None for the one that it was opened by."""
    path = bpy.path.abspath(image.filepath, library=image.library)
    if image.source == "SEQUENCE" and user is not None:
        path = name_frame(path, find_frame(user, now))
    if image.source != "TILED":
        yield path
        return
    for tile in image.tiles:
        row, column = divmod(tile.number - 1001, 10)
        named = path
        for token, form in _TOKENS.items():
            named = named.replace(token, form.format(number=tile.number, column=column + 1, row=row + 1))
        yield named


def find_frame(user: Any, now: int) -> int:
    """The frame of a sequence that bpy's ImageUser shows in a scene's frame now, as Blender counts."""
    since, count = now - user.frame_start, max(user.frame_duration, 1)
    shown = user.frame_offset + 1 + (since % count if user.use_cyclic else min(max(since, 0), count - 1))
    return min(shown, 2**31 - 1)


def split_frame(path: str) -> tuple[str, str, str]:
    """A path of a sequence: the last digits of the file's name, "" where it has none, between what is before and
    after."""
    stem, kind = os.path.splitext(path)
    found = re.search(r"\d+(?=[^\d/\\]*$)", stem)
    return (stem[:found.start()], found[0], stem[found.end():] + kind) if found else (stem, "", kind)


def name_frame(path: str, number: int) -> str:
    """The file of a sequence that has a number; the file itself where its name has none."""
    before, digits, after = split_frame(path)
    return f"{before}{max(number, 0):0{len(digits)}}{after}" if digits else path


def stamp_file(path: str) -> tuple[int, int]:
    """Equal while a file is: its size and when it was written, zeros where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns


def copies_tiles() -> bool:
    """Whether an image of tiles can be copied into files: not before Blender 4.3."""
    image: Any = bpy.types.Image
    return "save_copy" in image.bl_rna.functions["save"].parameters


def save_linear(image: Any, path: str) -> None:
    """Writes what an image shows, whatever colour space it is in, as an EXR in linear Rec.709; the image stays as it
    is. Raises OSError where there is no room, and RuntimeError where it shows nothing."""
    # painted floats are linear whatever space the image is in; from 5.2 on Blender saves them as if they were not
    shown = _copy(image) if image.is_float and image.is_dirty else image
    scene: Any = bpy.data.scenes.new("NeAR")
    try:
        settings = scene.render.image_settings
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "16"
        with _writing(shown, path):
            shown.save_render(path, scene=scene)
        _turn_into_rec709(path)
    finally:
        bpy.data.scenes.remove(scene)
        if shown != image:
            bpy.data.images.remove(shown)


def _turn_into_rec709(path: str) -> None:
    """Rewrites an EXR that Blender wrote in the working space, if that is another."""
    space = colorspace.get_working_space()
    if space != colorspace.REC709:
        values = images.read(path)
        color = np.concatenate([colorspace.to_rec709(values[..., :3], space), values[..., 3:]], -1)
        images.write_exr(path, {"Combined": color}, half=True)


def save_copy(image: Any, path: str) -> None:
    """Writes what an image shows, PNG, or EXR where it has floats; the image stays as it is. path: of tiles with <UDIM>
    in its name, in a folder of their own. Raises as save_linear."""
    kind = "OPEN_EXR" if image.is_float else "PNG"
    if copies_tiles():
        before = image.file_format
        try:
            image.file_format = kind
            with _writing(image, path):
                image.save(filepath=path, save_copy=True)
        finally:
            image.file_format = before
        return
    if image.source == "TILED":
        raise RuntimeError("before Blender 4.3 tiles have no copies")
    copy = _copy(image, image.colorspace_settings.name)
    try:
        copy.file_format = kind
        with _writing(image, path):
            copy.save(filepath=path)
    finally:
        bpy.data.images.remove(copy)


@contextmanager
def _writing(image: Any, path: str) -> Iterator[None]:
    """Around what has Blender write an image. Raises OSError where it shows something and that is not written whole: of
    a PNG that was cut off Blender says nothing."""
    try:
        yield
    except RuntimeError as error:
        if image.size[0]:
            words = str(error).strip().removeprefix("Error:").strip() or "Blender does not say why"
            raise OSError(words.splitlines()[0]) from error
        raise
    name = Path(path)
    files = name.parent.glob("*.png") if "<UDIM>" in name.name else [name] if name.suffix == ".png" else []
    if not all(map(_is_whole, files)):
        raise OSError("there is no room for it")


def _is_whole(png: Path) -> bool:
    with png.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - len(_END), 0))
        return file.read() == _END


def keep(image: Any) -> None:
    """Has the Blender file keep an image with what it shows, whatever else may show it: of one that was painted or
    pasted Blender saves no pixels."""
    image.use_fake_user = True
    has_file = image.packed_file is not None or os.path.isfile(bpy.path.abspath(image.filepath, library=image.library))
    if image.library is None and (image.is_dirty or not has_file):
        with suppress(RuntimeError):  # a movie, or one that shows nothing
            image.pack()


def _copy(image: Any, space: str | None = None) -> Any:
    """A new image with the numbers of another, in that colour space or in a new image's own."""
    pixels = np.empty(len(image.pixels), np.float32)
    if not pixels.size:
        raise RuntimeError("it shows nothing")
    image.pixels.foreach_get(pixels)
    copy: Any = bpy.data.images.new(image.name, *image.size, alpha=image.channels == 4, float_buffer=image.is_float)
    copy.alpha_mode = image.alpha_mode
    if space is not None:
        copy.colorspace_settings.name = space
    copy.pixels.foreach_set(np.float32(_to_rgba(pixels.reshape(-1, image.channels))).ravel())
    return copy


def _to_rgba(pixels: np.ndarray) -> np.ndarray:
    """(N, 1 to 4) as (N, 4): new images have four channels."""
    color = pixels[:, :3] if pixels.shape[1] > 2 else pixels[:, :1].repeat(3, 1)
    alpha = pixels[:, 3:] if pixels.shape[1] == 4 else np.ones((len(pixels), 1), np.float32)
    return np.concatenate([color, alpha], 1)
