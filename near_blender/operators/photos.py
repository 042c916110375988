"""Create Neural Asset from Photos: several photos of one object, each with the side that it shows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    StringProperty,
)
from bpy.utils import previews

from .. import client, geometry, photo_options
from .._core import errors
from .._core import shot as shots
from . import jobs, landing
from .create import check_picture, find_mesh
from .place import is_object_mode, report_errors

# as shot.VIEWS has them, and one for what nobody knows
_VIEW_ITEMS = [("FIND", "Find", "Tell by the outlines of the other photos which side this one shows")] + [
    (name.upper(), name.title(), f"The photo shows what Blender's {name} view shows") for name in shots.VIEWS] + [
    ("ANGLES", "Angles", "Azimuth and elevation from which the photo was taken")]
_ROUND = ("FRONT", "RIGHT", "BACK", "LEFT")  # what further photos are taken to be at first
_thumbnails: Any = None  # bpy's preview collection, while add-on and dialog live


class NEAR_PG_photo(bpy.types.PropertyGroup):
    path: StringProperty(name="Photo", subtype="FILE_PATH", description="Picture file")
    view: EnumProperty(name="View", items=_VIEW_ITEMS, default="FIND", description="Side of the object that it shows")
    mask: StringProperty(
        name="Mask", subtype="FILE_PATH",
        description="Picture that is white on the object; without it, the photo's alpha or its background decides")
    azimuth: FloatProperty(
        name="Azimuth", subtype="ANGLE", default=0, min=-math.pi, max=math.pi,
        description="Which side the photo shows: 0 is the front, 90 the object's left")
    elevation: FloatProperty(
        name="Elevation", subtype="ANGLE", default=math.radians(15), min=-math.pi / 2, max=math.pi / 2,
        description="How far the photo looks down on the object")


class NEAR_OT_create_asset_from_photos(photo_options.ShapeOptions, landing.SizeOption, bpy.types.Operator):
    bl_idname = "near.create_asset_from_photos"
    bl_label = "Create Neural Asset from Photos"
    bl_description = ("Turn several photos of one object into a neural asset. The scene's image empties are offered "
                      "with the views that they stand in")
    bl_options = {"REGISTER"}

    photos: CollectionProperty(
        type=NEAR_PG_photo, name="Photos", description="Pictures of the object, from different sides")
    mesh_object: StringProperty(
        name="Shape", options={"SKIP_SAVE"},
        description="Object whose shape the asset takes; without it, the photos tell the shape")
    refine: BoolProperty(
        name="Refine", default=False,
        description="Change the colours until the photos come back; views between them become a little worse where the "
                    "shape is wrong")

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
        while len(self.photos) < len(_ROUND):
            self.photos.add().view = _ROUND[len(self.photos) - 1]
        state: Any = context.window_manager.invoke_props_dialog(self, width=520)
        return state

    def draw(self, context: bpy.types.Context) -> None:
        for photo in self.photos:
            row = self.layout.row()
            row.template_icon(icon_value=_find_thumbnail(photo.path), scale=2.5)
            column = row.column(align=True)
            column.prop(photo, "path", text="")
            line = column.row(align=True)
            line.prop(photo, "view", text="")
            line.prop(photo, "mask", text="", placeholder="Mask")
            if photo.view == "ANGLES":
                line = column.row(align=True)
                line.prop(photo, "azimuth")
                line.prop(photo, "elevation")
        self.layout.prop_search(self, "mesh_object", bpy.data, "objects", icon="MESH_DATA")
        count = sum(bool(photo.path) for photo in self.photos)
        row = self.layout.row()
        for name, matters in (("symmetry", not self.mesh_object), ("thickness", count < 2 and not self.mesh_object)):
            part = row.row()
            part.enabled = matters
            part.prop(self, name)
        row = self.layout.row()
        part = row.row()
        part.enabled = count > 1
        part.prop(self, "refine")
        row.prop(self, "seed")
        row.prop(self, "size")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            taken = [take_shot(photo) for photo in self.photos if photo.path]
            if not taken:
                raise errors.NearError("No photo is chosen.", "Choose pictures of the object, from different sides.")
            first, mesh = Path(str(taken[0].picture)), None
            if self.mesh_object:
                mesh, _, _ = geometry.read_mesh(find_mesh(context, self.mesh_object), context.scene)
            job = client.create_from_image(taken, name=first.stem, source=first.name, normalize=True, mesh=mesh,
                                           refine=self.refine, **photo_options.list_shape_arguments(self))
            where = None if mesh is not None else landing.Landing(landing.find_point(context), self.size)
            return jobs.run(self, context, job, first.stem, wait=not getattr(self, "_is_interactive", False),
                            landing=where)
        return {"CANCELLED"}


def take_shot(photo: NEAR_PG_photo) -> shots.Shot:
    """A row of the dialog as the worker takes it. Raises NearError for what is no picture."""
    path, mask = (Path(bpy.path.abspath(text)) if text else None for text in (photo.path, photo.mask))
    for each in (path, mask):
        if each is not None:
            check_picture(each)
    angles: Any = {}
    if photo.view == "ANGLES":
        angles = {"azimuth": math.degrees(photo.azimuth), "elevation": math.degrees(photo.elevation)}
    elif photo.view != "FIND":
        angles = shots.find_view(photo.view)
    return shots.Shot(str(path), None if mask is None else str(mask), **angles)


def list_image_empties(scene: bpy.types.Scene) -> list[tuple[str, str]]:
    """Files of the scene's image empties, each with the name of the view that it stands in: the one whose camera looks
    at its face."""
    found = []
    for ob in scene.objects:
        picture = ob.data if ob.type == "EMPTY" and ob.empty_display_type == "IMAGE" else None
        if picture is None or not picture.filepath:
            continue
        face = ob.matrix_world.to_3x3().col[2].normalized()
        found.append((picture.filepath, _name_view(face)))
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


CLASSES = (NEAR_PG_photo, NEAR_OT_create_asset_from_photos)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def register() -> None:
    _register()


def unregister() -> None:
    global _thumbnails
    if _thumbnails is not None:
        previews.remove(_thumbnails)
        _thumbnails = None
    _unregister()
