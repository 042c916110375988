"""A photo with what is known of where it was taken from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import NearError
from ..scene import Camera
from .hints import Hints

# view -> azimuth and, where the view says it, elevation in degrees; named as Blender names them
VIEWS: dict[str, tuple[float, float | None]] = {
    "front": (0, None), "right": (90, None), "back": (180, None), "left": (-90, None), "top": (0, 90),
    "bottom": (0, -90)}


@dataclass(frozen=True, eq=False)
class Shot:
    """One of several photos of an object.

    picture: a file, or (H, W, 3 or 4) uint8 sRGB. mask: what is object in it, as photo.prepare takes it. camera: of the
    whole photo, in the asset's frame. azimuth, elevation: degrees, where there is no camera, 0 the front, 90 the side
    at +X; None: not known. fov: degrees, of the photo's width; None: not known. hints: where the object is, in a photo
    that neither mask nor alpha cuts out.
    """

    picture: str | Path | np.ndarray
    mask: str | Path | np.ndarray | None = None
    camera: Camera | None = None
    azimuth: float | None = None
    elevation: float | None = None
    fov: float | None = None
    hints: Hints | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return "The photo" if isinstance(self.picture, np.ndarray) else Path(self.picture).name


def find_view(name: str) -> dict[str, float]:
    """The angles of a view of VIEWS, as fields of Shot. Raises NearError for another name."""
    if name.lower() not in VIEWS:
        raise NearError("There is no view {name!r}.", "Choose one of {choices}.", name=name, choices=", ".join(VIEWS))
    azimuth, elevation = VIEWS[name.lower()]
    return {"azimuth": azimuth} | ({} if elevation is None else {"elevation": elevation})
