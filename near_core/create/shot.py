"""A photo with what is known of where it was taken from."""

from __future__ import annotations

import math
import re
from collections.abc import Sized
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import NearError
from ..scene import Camera
from ..scene.camera import FAR
from .hints import Hints

# view -> azimuth and, where the view says it, elevation in degrees; named as Blender names them
VIEWS: dict[str, tuple[float, float | None]] = {
    "front": (0, None), "right": (90, None), "back": (180, None), "left": (-90, None), "top": (0, 90),
    "bottom": (0, -90)}
MOST = 24  # photos of one object
# degrees: the field of view of a drawing without perspective, as if it was taken from far away; nobody writes it
ORTHOGRAPHIC = math.degrees(1 / FAR)
_ANGLES = (-1e6, 1e6), (-90.01, 90.01), (0.99, 170.01)  # azimuth, elevation, field of view, degrees; Blender rounds
_ALSO = {"rear": "back", "above": "top", "below": "bottom"}  # what file names call views


@dataclass(frozen=True, eq=False)
class Shot:
    """One of several photos of an object.

    picture: a file, or (H, W, 3 or 4) uint8 sRGB. mask: what is object in it, as photo.prepare takes it. camera: of the
    whole photo, in the asset's frame. azimuth, elevation: degrees, where there is no camera, 0 the front, 90 the side
    at +X; None: not known. fov: degrees, of the photo's width, ORTHOGRAPHIC for a drawing without perspective; None:
    not known. hints: where the object is, in a photo that neither mask nor alpha cuts out. title: how messages call it,
    where the picture is a copy of another name. mirrored: whether the camera saw its mirror image, left and right.
    """

    picture: str | Path | np.ndarray
    mask: str | Path | np.ndarray | None = None
    camera: Camera | None = None
    azimuth: float | None = None
    elevation: float | None = None
    fov: float | None = None
    hints: Hints | None = None
    title: str = ""
    mirrored: bool = False

    def __post_init__(self) -> None:
        """Raises NearError for angles that no photo has."""
        for angle, (least, most) in zip((self.azimuth, self.elevation, self.fov), _ANGLES):
            if angle not in (None, ORTHOGRAPHIC) and not least <= angle <= most:
                raise NearError("{photo} cannot have the angles that are given.",
                                "Give an elevation from -90 to 90 and a field of view from 1 to 170 degrees.",
                                photo=self.name)

    def narrow(self) -> Shot:
        """The same with a perspective camera, where an orthographic one took it."""
        if self.camera is None or not self.camera.orthographic:
            return self
        return replace(self, camera=self.camera.narrow(), fov=ORTHOGRAPHIC)

    @property
    def name(self) -> str:
        """How messages call it."""
        name = "" if isinstance(self.picture, np.ndarray) else Path(self.picture).name
        return self.title or name or "The photo"


def find_view(name: str, level: bool = False) -> dict[str, float]:
    """The angles of a view of VIEWS, as fields of Shot. level: what shows a side shows it from neither above nor below,
    as drawings without perspective do. Raises NearError for another name."""
    if name.lower() not in VIEWS:
        raise NearError("There is no view {name!r}.", "Choose one of {choices}.", name=name, choices=", ".join(VIEWS))
    azimuth, elevation = VIEWS[name.lower()]
    elevation = 0 if elevation is None and level else elevation
    return {"azimuth": azimuth} | ({} if elevation is None else {"elevation": elevation})


def guess_view(name: str) -> str | None:
    """The view of VIEWS that the name of a file speaks of, as in chair_front.png; None where it names none or more than
    one."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)
    found = {_ALSO.get(word.lower(), word.lower()) for word in words} & VIEWS.keys()
    return found.pop() if len(found) == 1 else None


def check_count(photos: Sized) -> None:
    """Raises NearError for more photos than an asset is made from."""
    if len(photos) > MOST:
        raise NearError("{count} photos are more than NeAR makes an asset from.",
                        "Choose {most} of them at most, from all sides.", count=len(photos), most=MOST)
