"""Neural assets of pictures that are in Blender and in no file: image datablocks and the clipboard."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import bpy

from .. import colorspace
from .._core import errors, files
from .._core import image as images
from ..asset import photo_options
from ..paths import locate
from ..shaders import image_files
from . import jobs
from .place import is_object_mode, report_errors

_path: Any = bpy.path
# kinds of files that Blender reads and NeAR does not
OTHERS = sorted(set(_path.extensions_image) - {*images.READABLE, *images.CONVERTED})

LONGEST = 100  # bytes of a copy's name: file systems take 255, with what is added


class NEAR_OT_create_asset_from_clipboard(bpy.types.Operator):
    bl_idname = "near.create_asset_from_clipboard"
    bl_label = "Create Neural Asset from Clipboard"
    bl_description = "Turn the picture on the clipboard into a neural asset"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        problem = find_problem(context)
        if problem:
            cls.poll_message_set(problem)
        return not problem and is_object_mode(cls, context) and jobs.is_idle(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            image = paste(context)
            ops: Any = bpy.ops
            state: set[str] = ops.near.create_asset_from_image("INVOKE_DEFAULT", image_name=image.name)
            return state
        return {"CANCELLED"}


def find_problem(context: bpy.types.Context) -> str:
    """Why nothing can be pasted; "" where a picture can."""
    if bpy.app.background or context.area is None:
        return "The clipboard needs a window"
    ops: Any = bpy.ops
    return "" if ops.image.clipboard_paste.poll() else "Blender sees no picture on the clipboard (under X11 never)"


def paste(context: bpy.types.Context) -> bpy.types.Image:
    """The picture on the clipboard as a datablock. Raises NearError."""
    area, before = context.area, set(bpy.data.images)
    kind = area.ui_type
    try:
        area.ui_type = "IMAGE_EDITOR"  # Blender pastes nowhere else
        with context.temp_override(area=area, region=area.regions[-1]):
            bpy.ops.image.clipboard_paste()
    except RuntimeError:
        pass
    finally:
        area.ui_type = kind
    image = next((each for each in bpy.data.images if each not in before), None)
    if image is None:
        raise errors.NearError("There is no picture on the clipboard.", "Copy a picture first.")
    return image


def find_file(name: str) -> Path:
    """A file with what the image datablock of that name shows: its own, or for what is painted, generated, packed or in
    a colour space of its own a copy in Blender's temporary folder. Raises NearError."""
    image: Any = bpy.data.images.get(name)
    if image is None:
        raise errors.NearError("There is no image {name} in this file.", "Choose one of its images.", name=name)
    return _find_own_file(image) if shows_file(image) else _copy(image, str(image.session_uid))


def _copy(image: Any, key: str) -> Path:
    """A file with what an image shows in Blender's temporary folder: always the same one of one key, which no other
    picture takes. Raises NearError."""
    own, name = _find_own_file(image), bpy.path.clean_name(Path(image.name).stem)
    path = Path(bpy.app.tempdir) / f"near-{key}" / name.encode(errors="ignore")[:LONGEST].decode(errors="ignore")
    if image.type == "RENDER_RESULT":  # of another scene Blender saves none
        raise errors.NearError("The image {name} has no picture to read.", "Save it as a file, then choose that.",
                               name=image.name)
    try:
        if image.source == "TILED":
            raise RuntimeError("no one picture")
        path.parent.mkdir(parents=True, exist_ok=True)  # Blender's own may be cleared away
        if image.packed_file is not None and _is_plain(image):  # with all that its camera noted
            path = path.with_suffix(".exr" if image.file_format == "OPEN_EXR" else own.suffix)
            path.write_bytes(image.packed_file.data)
        elif image.is_float or not _is_usual(image, ".png"):
            path = path.with_suffix(".exr")
            image_files.save_linear(image, str(path))
        else:
            path = path.with_suffix(".png")
            image_files.save_copy(image, str(path))
    except OSError as error:
        raise errors.NearError("{file} could not be written ({reason}).",
                               "Free space for temporary files, or choose another folder in Preferences > File Paths.",
                               file=path.name, reason=error) from error
    except RuntimeError as error:
        raise errors.NearError("The image {name} has no picture to read.", "Choose another one.",
                               name=image.name) from error
    return path


def name_source(image: Any, user: Any = None) -> tuple[str, str]:
    """How the picture of an image is remembered: a file and "", or "" and the name of one that Blender alone has, or
    shows as no file does. user: bpy's ImageUser that says which frame of a sequence is shown, else it is the first."""
    if not shows_file(image):
        return "", image.name
    path = image.filepath
    if user is not None and image.source == "SEQUENCE":
        frame = image.filepath_from_user(image_user=user)
        path = bpy.path.relpath(frame) if path.startswith("//") and not image.library else frame
    return bpy.path.abspath(path, library=image.library) if image.library else path, ""


def shows_file(image: Any) -> bool:
    """Whether an image shows what NeAR reads in its file."""
    return _is_plain(image) and image.packed_file is None and os.path.isfile(_find_own_file(image))


def _is_plain(image: Any) -> bool:
    """Whether an image is as its file was when it was opened, in the usual colour space."""
    return (not image.is_dirty and image.source in ("FILE", "SEQUENCE")
            and _is_usual(image, _find_own_file(image).suffix.lower()))


def _find_own_file(image: Any) -> Path:
    return Path(bpy.path.abspath(image.filepath, library=image.library))


def find_photo(photo: Any) -> Path:
    """The file of a photo, of an asset or of several. Raises NearError for what is no picture."""
    image = photo_options.find_image(photo)
    if image is not None or photo.image:
        return find_file(photo.image if image is None else image.name)
    return open_picture(locate(photo, photo.path))


def find_mask(photo: Any) -> Path | None:
    """The file of its mask, of whatever options name one; None where they do not. Raises NearError."""
    return open_picture(locate(photo, photo.mask)) if photo.mask else None


def open_picture(path: Path) -> Path:
    """A picture file, or a new one of what Blender reads in it where NeAR does not: TIFF, Targa and others. Raises
    NearError for what is no picture."""
    check_picture(path)
    if path.suffix.lower() in images.READABLE:
        return path
    image = bpy.data.images.load(str(path))
    try:
        return _copy(image, f"{zlib.crc32(os.fsencode(path)):x}")
    finally:
        bpy.data.images.remove(image)


def check_picture(path: Path) -> None:
    """Raises NearError for a file that is missing, may not be read or is of a kind that neither NeAR nor Blender
    reads."""
    if not path.name or os.path.isdir(path):  # a dialog in which nothing was chosen
        raise errors.NearError("No photo is chosen.", "Choose a photo of an object.")
    try:
        files.Ending(path).close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise errors.NearError("There is no picture {file}.", "Choose a photo of an object.",
                               file=path.name) from error
    except OSError as error:
        raise errors.NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                               reason=error.strerror or error) from error
    if path.suffix.lower() in images.CONVERTED:
        raise errors.NearError("{file} is not read by NeAR.", "Export it as JPEG or PNG first.", file=path.name)
    if path.suffix.lower() not in (*images.READABLE, *OTHERS):
        raise errors.NearError("{file} is not a picture NeAR can read.", "Choose a .png, .jpg or .exr file.",
                               file=path.name)


def _is_usual(image: Any, kind: str) -> bool:
    """Whether files of a kind that NeAR reads, such as ".png", hold colours in the image's colour space."""
    space = image.colorspace_settings
    usual = colorspace.LINEAR if kind in images.LINEAR else colorspace.SRGB
    return kind in images.READABLE and (space.is_data or space.name in usual)


def _draw_image_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    space: Any = context.space_data
    image = getattr(space, "image", None)
    row = self.layout.row()
    row.enabled = image is not None
    row.operator_context = "INVOKE_DEFAULT"
    told = row.operator("near.create_asset_from_image", text="Create Neural Asset")
    if image is not None:
        told.filepath, told.image_name = name_source(image, space.image_user)


CLASSES = (NEAR_OT_create_asset_from_clipboard,)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()
    bpy.types.IMAGE_MT_image.append(_draw_image_menu)


def unregister() -> None:
    bpy.types.IMAGE_MT_image.remove(_draw_image_menu)
    _unregister()
