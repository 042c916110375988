"""Create Neural Asset from Photos: several photos of one object, each with the side that it shows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, FloatVectorProperty, StringProperty
from bpy.utils import previews

from .. import photo_options
from .._core import errors
from .._core import shot as shots
from ..paths import RELATIVE
from . import jobs, landing
from .create import create_from_photos
from .pictures import find_mask, find_photo, name_source
from .place import is_object_mode, report_errors
from .transfer import list_chosen_paths

_ROUND = ("FRONT", "RIGHT", "BACK", "LEFT")  # what further photos are taken to be at first
MANY, CROWDED = 6, 12  # photos; more stand in two columns, and more with small pictures
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
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE", *RELATIVE, "HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"SKIP_SAVE", "HIDDEN"})
    mask: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE, "HIDDEN"})  # of the first of the files
    point: FloatVectorProperty(size=3, options={"SKIP_SAVE", "HIDDEN"})
    clears: BoolProperty(
        name="Empty the List", options={"SKIP_SAVE"}, description="Take all photos out, to begin with another object's")
    mesh_object: StringProperty(
        name="Shape", options={"SKIP_SAVE"},
        description="Object whose shape the asset takes; without it, the photos tell the shape")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_object_mode(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._is_interactive = True
        with report_errors(self):
            if self.files:
                self._list_files()
            else:
                self._drop_lost()
                self._list_empties(context.scene)
            self._have_room()
            self._columns = 1 + (len(self.photos) > MANY)  # as long as it is open: so is its width
            state: Any = context.window_manager.invoke_props_dialog(
                self, width=(520, 860)[self._columns - 1], confirm_text="Create")
            return state
        return {"CANCELLED"}

    def check(self, context: bpy.types.Context) -> bool:
        """Called by Blender after every change in the dialog; says whether it is to be drawn anew."""
        if self.clears:
            self.photos.clear()
            self.clears = False
        self._have_room()
        return True

    def draw(self, context: bpy.types.Context) -> None:
        grid: Any = self.layout.grid_flow(row_major=True, columns=self._columns, even_columns=True)
        for photo in self.photos:
            draw_photo(grid, photo, scale=1.6 if len(self.photos) > CROWDED else 2.5)
        count = sum(photo.use and photo_options.is_there(photo) for photo in self.photos)
        row = self.layout.row()
        row.prop_search(self, "mesh_object", bpy.data, "objects", icon="MESH_DATA")
        row.prop(self, "matting")
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
        row.prop(self, "clears", text="", icon="TRASH", toggle=True)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            if self.files and not getattr(self, "_is_interactive", False):
                self._list_files()
            taken = take_shots(self.photos)
            first, waits = Path(str(taken[0].picture)), not getattr(self, "_is_interactive", False)
            job = create_from_photos(context, self.mesh_object, waits, taken, name=first.stem, source=first.name,
                                     refine=self.refine, **photo_options.list_arguments(self))
            point = tuple(self.point) if self.properties.is_property_set("point") else landing.find_point(context)
            where = None if self.mesh_object else landing.Landing(point, self.size)
            origin = None if self.mesh_object else jobs.Origin.of_several(self.photos, self)
            return jobs.run(self, context, job, first.stem, wait=waits, origin=origin, landing=where)
        if getattr(self, "_is_interactive", False):
            self._keep(context)
        return {"CANCELLED"}

    def _keep(self, context: bpy.types.Context) -> None:
        """Has the dialog, when it opens again, show what was corrected in it: Blender forgets that of one that
        failed."""
        last: Any = context.window_manager.operator_properties_last("near.create_asset_from_photos")
        for name in (*photo_options.ShapeOptions.__annotations__, "refine", "size"):
            setattr(last, name, getattr(self, name))
        last.photos.clear()
        for photo in self.photos:
            kept = last.photos.add()
            for name in photo_options.PHOTO_NAMES:
                setattr(kept, name, getattr(photo, name))

    def _drop_lost(self) -> None:
        """Takes out photos of the last time that are gone."""
        for number, photo in reversed(list(enumerate(self.photos))):
            there = photo.image in bpy.data.images if photo.image else os.path.isfile(bpy.path.abspath(photo.path))
            if photo_options.is_there(photo) and not there:
                self.photos.remove(number)

    def _list_files(self) -> None:
        """Has the chosen files be the photos, each with the view that its name speaks of. Raises NearError for too
        many."""
        paths = list_chosen_paths(self)
        shots.check_count(paths)
        self.photos.clear()
        for path in paths:
            photo = self.photos.add()
            photo.path = str(path)  # it knows the view by that
        self.photos[0].mask = self.mask

    def _list_empties(self, scene: bpy.types.Scene) -> None:
        """Adds what the scene's image empties show to the photos of the last time."""
        known = {(photo.path, photo.image) for photo in self.photos}
        for source, view in list_image_empties(scene):
            if source not in known and len(self.photos) < shots.MOST:
                photo = self.photos.add()
                (photo.path, photo.image), photo.view = source, view

    def _have_room(self) -> None:
        """Sees to a row without a photo, and to four rows at least."""
        taken = {photo.view for photo in self.photos}
        for view in [view for view in _ROUND if view not in taken][:max(len(_ROUND) - len(self.photos), 0)]:
            self.photos.add().view = view
        if all(photo_options.is_there(photo) for photo in self.photos) and len(self.photos) < shots.MOST:
            self.photos.add()


def draw_photo(layout: bpy.types.UILayout, photo: Any, number: int | None = None, scale: float = 2.5) -> None:
    """A photo of several, to be corrected. number: which one of the active asset's it is, whose matte can be. scale: of
    its picture, in rows of buttons."""
    row = layout.row()
    row.template_icon(icon_value=_find_thumbnail(photo), scale=scale)
    column = row.column(align=True)
    line = column.row(align=True)
    if photo_options.is_there(photo):
        line.prop(photo, "use", text="")
    draw_source(line, photo, text="")
    line = column.row(align=True)
    line.active = photo.use
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


def draw_source(layout: bpy.types.UILayout, photo: Any, **options: Any) -> None:
    """Where a photo is, NEAR_PG_photo or NEAR_PG_origin: a picture file, or an image of the Blender file."""
    if photo.image:
        layout.prop_search(photo, "image", bpy.data, "images", **options)
    else:
        layout.prop(photo, "path", **options)


def take_shots(rows: Iterable[Any]) -> list[shots.Shot]:
    """Photos, NEAR_PG_photo, as the worker takes them. Raises NearError for what is no picture."""
    chosen = [photo for photo in rows if photo.use and photo_options.is_there(photo)]
    if not chosen:
        raise errors.NearError("No photo is chosen.", "Choose pictures of the object, from different sides.")
    shots.check_count(chosen)
    return [photo_options.take_photo(photo, find_photo(photo), find_mask(photo)) for photo in chosen]


def list_image_empties(scene: bpy.types.Scene) -> list[tuple[tuple[str, str], str]]:
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


def _name_view(face) -> str:
    """The view from whose camera a direction points at the camera."""
    def agreement(name: str) -> float:
        azimuth, elevation = (math.radians(angle or 0) for angle in shots.VIEWS[name])
        level = math.sin(azimuth) * face.x - math.cos(azimuth) * face.y
        return level * math.cos(elevation) + face.z * math.sin(elevation)
    return max(shots.VIEWS, key=agreement).upper()


def _find_thumbnail(photo: Any) -> int:
    """The number of a small picture of a photo, 0 where there is none yet."""
    global _thumbnails
    if photo.image:
        image: Any = bpy.data.images.get(photo.image)
        return 0 if image is None else image.preview_ensure().icon_id
    file = Path(bpy.path.abspath(photo.path)) if photo.path else None
    if file is None or not os.path.isfile(file):
        return 0
    if _thumbnails is None:
        _thumbnails = previews.new()
    key = ascii(f"{file} {file.stat().st_mtime_ns}")  # a photo that is edited meanwhile looks otherwise
    if key not in _thumbnails:
        _thumbnails.load(key, str(file), "IMAGE")
    return _thumbnails[key].icon_id


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
