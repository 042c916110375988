"""Create Neural Asset from Photos: several photos of one object, each with the side that it shows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy.utils import previews

from .. import photo_options
from .._core import errors
from .._core import shot as shots
from . import jobs, landing
from .create import check_picture, create_from_photos
from .place import is_object_mode, report_errors

_ROUND = ("FRONT", "RIGHT", "BACK", "LEFT")  # what further photos are taken to be at first
_thumbnails: Any = None  # bpy's preview collection, while add-on and dialog live


class NEAR_OT_create_asset_from_photos(photo_options.ShapeOptions, photo_options.RefineOption, landing.SizeOption,
                                       bpy.types.Operator):
    bl_idname = "near.create_asset_from_photos"
    bl_label = "Create Neural Asset from Photos"
    bl_description = ("Turn several photos of one object into a neural asset. The scene's image empties are offered "
                      "with the views that they stand in")
    bl_options = {"REGISTER"}

    photos: CollectionProperty(
        type=photo_options.NEAR_PG_photo, name="Photos", description="Pictures of the object, from different sides")
    mesh_object: StringProperty(
        name="Shape", options={"SKIP_SAVE"},
        description="Object whose shape the asset takes; without it, the photos tell the shape")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        known = {photo.path for photo in self.photos}  # from the last time, to be corrected
        for path, view in list_image_empties(context.scene):
            if path not in known:
                photo = self.photos.add()
                photo.path, photo.view = path, view
        for view in _ROUND[len(self.photos):]:
            self.photos.add().view = view
        state: Any = context.window_manager.invoke_props_dialog(self, width=520)
        return state

    def draw(self, context: bpy.types.Context) -> None:
        for photo in self.photos:
            draw_photo(self.layout, photo)
        self.layout.prop_search(self, "mesh_object", bpy.data, "objects", icon="MESH_DATA")
        count = sum(bool(photo.path) for photo in self.photos)
        row = self.layout.row()
        row.enabled = not self.mesh_object
        row.prop(self, "symmetry")
        row.prop(self, "thickness")
        row = self.layout.row()
        part = row.row()
        part.enabled = count > 1
        part.prop(self, "refine")
        row.prop(self, "seed")
        row.prop(self, "size")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            taken = take_shots(self.photos)
            first, waits = Path(str(taken[0].picture)), not getattr(self, "_is_interactive", False)
            job = create_from_photos(context, self.mesh_object, waits, taken, name=first.stem, source=first.name,
                                     refine=self.refine, **photo_options.list_shape_arguments(self))
            where = None if self.mesh_object else landing.Landing(landing.find_point(context), self.size)
            origin = None if self.mesh_object else jobs.Origin.of_several(self.photos, self)
            return jobs.run(self, context, job, first.stem, wait=waits, origin=origin, landing=where)
        return {"CANCELLED"}


def draw_photo(layout: bpy.types.UILayout, photo: Any, number: int | None = None) -> None:
    """A photo of several, to be corrected. number: which one of the active asset's it is, whose matte can be."""
    row = layout.row()
    row.template_icon(icon_value=_find_thumbnail(photo.path), scale=2.5)
    column = row.column(align=True)
    column.prop(photo, "path", text="")
    line = column.row(align=True)
    line.prop(photo, "view", text="")
    line.prop(photo, "mask", text="", placeholder="Mask")
    if number is not None and not photo.mask:
        line.operator("near.correct_matte", text="", icon="BRUSH_DATA", depress=bool(photo.hints)).photo = number
    if photo.view == "ANGLES":
        line = column.row(align=True)
        line.prop(photo, "azimuth")
        line.prop(photo, "elevation")
    found = photo_options.describe_found(photo)
    if found:
        column.label(text=found, icon="VIEWZOOM", translate=False)


def take_shots(rows: Iterable[Any]) -> list[shots.Shot]:
    """Photos, NEAR_PG_photo, as the worker takes them. Raises NearError for what is no picture."""
    chosen = [photo for photo in rows if photo.path]
    if not chosen:
        raise errors.NearError("No photo is chosen.", "Choose pictures of the object, from different sides.")
    for photo in chosen:
        for text in filter(None, (photo.path, photo.mask)):
            check_picture(Path(bpy.path.abspath(text)))
    return [photo_options.take_photo(photo) for photo in chosen]


def list_image_empties(scene: bpy.types.Scene) -> list[tuple[str, str]]:
    """Files of the scene's image empties, each with the name of the view that it stands in: the one whose camera looks
    at its face."""
    found = []
    for ob in scene.objects:
        picture = ob.data if ob.type == "EMPTY" and ob.empty_display_type == "IMAGE" else None
        if picture is None or not picture.filepath:
            continue
        face = ob.matrix_world.to_3x3().col[2].normalized()
        path = bpy.path.abspath(picture.filepath, library=picture.library) if picture.library else picture.filepath
        found.append((path, _name_view(face)))
    return found


def _name_view(face) -> str:
    """The view from whose camera a direction points at the camera."""
    def agreement(name: str) -> float:
        azimuth, elevation = (math.radians(angle or 0) for angle in shots.VIEWS[name])
        level = math.sin(azimuth) * face.x - math.cos(azimuth) * face.y
        return level * math.cos(elevation) + face.z * math.sin(elevation)
    return max(shots.VIEWS, key=agreement).upper()


def _find_thumbnail(path: str) -> int:
    """The number of a small picture of a file, 0 where there is none yet."""
    global _thumbnails
    file = Path(bpy.path.abspath(path)) if path else None
    if file is None or not file.is_file():
        return 0
    if _thumbnails is None:
        _thumbnails = previews.new()
    if str(file) not in _thumbnails:
        _thumbnails.load(str(file), str(file), "IMAGE")
    return _thumbnails[str(file)].icon_id


CLASSES = (NEAR_OT_create_asset_from_photos,)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()


def unregister() -> None:
    global _thumbnails
    if _thumbnails is not None:
        previews.remove(_thumbnails)
        _thumbnails = None
    _unregister()
