"""Neural assets of pictures that are in Blender and in no file: image datablocks and the clipboard."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import bpy

from .. import image_files
from .._core import errors
from .._core import image as images
from . import jobs
from .place import is_object_mode, report_errors


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
    """A file with what the image datablock of that name shows: its own, or for what was painted, generated or packed a
    new one in Blender's temporary folder, which no other picture takes. Raises NearError."""
    image: Any = bpy.data.images.get(name)
    if image is None:
        raise errors.NearError("There is no image {name} in this file.", "Choose one of its images.", name=name)
    own = Path(bpy.path.abspath(image.filepath, library=image.library))
    if image.source == "FILE" and not image.is_dirty and own.suffix.lower() in images.READABLE and own.is_file():
        return own
    folder = Path(tempfile.mkdtemp(dir=bpy.app.tempdir))
    path = folder / (bpy.path.clean_name(Path(name).stem) + (".exr" if image.is_float else ".png"))
    try:
        image_files.save_copy(image, str(path))
    except RuntimeError as error:
        raise errors.NearError("The image {name} has no picture to read.", "Choose another one.", name=name) from error
    return path


def _draw_image_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    image = getattr(context.space_data, "image", None)
    row = self.layout.row()
    row.enabled = image is not None
    row.operator_context = "INVOKE_DEFAULT"
    row.operator("near.create_asset_from_image", text="Create Neural Asset").image_name = image.name if image else ""


CLASSES = (NEAR_OT_create_asset_from_clipboard,)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()
    bpy.types.IMAGE_MT_image.append(_draw_image_menu)


def unregister() -> None:
    bpy.types.IMAGE_MT_image.remove(_draw_image_menu)
    _unregister()
