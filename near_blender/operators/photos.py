"""Create Neural Asset from Photos: several photos of one object, each with the side that it shows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, FloatVectorProperty, StringProperty
from bpy.utils import previews

from .._core import errors
from .._core import shot as shots
from ..asset import photo_options
from ..client import client
from ..paths import RELATIVE, locate
from ..translations import say
from . import jobs, landing, provenance, watching
from .create import create_from_photos, name_source
from .drawing import PhotoDrawing, begin
from .pictures import find_mask, find_photo
from .place import is_object_mode, report_errors
from .scene_photos import is_mirrored, list_backgrounds, list_image_empties, take_camera
from .transfer import list_chosen_paths

_ROUND = ("FRONT", "RIGHT", "BACK", "LEFT")  # what further photos are taken to be at first
MANY, CROWDED = 6, 12  # photos; more stand in two columns, and more with small pictures
THUMBNAIL = 0.2  # of a photo's width in the list
_thumbnails: Any = None  # bpy's preview collection, while add-on and dialog live
_open: Any = None  # the operator whose dialog was opened last


class NEAR_OT_create_asset_from_photos(watching.Called, photo_options.ShapeOptions, photo_options.RefineOption,
                                       landing.SizeOption, landing.PlacementOption, bpy.types.Operator):
    bl_idname = "near.create_asset_from_photos"
    bl_label = "Create Neural Asset from Photos"
    bl_description = ("Turn several photos of one object into a neural asset. The scene's image empties are offered "
                      "with the views that they stand in, and images behind its cameras with these")
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
        global _open
        self._is_interactive = True
        with report_errors(self):
            if self.files:
                self._list_files()
            else:
                self._drop_lost()
                self._list_scene(context.scene)
            self._have_room()
            _open = self
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
        self._region = getattr(context, "region_popup", None)
        grid: Any = self.layout.grid_flow(row_major=True, columns=self._columns, even_columns=True)
        for number, photo in enumerate(self.photos):
            draw_photo(grid, photo, number, "near.pick_object", 1.6 if len(self.photos) > CROWDED else 2.5)
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
        part = row.row()
        part.active = bool(self.mesh_object) or not tell_size(self.photos)
        part.prop(self, "placement" if self.mesh_object else "size")
        row.prop(self, "clears", text="", icon="TRASH", toggle=True)

    def execute(self, context: bpy.types.Context) -> set[str]:
        global _open
        _open = None
        with report_errors(self):
            if self.files and not self._is_interactive:
                self._list_files()
            chosen = list_chosen(self.photos)
            taken = take_shots(chosen, context.scene)
            waits = not self._is_interactive
            name = photo_options.name_asset(chosen[0])
            point = tuple(self.point) if self.properties.is_property_set("point") else landing.find_point(context)
            job = create_from_photos(
                context, self.mesh_object, waits, taken, name=name, source=taken[0].name, refine=self.refine,
                anchor=point, **photo_options.list_arguments(self))
            where = None if self.mesh_object else landing.Landing(point, self.size)
            origin = None if self.mesh_object else provenance.Origin.of_several(self.photos, self)
            source = name_source(context, self, job)
            return jobs.run(self, context, jobs.Creation(job, name, origin, source=source, landing=where), waits)
        if self._is_interactive:
            self._keep(context)
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender where an artist leaves the dialog; a click beside it does so, too."""
        self._keep(context)

    def _keep(self, context: bpy.types.Context) -> None:
        """Has the dialog, when it opens again, show what was corrected in it: Blender forgets that of one that
        failed or was left."""
        last: Any = context.window_manager.operator_properties_last("near.create_asset_from_photos")
        for name in (*photo_options.ShapeOptions.__annotations__, "refine", "size", "placement"):
            setattr(last, name, getattr(self, name))
        last.photos.clear()
        for photo in self.photos:
            kept = last.photos.add()
            for name in (*photo_options.PHOTO_NAMES, "camera"):
                setattr(kept, name, getattr(photo, name))

    def _drop_lost(self) -> None:
        """Takes out photos of the last time that are gone. Images and cameras may have other names by now."""
        names = {each.session_uid: each.name for each in (*bpy.data.images, *bpy.data.objects)}
        for number, photo in reversed(list(enumerate(self.photos))):
            if names.get(photo.uid, photo.image) != photo.image:
                photo.image = names[photo.uid]
            if names.get(photo.camera_uid, photo.camera) != photo.camera:
                photo.camera = names[photo.camera_uid]
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

    def _list_scene(self, scene: bpy.types.Scene) -> None:
        """Adds what the scene's image empties show, and what is behind its cameras, to the photos of the last time."""
        known = {(photo.path, photo.image) for photo in self.photos}
        offered = [(source, "CAMERA", name, False) for source, name in list_backgrounds(scene)] + [
            (source, view, "", flat) for source, view, flat in list_image_empties(scene)]
        for source, view, camera, flat in offered:
            if source not in known and len(self.photos) < shots.MOST:
                known.add(source)
                photo = self.photos.add()
                (photo.path, photo.image), photo.view, photo.camera, photo.orthographic = source, view, camera, flat

    def _have_room(self) -> None:
        """Sees to a row without a photo, and to four rows at least."""
        taken = {photo.view for photo in self.photos}
        for view in [view for view in _ROUND if view not in taken][:max(len(_ROUND) - len(self.photos), 0)]:
            self.photos.add().view = view
        if all(photo_options.is_there(photo) for photo in self.photos) and len(self.photos) < shots.MOST:
            self.photos.add()


class NEAR_OT_pick_object(bpy.types.Operator):
    bl_idname = "near.pick_object"
    bl_label = "Pick Object"
    bl_description = "Draw on this photo what of it is the object, in a window of its own, before the asset is made"
    bl_options = {"INTERNAL"}

    photo: bpy.props.IntProperty(
        name="Photo", min=0, description="Which one of several photos, from 0", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            number, row = self.photo, get_open(self.photo)
            if row is None:
                raise errors.NearError("The list of photos is closed.", "Open From Photos again.")
            name = photo_options.name_photo(row)
            begin(context, PhotoDrawing(
                str(find_photo(row)), row.hints, photo_options.name_matting(_open), errors.Message(
                    "back to the photos"), lambda *told: _tell_row(number, name, *told)), apart=True)
            return {"FINISHED"}
        return {"CANCELLED"}


def tell_size(rows: Iterable[Any]) -> bool:
    """Whether cameras of the scene tell how large the asset of photos is; the published model asks for none."""
    return not client.get_worker().backend.model and any(
        photo.view == "CAMERA" and photo.use and photo_options.is_there(photo) for photo in rows)


def draw_photo(layout: bpy.types.UILayout, photo: Any, number: int, draws: str = "near.correct_matte",
               scale: float = 2.5) -> None:
    """A photo of several, to be corrected. number: which one it is. draws: the operator that has an artist draw on it.
    scale: of its picture, in rows of buttons."""
    row = layout.split(factor=THUMBNAIL)  # or it would be as wide as what stands beside it leaves
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
    has_lens = photo_options.is_there(photo) and photo.view != "CAMERA"
    if photo_options.is_there(photo) and not photo.mask:
        line.operator(draws, text="", icon="BRUSH_DATA", depress=bool(photo.hints)).photo = number
    if has_lens:
        line.prop(photo, "orthographic", text="", icon="VIEW_ORTHO", toggle=True)
    if has_lens and not photo.orthographic:
        line.prop(photo, "reads_fov", text="", icon="DRIVER_ROTATIONAL_DIFFERENCE", toggle=True, invert_checkbox=True)
    line = column.row(align=True)
    if photo.view == "ANGLES":
        line.prop(photo, "azimuth")
        line.prop(photo, "elevation")
    elif photo.view == "CAMERA":
        line.prop(photo, "camera", text="", icon="CAMERA_DATA")
    if has_lens and not (photo.reads_fov or photo.orthographic):
        line.prop(photo, "fov")
    found = photo_options.describe_found(photo)
    if found:
        column.label(text=found, icon="VIEWZOOM", translate=False)


def draw_source(layout: bpy.types.UILayout, photo: Any, **options: Any) -> None:
    """Where a photo is, NEAR_PG_photo or NEAR_PG_origin: a picture file, or an image of the Blender file."""
    if photo.image:
        layout.prop_search(photo, "picture" if hasattr(photo, "picture") else "image", bpy.data, "images", **options)
    else:
        layout.prop(photo, "path", **options)


def list_chosen(rows: Iterable[Any]) -> list[Any]:
    """Those of several photos that an asset is made of. Raises NearError where there are none, or too many."""
    chosen = [photo for photo in rows if photo.use and photo_options.is_there(photo)]
    if not chosen:
        raise errors.NearError("No photo is chosen.", "Choose pictures of the object, from different sides.")
    shots.check_count(chosen)
    return chosen


def take_shots(chosen: Iterable[Any], scene: bpy.types.Scene) -> list[shots.Shot]:
    """Photos of several as the worker takes them, their cameras in the world. Raises NearError for what is no
    picture."""
    return [_take_shot(photo, find_photo(photo), scene) for photo in chosen]


def _take_shot(photo: Any, path: Path, scene: bpy.types.Scene) -> shots.Shot:
    if photo.view != "CAMERA":
        return photo_options.take_photo(photo, path, find_mask(photo))
    camera = take_camera(photo, path, scene)
    return replace(photo_options.take_photo(photo, path, find_mask(photo), camera), mirrored=is_mirrored(photo, path))


def get_open(number: int) -> Any:
    """The photo of that number in the dialog that is open, NEAR_PG_photo; None where there is none."""
    try:
        return _open.photos[number]
    except (AttributeError, ReferenceError, IndexError):  # Blender frees a dialog's operator when it is closed
        return None


def _tell_row(number: int, name: str, context: bpy.types.Context, operator: bpy.types.Operator, hints: str) -> set[str]:
    """Writes down what was drawn on a photo of the dialog that is open. name: what it was called then."""
    row = get_open(number)
    if row is None or photo_options.name_photo(row) != name:
        operator.report({"WARNING"}, say("{name} is gone.", name=name))
        return {"CANCELLED"}
    row.hints = hints
    redraw()
    return {"FINISHED"}


def redraw() -> None:
    """Has the dialog that is open show what was changed from outside of it, where this Blender can: others wait until
    the mouse changes something there."""
    region = getattr(_open, "_region", None)
    if region is not None:
        region.tag_refresh_ui()
        region.tag_redraw()


def _find_thumbnail(photo: Any) -> int:
    """The number of a small picture of a photo, 0 where there is none yet."""
    global _thumbnails
    if photo.image:
        image = photo_options.find_image(photo)
        return 0 if image is None else image.preview_ensure().icon_id
    file = locate(photo, photo.path) if photo.path else None
    if file is None or not os.path.isfile(file):
        return 0
    if _thumbnails is None:
        _thumbnails = previews.new()
    key = ascii(f"{file} {file.stat().st_mtime_ns}")  # a photo that is edited meanwhile looks otherwise
    if key not in _thumbnails:
        _thumbnails.load(key, str(file), "IMAGE")
    return _thumbnails[key].icon_id


CLASSES = (NEAR_OT_create_asset_from_photos, NEAR_OT_pick_object)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()


def unregister() -> None:
    global _thumbnails
    if _thumbnails is not None:
        previews.remove(_thumbnails)
        _thumbnails = None
    _unregister()
