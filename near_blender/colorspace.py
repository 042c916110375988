"""Between the colours of a file's working space and the linear Rec.709 that near_core computes in.

Blender 5 lets a file work in Linear Rec.2020 or ACEScg; before that the OpenColorIO configuration alone says so:
Blender's own has linear Rec.709, others often ACEScg. Blender knows the way in all of them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from mathutils import Color

Space = tuple[float, ...]  # what linear red, green and blue of Rec.709 are in it, row by row
REC709: Space = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SRGB = ("sRGB", "sRGB - Texture", "Utility - sRGB - Texture", "sRGB Encoded Rec.709 (sRGB)")  # what configurations
LINEAR = ("Linear Rec.709", "Linear Rec.709 (sRGB)", "Linear", "Linear BT.709", "Utility - Linear - sRGB")  # call them
_UNSURE = 1e-5  # what Blender's own numbers are off by, before 5.0


def get_working_space() -> Space:
    """That of the open file."""
    seen = [Color(unit).from_rec709_linear_to_scene_linear() for unit in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    space = tuple(value for color in seen for value in (color.r, color.g, color.b))
    return REC709 if max(abs(a - b) for a, b in zip(space, REC709)) < _UNSURE else space


def to_rec709(rgb: np.ndarray, space: Space | None = None) -> np.ndarray:
    """Linear colours (..., 3) of `space`, the working space where none is named, in linear Rec.709."""
    return _convert(rgb, space or get_working_space(), is_back=True)


def from_rec709(rgb: np.ndarray, space: Space | None = None) -> np.ndarray:
    """Linear Rec.709 colours (..., 3) in `space`, the working space where none is named."""
    return _convert(rgb, space or get_working_space(), is_back=False)


def _convert(rgb: np.ndarray, space: Space, is_back: bool) -> np.ndarray:
    if space == REC709:
        return rgb
    return rgb @ _matrix(space, is_back).astype(rgb.dtype)


@lru_cache(8)
def _matrix(space: Space, is_back: bool) -> np.ndarray:
    """(3, 3): Rec.709's rows in the space, or the way back."""
    matrix = np.reshape(space, (3, 3))
    return np.linalg.inv(matrix) if is_back else matrix
