"""Create Neural Assets from Folder: one of every photo in it, one after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .._core import errors
from .._core import image as images
from ..client import client
from ..paths import RELATIVE
from . import jobs, landing, watching
from .place import is_object_mode, report_errors
from .provenance import Origin


class NEAR_OT_create_assets_from_folder(watching.Called, landing.SizeOption, bpy.types.Operator):
    bl_idname = "near.create_assets_from_folder"
    bl_label = "Create Neural Assets from Folder"
    bl_description = ("Turn every photo in a folder into a neural asset, side by side. TIFF, BMP and Targa files are "
                      "left out")
    bl_options = {"REGISTER"}

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", *RELATIVE})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            if not self.directory:
                raise errors.NearError("No folder was chosen.", "Choose one with photos.")
            photos = images.list_photos(Path(bpy.path.abspath(self.directory)))
            cursor: Any = context.scene.cursor.location
            x, y, z = cursor
            starts = [jobs.Start(path.stem, partial(
                _start, path, landing.Landing((x + number * landing.APART * self.size, y, z), self.size)))
                for number, path in enumerate(photos)]
            return jobs.run_all(self, context, starts, wait=not self._is_interactive)
        return {"CANCELLED"}


def _start(path: Path, place: landing.Landing) -> jobs.Creation:
    job: Any = client.create_from_image([str(path)], name=path.stem, source=path.name, normalize=True)
    # the rest of what it remembers is as it is of new assets; of a name that is no Unicode Blender keeps none
    origin = Origin({"path": str(path), "seed": 0}) if errors.to_unicode(str(path)) == str(path) else None
    return jobs.Creation(job, path.stem, origin, landing=place)


CLASSES = (NEAR_OT_create_assets_from_folder,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
