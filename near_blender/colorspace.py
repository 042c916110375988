"""Between the colours of a file's working space and the linear Rec.709 that near_core computes in.

Blender 5 lets a file work in Linear Rec.2020 or ACEScg; before that every file works in linear Rec.709.
"""

from __future__ import annotations

import bpy
import numpy as np

# chromaticities (x, y) of red, green, blue and white: ITU-R BT.709, BT.2020, SMPTE ST 2065-1 AP1
SPACES = {
    "Linear Rec.709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    "Linear Rec.2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "ACEScg": ((0.713, 0.293), (0.165, 0.830), (0.128, 0.044), (0.32168, 0.33767)),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def get_working_space() -> str:
    """The name of the open file's working space; unknown ones are taken for Rec.709."""
    name = getattr(getattr(bpy.data, "colorspace", None), "working_space", "")
    return name if name in SPACES else "Linear Rec.709"


def to_rec709(rgb: np.ndarray, space: str | None = None) -> np.ndarray:
    """Linear colours (..., 3) of `space`, the working space where none is named, in linear Rec.709."""
    return _convert(rgb, space or get_working_space(), "Linear Rec.709")


def from_rec709(rgb: np.ndarray, space: str | None = None) -> np.ndarray:
    """Linear Rec.709 colours (..., 3) in `space`, the working space where none is named."""
    return _convert(rgb, "Linear Rec.709", space or get_working_space())


def _convert(rgb: np.ndarray, source: str, target: str) -> np.ndarray:
    if source == target:
        return rgb
    white = [_xyz(SPACES[name][3]) for name in (source, target)]
    cones = [_BRADFORD @ w for w in white]
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(cones[1] / cones[0]) @ _BRADFORD
    matrix = np.linalg.inv(_rgb_to_xyz(target)) @ adapt @ _rgb_to_xyz(source)
    return rgb @ matrix.T.astype(rgb.dtype)


def _xyz(chromaticity: tuple[float, float]) -> np.ndarray:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _rgb_to_xyz(space: str) -> np.ndarray:
    *primaries, white = SPACES[space]
    columns = np.stack([_xyz(p) for p in primaries], 1)
    return columns * np.linalg.solve(columns, _xyz(white))
