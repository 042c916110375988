"""What a photo's file says of its lens."""

from __future__ import annotations

import math
from pathlib import Path

from ..errors import NearError
from .guard import explain_errors, open_picture

# EXIF 2.32: the numbers of the fields, and the millimetres in a unit of the focal plane's resolution
_EXIF, _FOCAL_LENGTH, _FOCAL_LENGTH_35, _PLANE_X, _PLANE_UNIT = 0x8769, 37386, 41989, 41486, 41488
ORIENTATION = 0x0112
_WIDTH, _HEIGHT = 40962, 40963
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0}
# Orientation -> quarter turns clockwise after which the stored picture stands upright, and whether it is a mirror image
_UPRIGHT = {2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (1, False), 7: (3, True), 8: (3, False)}
_FILM_DIAGONAL = math.hypot(36, 24)  # mm; what makes focal lengths equivalent (CIPA DCG-001)


def read_turn(path: str | Path) -> tuple[int, bool]:
    """By how many quarter turns clockwise a photo as it is stored stands upright, and whether left and right are then
    still to be exchanged; (0, False) where its file doesn't say."""
    try:
        with explain_errors(Path(path)), open_picture(Path(path), "It") as file:
            return _UPRIGHT.get(file.getexif().get(ORIENTATION, 1), (0, False))
    except NearError:
        return 0, False


def read_field_of_view(path: str | Path) -> float | None:
    """The horizontal angle, degrees, that an upright photo covers, by the focal length that its camera noted.

    None where the file doesn't say, or says what can't be. Of a photo that was cut smaller it is the camera's, which is
    too wide.
    """
    try:
        with explain_errors(Path(path)), open_picture(Path(path), "It") as file:
            exif, (width, height) = file.getexif(), file.size
            noted = exif.get_ifd(_EXIF)
            if exif.get(ORIENTATION, 1) >= 5:  # stored on its side
                width, height = height, width
            if focal := float(noted.get(_FOCAL_LENGTH_35, 0)):
                pixels = focal / _FILM_DIAGONAL * math.hypot(width, height)
            else:
                unit = _MILLIMETRES.get(noted.get(_PLANE_UNIT, 2), 25.4)
                stored = max(noted.get(_WIDTH, file.size[0]), noted.get(_HEIGHT, file.size[1]))  # before it was scaled
                pixels = (float(noted.get(_FOCAL_LENGTH, 0)) * float(noted.get(_PLANE_X, 0)) / unit
                          * max(file.size) / max(stored, 1))
            fov = math.degrees(2 * math.atan(width / 2 / pixels)) if pixels > 0 else 0.0
    except NearError:
        return None
    return fov if 1 < fov < 150 else None
