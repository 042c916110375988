"""What an asset made from a photo can be asked afterwards: to be made again with other hints, and from where it was
taken."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty

from .._core import camera as cameras
from .._core import errors
from .._core import image as images
from .._core import shot as shots
from ..asset import payload, photo_options, proxy
from ..client import client
from ..paths import locate
from ..references import Reference
from . import jobs, provenance, watching
from .orbit import is_animated, is_moved
from .photos import list_chosen, take_shots
from .pictures import find_mask, find_photo
from .place import is_asset_active, is_changeable, is_object_mode, report_errors
from .scene_photos import is_mirrored

_LENS = frozenset((
    "type", "lens", "angle", "ortho_scale", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y"))


class NEAR_OT_remake_asset(watching.Called, bpy.types.Operator):
    bl_idname = "near.remake_asset"
    bl_label = "Make Again"
    bl_description = ("Make the active asset again from its photo, as the panel says now. It keeps its place; what the "
                      "changes do not touch is not computed again")
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if find_origin(context.object) is None:
            cls.poll_message_set("The active object was not made from a photo")
            return False
        return (is_changeable(cls, context.object, "The active object is linked: make a library override to change it")
                and is_object_mode(cls, context) and jobs.is_idle(cls))

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            ob = context.object
            taken, options, kept = _read(find_origin(ob), context.scene)
            told, stands = find_origin(ob).frame, ob.matrix_world.to_translation()
            place = told[:3] if told[3] else stands[:]
            job = client.create_from_image(taken, name=ob.name, source=taken[0].name, normalize=True, anchor=place,
                                           **options)
            made = jobs.Creation(job, ob.name, kept, Reference.to_object(ob))
            return jobs.run(self, context, made, wait=not self._is_interactive)
        return {"CANCELLED"}


def _read(origin: Any, scene: bpy.types.Scene) -> tuple[list[shots.Shot], dict[str, Any], provenance.Origin]:
    """What an asset is made of again: its photos, options of create.create_from_image, and what it is to remember.
    Raises NearError for what is no picture."""
    if origin.photos:
        options = photo_options.list_arguments(origin) | {"refine": origin.refine}
        return (take_shots(list_chosen(origin.photos), scene), options,
                provenance.Origin.of_several(origin.photos, origin))
    path = find_photo(origin)
    finds = {angle: getattr(origin, switch) for angle, switch in photo_options.FOUND.items()}
    shot = replace(photo_options.take_shot(origin, path, find_mask(origin), finds),
                   title=photo_options.name_photo(origin))
    return ([shot], photo_options.list_arguments(origin),
            provenance.Origin.of(origin.path, photo_options.find_image(origin), origin, finds))


class NEAR_OT_match_camera(bpy.types.Operator):
    bl_idname = "near.match_camera"
    bl_label = "Match Camera"
    bl_description = ("Look at the active asset as its photo does: the scene's camera, or a new one, gets the photo's "
                      "place and lens, and the photo as its background image")
    bl_options = {"REGISTER", "UNDO"}

    proportions: BoolProperty(
        name="Photo's Proportions", default=True, description="Make the picture as wide and high as the photo is")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_asset_active(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            ob = context.object
            asset = payload.decode_asset(ob)
            if asset is None or asset.camera is None:
                raise errors.NearError("{name} does not know from where its photo was taken.",
                                       "Only assets made from a photo do.", name=ob.name)
            found = cameras.from_json(asset.camera)
            view_camera(context.scene, found, proxy.compute_asset_matrix(ob, np.array(ob.matrix_world)))
            if self.proportions:
                render: Any = context.scene.render
                wide = render.resolution_x * render.pixel_aspect_x / render.pixel_aspect_y
                render.resolution_y = max(round(wide * found.height / found.width), 4)
            origin = find_origin(ob)
            if origin is not None:
                show_behind(context.scene.camera.data, origin, context.scene.render)
            return {"FINISHED"}
        return {"CANCELLED"}


def find_origin(ob: bpy.types.Object | None) -> Any:
    """What ob remembers of the photo that its asset was made from, which may be taken out to choose another; None where
    it was made from none."""
    if ob is None or payload.find_payload(ob) is None:
        return None
    origin: Any = ob.near.origin  # type: ignore[attr-defined]
    return origin if photo_options.is_there(origin) or origin.is_property_set("seed") else None


def view_camera(scene: bpy.types.Scene, view: cameras.Camera, asset_matrix: np.ndarray) -> None:
    """Has the scene's camera, a new one where there is none, it is linked or would not stay, look as a camera in an
    asset's frame does. asset_matrix: (4, 4) from that frame to the world."""
    described = cameras.to_json(view)
    own = scene.camera
    if (own is None or own.type != "CAMERA" or not (own.is_editable and own.data.is_editable) or is_moved(own)
            or is_animated(own.data, _LENS)):
        scene.camera = bpy.data.objects.new("Photo", bpy.data.cameras.new("Photo"))
        scene.collection.objects.link(scene.camera)
    matrix = asset_matrix @ np.array(described["matrix_world"])
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    matrix[:3, :3] /= np.maximum(lengths, 1e-12)
    scene.camera.matrix_world = matrix.T.tolist()  # by columns
    lens: Any = scene.camera.data
    lens.type, lens.sensor_fit = described.get("type", "PERSP"), "HORIZONTAL"
    if view.orthographic:
        lens.ortho_scale = described["ortho_scale"] * float(np.cbrt(np.prod(lengths)))
    else:
        lens.angle_x = np.radians(described["fov_x_deg"])
    lens.shift_x, lens.shift_y = described["shift_x"], described["shift_y"]
    away = float(np.linalg.norm(matrix[:3, 3] - asset_matrix[:3, 3]))
    lens.clip_start, lens.clip_end = min(lens.clip_start, away / 10), max(lens.clip_end, away * 10)


def show_behind(lens: Any, origin: Any, render: Any) -> None:
    """An asset's photo, NEAR_PG_origin, behind what a camera sees, where it is still there: as wide as that, upright,
    and flipped where the asset was made from its mirror image. render: the scene's settings."""
    image = photo_options.find_image(origin)
    file = locate(origin, origin.path)
    if not origin.image and os.path.isfile(file):
        is_own = file == Path(bpy.path.abspath(origin.path))  # then it stays beside the file
        image = bpy.data.images.load(origin.path if is_own else str(file), check_existing=True)
    if image is None or not image.size[1]:
        return
    path = find_photo(origin)
    quarters, flipped = images.read_turn(path)  # Blender shows photos as they are stored
    first = next((each for each in origin.photos if each.use), None)
    if first is not None and first.view == "CAMERA":
        flipped = flipped != is_mirrored(first, path)
    lens.background_images.clear()
    behind = lens.background_images.new()
    behind.image, behind.use_flip_x = image, flipped
    behind.rotation = math.pi / 2 * (-quarters if flipped else quarters)
    shape = image.size[0] / image.size[1]
    frame = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    behind.frame_method = "FIT" if shape >= frame else "CROP"
    behind.scale = shape if quarters % 2 else 1
    lens.show_background_images = True


CLASSES = (NEAR_OT_remake_asset, NEAR_OT_match_camera)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
