"""Assets from files: Import, and the sample that comes with the add-on. bake.py has the ways out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty

from .._core import asset as assets
from .._core import errors
from ..paths import RELATIVE
from . import landing, watching
from .place import AssetReading, is_object_mode, place_asset, report_errors

SAMPLE = Path(__file__).resolve().parent.parent / "assets" / "sample.near"
FILTER = "*.near;*.npz"
LOOK_EVERY = 0.05  # seconds


class _Import(watching.Called):
    """An operator that puts assets of files into the scene; beside the artist where one calls it, at once for a
    script."""

    _point: Any = None  # where the first one goes

    def list_paths(self) -> list[Path]:
        """The files."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Any:
        self._placed: list[Any] = []
        self._rest = self.list_paths()
        if not self._can_be_watched:
            while self._rest:
                self._place(context, self._begin())
            return self._end(context)
        self._reading = self._begin()
        return watching.watch(self, context, LOOK_EVERY)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        if event.type == "ESC" and event.value == "PRESS":
            self._rest = []  # what is there stays, and can be undone
        elif event.type != "TIMER" or not self._reading.done:
            return {"PASS_THROUGH"}
        else:
            self._place(context, self._reading)
        if self._rest:
            self._reading = self._begin()
            return {"PASS_THROUGH"}
        self.cancel(context)
        return self._end(context)

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened."""
        watching.leave(self, context)

    def _begin(self) -> AssetReading:
        path = self._rest.pop(0)
        return AssetReading(lambda: read_asset(path))

    def _place(self, context: bpy.types.Context, reading: AssetReading) -> None:
        with report_errors(self):  # type: ignore[arg-type]
            data, asset, surface = reading.result()
            self._placed.append(place_asset(context, asset, data, surface))

    def _end(self, context: bpy.types.Context) -> set[str]:
        landing.line_up(self._placed, self._point)
        for ob in self._placed:
            ob.select_set(True)
        return {"FINISHED"} if self._placed else {"CANCELLED"}


class NEAR_OT_import_asset(_Import, bpy.types.Operator):
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

    def list_paths(self) -> list[Path]:
        return list_chosen_paths(self)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        self._is_interactive = True
        is_dropped = bool(self.filepath or self.files)
        self._point = landing.find_point(context, event if is_dropped else None)
        if is_dropped:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class NEAR_OT_add_sample(_Import, bpy.types.Operator):
    bl_idname = "near.add_sample"
    bl_label = "Add Sample Asset"
    bl_description = "Add the neural asset that comes with NeAR"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not os.path.isfile(SAMPLE):
            cls.poll_message_set("This build of NeAR comes without a sample")
            return False
        return is_object_mode(cls, context)

    def list_paths(self) -> list[Path]:
        return [SAMPLE]

    def execute(self, context: bpy.types.Context) -> Any:
        self._point = landing.find_point(context)
        return super().execute(context)


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
