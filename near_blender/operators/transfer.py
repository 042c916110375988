"""Assets from files: Import, and the sample that comes with the add-on. bake.py has the ways out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty

from .._core import asset as assets
from .._core import errors
from ..paths import RELATIVE
from . import landing
from .place import is_object_mode, place_asset, report_errors

SAMPLE = Path(__file__).resolve().parent.parent / "assets" / "sample.near"
FILTER = "*.near;*.npz"


class NEAR_OT_import_asset(bpy.types.Operator):
    bl_idname = "near.import_asset"
    bl_label = "Import Neural Asset"
    bl_description = "Add assets from .near files, or from the published .npz latents"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE})
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", *RELATIVE, "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    filter_glob: StringProperty(default=FILTER, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        is_dropped = bool(self.filepath or self.files)
        self._point = landing.find_point(context, event if is_dropped else None)
        if is_dropped:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        placed: list[Any] = []
        for path in list_chosen_paths(self):
            with report_errors(self):
                data, asset = read_asset(path)
                placed.append(place_asset(context, asset, data))
        landing.line_up(placed, getattr(self, "_point", None))
        for ob in placed:
            ob.select_set(True)
        return {"FINISHED"} if placed else {"CANCELLED"}


class NEAR_OT_add_sample(bpy.types.Operator):
    bl_idname = "near.add_sample"
    bl_label = "Add Sample Asset"
    bl_description = "Add the neural asset that comes with NeAR"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not SAMPLE.is_file():
            cls.poll_message_set("This build of NeAR comes without a sample")
            return False
        return is_object_mode(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            data, asset = read_asset(SAMPLE)
            landing.line_up([place_asset(context, asset, data)], landing.find_point(context))
            return {"FINISHED"}
        return {"CANCELLED"}


class NEAR_FH_asset(bpy.types.FileHandler):
    bl_idname = "NEAR_FH_asset"
    bl_label = "Neural Asset"
    bl_import_operator = "near.import_asset"
    bl_file_extensions = ".near"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def list_chosen_paths(operator: Any) -> list[Path]:
    """The files of a file dialog, a drop or a script."""
    folder = Path(bpy.path.abspath(operator.directory))
    names = [file.name for file in operator.files if file.name]
    return [folder / name for name in names] or [Path(bpy.path.abspath(operator.filepath))]


def read_asset(path: Path) -> tuple[bytes, assets.NeuralAsset]:
    """The bytes of a .near file and the asset they are; a published .npz is turned into one. Raises NearError."""
    if path.suffix.lower() not in (".near", ".npz"):
        raise errors.NearError("{file} is not a neural asset.", "Choose a .near or .npz file.",
                               file=path.name or errors.Message("Nothing"))
    asset = assets.load(path)
    return (path.read_bytes() if path.suffix.lower() == ".near" else assets.to_bytes(asset)), asset


CLASSES = (NEAR_OT_import_asset, NEAR_OT_add_sample, NEAR_FH_asset)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
