"""What an artist can say of a photo that an asset is made of: the operator that makes it asks for it, and the object
that stands for the asset remembers it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from .. import translations
from .._core import errors, hints, shot
from ..paths import RELATIVE
from ..references import find_keyed, name_key

_OVERRIDE: Any = {"LIBRARY_OVERRIDABLE"}
FOUND = {"fov": "reads_fov", "elevation": "estimates_elevation"}  # angle of a photo -> whether it is found, not given
SHAPE = ("thickness", "symmetry", "seed")
PATHS = ("path", "mask")  # of what remembers a photo
CAMERA = ("orthographic", "reads_fov", "fov", "estimates_elevation", "elevation", "azimuth")


class ShapeOptions:
    """What an artist can say of the object, and of what finds it in photos, as properties for an operator or a property
    group."""

    thickness: EnumProperty(
        override=_OVERRIDE, name="Thickness", default="AUTO",
        items=[
            ("AUTO", "Automatic", "Part by part: as deep as it is sure to be, else as its outline is wide"),
            ("THIN", "Flat", "Wings, sheets, reliefs: much thinner than wide"),
            ("ROUND", "Round", "As deep as its outline is wide, part by part"),
            ("FULL", "Full", "As deep as the networks think"),
            ("TURNED", "Turned", "The same from all around an upright axis, as bottles, vases and lamps are"),
            ("CUP", "Cup", "Turned, and open on top; a handle stays")],
        description="How deep the object is behind what photos show")
    symmetry: EnumProperty(
        override=_OVERRIDE, name="Symmetry", default="AUTO",
        items=[
            ("AUTO", "Automatic", "Colours of the hidden side are its mirror image's where the photo shows that"),
            ("ON", "On", "The left mirrors the right: an oblique photo whose side is told shows both"),
            ("OFF", "Off", "Nothing is taken from a mirror image")],
        description="Whether the object's left is the mirror image of its right")
    seed: IntProperty(
        override=_OVERRIDE, name="Seed", default=0, min=0,
        description="Another seed guesses the unseen side differently")
    matting: EnumProperty(
        override=_OVERRIDE, name="Matting", default="NEAR",
        items=[
            ("NEAR", "NeAR", "The network that comes with NeAR", 0),
            ("ISNET", "NeAR Matte", "The larger network of the extension NeAR Matte, where that is installed", 2)],
        description="What finds the object in a photo without alpha or mask")


class LensOptions:
    """And of what lens a photo of it was taken with."""

    orthographic: BoolProperty(
        override=_OVERRIDE, name="Orthographic", default=False,
        description="The picture is without perspective, as drawings on reference sheets and orthographic renders are")
    fov: FloatProperty(
        override=_OVERRIDE, name="Field of View",
        translation_context=translations.OWN,  # Blender's own German for it means another thing
        subtype="ANGLE", default=math.radians(40), min=math.radians(1), max=math.radians(150),
        description="Horizontal angle that the photo covers")
    reads_fov: BoolProperty(
        override=_OVERRIDE, name="Read Field of View", default=True,
        description="Take the angle from what the camera noted in the photo's file; where it noted nothing, 40 degrees")


class PhotoOptions(LensOptions, ShapeOptions):
    """And of the photo of it."""

    mask: StringProperty(
        override=_OVERRIDE, name="Mask", subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE},
        description="Picture that is white on the object; without it, the photo's alpha or its background decides")
    hints: StringProperty(
        override=_OVERRIDE, name="Hints", options={"SKIP_SAVE", "HIDDEN"},
        description="What was drawn on the photo to say where the object is")
    elevation: FloatProperty(
        override=_OVERRIDE, name="Elevation", subtype="ANGLE", default=math.radians(15), min=math.radians(-90),
        max=math.radians(90),
        description="How far the photo looks down on the object")
    estimates_elevation: BoolProperty(
        override=_OVERRIDE, name="Estimate Elevation", default=True,
        description="Tell from the photo how far it looks down on the object; right within about 10 degrees")
    azimuth: FloatProperty(
        override=_OVERRIDE, name="Azimuth", subtype="ANGLE", default=0, min=-math.pi, max=math.pi,
        description="Which side the photo shows: 0 is the front, 90 the object's left")


# as shot.VIEWS has them, and one for what nobody knows
_VIEW_ITEMS = [("FIND", "Find", "Tell by the outlines of the other photos which side this one shows")] + [
    (name.upper(), name.title(), f"The photo shows what Blender's {name} view shows") for name in shot.VIEWS] + [
    ("ANGLES", "Angles", "Azimuth and elevation from which the photo was taken"),
    ("CAMERA", "Camera", "A camera of the scene stands where the photo was taken: the asset comes to where it looks")]


def _forget(photo: Any, context: Any) -> None:
    """What was drawn on one photo, and found of it, says nothing of another; its name may say what it shows."""
    if hasattr(photo, "uid"):
        image: Any = bpy.data.images.get(photo.image) if photo.image else None
        if image is not None and image.session_uid == photo.uid:  # it has another name
            return
        photo.uid = 0 if image is None else image.session_uid
    if hasattr(photo, "image_key"):
        photo.image_key = ""
    photo.hints = ""
    if hasattr(photo, "found"):
        photo.found = ""
        view = shot.guess_view(Path(photo.path or photo.image).stem)
        if view is not None:
            photo.view = view.upper()


def keep_image(photo: Any, image: Any) -> None:
    """Has a photo that an asset was made from be an image, or a file, where that is None."""
    if image is None or image != find_image(photo):  # or it has another name
        photo.image = "" if image is None else image.name
    photo.image_key = "" if image is None else name_key(image)


def keep_camera(photo: Any, ob: Any) -> None:
    """Has one of several photos that an asset was made from be taken by an object's camera; None: by none."""
    photo.camera_name = "" if ob is None else ob.name
    photo.camera_key = "" if ob is None else name_key(ob)


def _choose_image(photo: Any, name: str) -> None:
    keep_image(photo, bpy.data.images.get(name))


def _choose_camera(photo: Any, name: str) -> None:
    keep_camera(photo, bpy.data.objects.get(name))


def _name_image(photo: Any) -> str:
    image = find_image(photo)
    return photo.image if image is None else image.name


def _name_camera(photo: Any) -> str:
    ob = find_camera(photo)
    return photo.camera_name if ob is None else ob.name


def _know_camera(photo: Any, context: Any) -> None:
    """It may have another name by the time that the photo is looked at again."""
    camera: Any = find_camera(photo)
    photo.camera_uid = 0 if camera is None else camera.session_uid


def _list_cameras(photo: Any, context: Any, text: str) -> list[str]:
    return [ob.name for ob in context.scene.objects if ob.type == "CAMERA"]


class SeveralOptions(LensOptions):
    """What an artist can say of one of several photos, as properties for a property group."""

    path: StringProperty(
        override=_OVERRIDE, name="Photo", subtype="FILE_PATH", options=RELATIVE, update=_forget,
        description="Picture file")
    image: StringProperty(
        override=_OVERRIDE, name="Image", update=_forget,
        description="Image of this file that is the photo, in place of a picture file")
    use: BoolProperty(override=_OVERRIDE, name="Use", default=True, description="Make the asset from this photo, too")
    view: EnumProperty(
        override=_OVERRIDE, name="View", items=_VIEW_ITEMS, default="FIND",
        update=lambda self, context: setattr(self, "found", ""),
        description="Side of the object that it shows, or where it was taken from")
    mask: StringProperty(
        override=_OVERRIDE, name="Mask", subtype="FILE_PATH", options=RELATIVE,
        description="Picture that is white on the object; without it, the photo's alpha or its background decides")
    hints: StringProperty(
        override=_OVERRIDE, name="Hints", options={"HIDDEN"},
        description="What was drawn on the photo to say where the object is")
    azimuth: FloatProperty(
        override=_OVERRIDE, name="Azimuth", subtype="ANGLE", default=0, min=-math.pi, max=math.pi,
        description="Which side the photo shows: 0 is the front, 90 the object's left")
    elevation: FloatProperty(
        override=_OVERRIDE, name="Elevation", subtype="ANGLE", default=math.radians(15), min=-math.pi / 2,
        max=math.pi / 2,
        description="How far the photo looks down on the object")
    found: StringProperty(
        override=_OVERRIDE, name="Found", options={"HIDDEN"},
        description="ANGLES where nobody said from where it was taken and that was found, NOTHING where the photo was "
                    "left out")


class NEAR_PG_photo(SeveralOptions, bpy.types.PropertyGroup):
    """One of several photos of an object, for operators: these hold no datablocks, so that it has their names."""

    camera: StringProperty(
        override=_OVERRIDE, name="Camera", search=_list_cameras, search_options={"SORT"}, update=_know_camera,
        description="Camera of the scene that stands where the photo was taken")
    # what Blender knows image and camera by in this session
    uid: IntProperty(override=_OVERRIDE, options={"HIDDEN"})
    camera_uid: IntProperty(override=_OVERRIDE, options={"HIDDEN"})


class KeptImage:
    """The image that is a photo which an asset was made from, as properties for a property group. picture: its name
    now; image: the one that it had. Images of older files have no key."""

    image_key: StringProperty(
        override=_OVERRIDE, name="Key", options={"HIDDEN"}, description="What the image is known by")
    picture: StringProperty(
        name="Image", get=_name_image, set=_choose_image,
        description="Image of this file that is the photo, in place of a picture file")


class NEAR_PG_origin_photo(SeveralOptions, KeptImage, bpy.types.PropertyGroup):
    """One of several photos that an asset was made from. camera: the camera's name now. No pointers: an asset that is
    appended, or handed over with its scene, brings neither photos nor cameras along."""

    camera_name: StringProperty(
        override=_OVERRIDE, name="Name", options={"HIDDEN"}, description="What the camera was called")
    camera_key: StringProperty(
        override=_OVERRIDE, name="Key", options={"HIDDEN"}, description="What the camera is known by")
    camera: StringProperty(
        name="Camera", search=_list_cameras, search_options={"SORT"}, get=_name_camera,
        set=_choose_camera,
        description="Camera of the scene that stands where the photo was taken")


class RefineOption:
    """A property of what several photos become an asset with."""

    refine: BoolProperty(
        override=_OVERRIDE, name="Refine", default=False,
        description="Adjust the colours until the asset looks like its photos; from other sides it may look a little "
                    "worse")


class NEAR_PG_origin(PhotoOptions, RefineOption, KeptImage, bpy.types.PropertyGroup):
    path: StringProperty(
        override=_OVERRIDE, name="Photo", subtype="FILE_PATH", options=RELATIVE, update=_forget,
        description="The photo that the asset was made from, the first of several")
    image: StringProperty(
        override=_OVERRIDE, name="Image", update=_forget,
        description="Image of this file that is the photo, in place of a picture file")
    photos: CollectionProperty(
        override={*_OVERRIDE, "USE_INSERTION"}, type=NEAR_PG_origin_photo, name="Photos",
        description="All that the asset was made from, where there are several")
    # the folder of the file that it was saved in, where photos are beside it
    home: StringProperty(override=_OVERRIDE, options={"HIDDEN"})
    # where cameras saw the asset: x, y, z and size, or nothing
    frame: FloatVectorProperty(override=_OVERRIDE, size=4, options={"HIDDEN"})


PHOTO_NAMES = (*SeveralOptions.__annotations__, *LensOptions.__annotations__)
NAMES = (*PhotoOptions.__annotations__, *LensOptions.__annotations__, *ShapeOptions.__annotations__)


def fold_options(layout: bpy.types.UILayout) -> bpy.types.UILayout | None:
    """Where to draw what is seldom said of a photo; None while that is folded away."""
    header, body = layout.panel("NEAR_photo_options", default_closed=True)
    header.label(text="Options")
    return body


def draw_options(layout: bpy.types.UILayout, options: Any, names: tuple[str, ...]) -> None:
    """The properties of some names; an angle that is found cannot be given."""
    for name in names:
        row = layout.row()
        found = name in FOUND and getattr(options, FOUND[name])
        row.enabled = not (found or name in ("fov", "reads_fov") and options.orthographic)
        row.prop(options, name)


def list_arguments(options: Any) -> dict[str, Any]:
    """What create.create_from_image is told of ShapeOptions."""
    return {"thickness": options.thickness.lower(), "symmetry": options.symmetry.lower(), "seed": options.seed,
            "matting": name_matting(options)}


def read_values(options: Any, names: Iterable[str]) -> dict[str, Any]:
    """The properties of some names and what finds the object, to be remembered."""
    return {name: getattr(options, name) for name in names} | {"matting": name_matting(options).upper()}


def name_matting(options: Any) -> str:
    """What finds the object, one of create.MATTINGS."""
    return options.matting.lower() or "near"  # Blender knows no name of what an older version chose


def take_shot(options: Any, path: Path, mask: Path | None, finds: dict[str, bool]) -> shot.Shot:
    """The photo of a file with what is known of it. mask: its file. finds: which angles of FOUND are found."""
    angles: Any = {name: None if finds[name] else math.degrees(getattr(options, name)) for name in FOUND}
    angles |= {"fov": shot.ORTHOGRAPHIC} if options.orthographic else {}
    return shot.Shot(str(path), mask and str(mask), azimuth=math.degrees(options.azimuth),
                     hints=None if mask else read_hints(options.hints), **angles)


def is_there(photo: Any) -> bool:
    """Whether one of several photos, NEAR_PG_photo, or that of an asset, NEAR_PG_origin, is chosen."""
    return bool(photo.path or photo.image)


def find_image(photo: Any) -> Any:
    """The image of the Blender file that is a photo, of several or of an asset; None where that is a file."""
    return find_keyed("images", getattr(photo, "image_key", ""), photo.image) if photo.image else None


def find_camera(photo: Any) -> Any:
    """The object that is the camera of one of several photos; None where there is none."""
    if hasattr(photo, "camera_key"):
        return find_keyed("objects", photo.camera_key, photo.camera_name)
    return bpy.data.objects.get(photo.camera)


def name_photo(photo: Any) -> str:
    """What an artist knows a photo by, of several or of an asset, though a copy of it may be read: the name of its file
    or image."""
    image = find_image(photo)
    return image.name if image is not None else photo.image or bpy.path.basename(photo.path)


def name_asset(photo: Any) -> str:
    """What an asset of a photo is called."""
    paths: Any = bpy.path
    name, kind = os.path.splitext(name_photo(photo))
    return name if kind.lower() in paths.extensions_image else name + kind


def take_photo(photo: Any, path: Path, mask: Path | None = None, camera: Any = None) -> shot.Shot:
    """One of several photos with what is known of it. path, mask: their files. camera: scene.Camera, where that is
    the view."""
    known: Any = {"fov": shot.ORTHOGRAPHIC if photo.orthographic else
                  None if photo.reads_fov else math.degrees(photo.fov)}
    if photo.view == "CAMERA":
        known = {"camera": camera}  # it has its own lens
    elif photo.view == "ANGLES":
        known |= {"azimuth": math.degrees(photo.azimuth), "elevation": math.degrees(photo.elevation)}
    elif photo.view != "FIND":
        known |= shot.find_view(photo.view, level=photo.orthographic)
    return shot.Shot(str(path), mask and str(mask), hints=None if mask else read_hints(photo.hints),
                     title=name_photo(photo), **known)


def tell_found(photo: Any, angles: tuple[float, float] | None) -> None:
    """Writes into a photo from where it turned out to be taken, degrees, where that was to be found; None: it was left
    out."""
    photo.found = "NOTHING" if angles is None else "ANGLES" if photo.view == "FIND" else ""
    if photo.found == "ANGLES":
        photo.azimuth, photo.elevation = (math.radians(angle) for angle in angles)  # to be corrected


def describe_found(photo: Any) -> str:
    """What became of a photo, for the artist: from where it seems to be taken, where that was to be found; "" where
    there is nothing to tell."""
    if photo.found == "NOTHING":
        return translations.say("It was left out")
    if photo.view != "FIND" or not photo.found:
        return ""
    return translations.say("Found: {azimuth:.0f}\u00b0 around, {elevation:.0f}\u00b0 up",
                            azimuth=math.degrees(photo.azimuth), elevation=math.degrees(photo.elevation))


def read_hints(text: str) -> hints.Hints | None:
    """Hints as write_hints wrote them; None for none, or for what is damaged."""
    try:
        known = json.loads(text) if text else {}
        dabs = {side: np.array(known[side], np.float32) for side in ("inside", "outside") if side in known}
        box = tuple(known["box"]) if "box" in known else None
        return hints.Hints(box, number=int(known.get("number", 0)), **dabs) if known else None
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, errors.NearError):
        return None


def write_hints(given: hints.Hints) -> str:
    """Hints as a text, "" for none."""
    known = {"box": given.box and [round(side, 5) for side in given.box], "number": given.number,
             "inside": given.inside.round(5).tolist(), "outside": given.outside.round(5).tolist()}
    return json.dumps({name: value for name, value in known.items() if value}) if any(known.values()) else ""


CLASSES = (NEAR_PG_photo, NEAR_PG_origin_photo, NEAR_PG_origin)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
