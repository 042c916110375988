"""What an asset remembers of the photos that it was made from, and how it was made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy

from ..asset import photo_options
from ..references import Reference
from ..shaders import image_files

_KEEP = {"picture": photo_options.keep_image, "camera": photo_options.keep_camera}  # datablocks of an origin


@dataclass
class Origin:
    """The photo that an asset is made from, values of photo_options.NEAR_PG_origin, datablocks as References. photos:
    of several those of photo_options.NEAR_PG_origin_photo, each."""

    values: dict[str, Any]
    photos: Sequence[dict[str, Any]] = ()

    @classmethod
    def of(cls, path: str, image: bpy.types.Image | None, options: Any, finds: dict[str, bool]) -> Origin:
        """As the owner of such properties says. path: as Blender stores it. image: of the Blender file, instead. finds:
        which angles of photo_options.FOUND are found."""
        values = photo_options.read_values(options, photo_options.NAMES)
        found = {photo_options.FOUND[angle]: found for angle, found in finds.items()}
        return cls({"path": path, "picture": image and Reference.to_image(image)} | values | found)

    @classmethod
    def of_several(cls, photos: Iterable[Any], options: Any) -> Origin:
        """Of several photos."""
        kept = [_keep(photo) for photo in photos if photo_options.is_there(photo)]
        values = photo_options.read_values(options, (*photo_options.SHAPE, "refine"))
        first = next(photo for photo in kept if photo["use"])  # by which the asset's camera goes
        return cls({"path": first["path"], "picture": first["picture"]} | values, kept)


def _keep(photo: Any) -> dict[str, Any]:
    """What is remembered of one of several photos."""
    image, camera = photo_options.find_image(photo), photo_options.find_camera(photo)
    return {"path": photo.path, "picture": image and Reference.to_image(image)} | {
        name: getattr(photo, name) for name in photo_options.PHOTO_NAMES if name not in ("path", "image")} | {
        "camera": camera and Reference.to_object(camera)}


def remember(ob: Any, origin: Origin, views: Sequence[tuple[float, float] | None] = (), frame: Sequence[float] = ()
             ) -> None:
    """Writes down which photos ob's asset was made from, and how. views: from where each that was used turned out to be
    taken. frame: where cameras saw the object, x, y, z and size, world."""
    told = ob.near.origin
    _write(told, origin.values)
    told.frame = frame or (0.0,) * 4
    told.photos.clear()
    found = iter(views)
    for values in origin.photos:
        photo = told.photos.add()
        _write(photo, values)
        if views and photo.use:
            photo_options.tell_found(photo, next(found))
    for image in filter(None, map(photo_options.find_image, (told, *told.photos))):
        image_files.keep(image)
    if origin.photos:
        _tell_dialog(told.photos)


def _write(owner: Any, values: dict[str, Any]) -> None:
    """Sets properties; a datablock may be gone by now, or have another name."""
    for name, value in values.items():
        if name in _KEEP:
            _KEEP[name](owner, value and value.find())
        else:
            setattr(owner, name, value)


def _tell_dialog(photos: Iterable[Any]) -> None:
    """Has the dialog for several photos, when it opens again, show where these turned out to be taken from."""
    last: Any = bpy.context.window_manager.operator_properties_last("near.create_asset_from_photos")
    known = {(photo.path, photo.image, photo.hints): photo for photo in photos}  # a sheet has several, each in a box
    for row in last.photos if last is not None else ():
        photo = known.get((row.path, row.image, row.hints))
        if photo is not None and row.view == photo.view:
            row.found = photo.found
            if photo.found == "ANGLES":  # others are as an artist has them, who may have corrected them meanwhile
                row.azimuth, row.elevation = photo.azimuth, photo.elevation
