"""Points of a picture between others, whose light is interpolated. The specification is kernels/twins/corners.py."""

from dataclasses import dataclass

import numpy as np

from .library import INTEGER, POINTER, REAL, Kernel, require

_find = Kernel("corners_find", *[POINTER] * 7, *[INTEGER] * 5, POINTER, INTEGER)
_settle = Kernel("corners_settle", *[POINTER] * 3, INTEGER, INTEGER, REAL, INTEGER)
_blend = Kernel("corners_blend", *[POINTER] * 4, *[INTEGER] * 4, POINTER, INTEGER)

APART = 2  # pixels between the corners of a tile


@dataclass(frozen=True, eq=False)
class Corners:
    """Which of K points lie between others. corner: (K, 4) int32, the points at the corners of each one's tile, upper
    left, upper right, lower left, lower right; -1 in all where a point stands for itself. pixel: (K,) int32, in a
    picture `width` pixels wide. stands: (K,) bool, at the corner of a tile in which others lie."""

    corner: np.ndarray
    pixel: np.ndarray
    width: int
    stands: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """The points that stand for themselves, ascending."""
        return np.flatnonzero(self.corner[:, 0] < 0)

    def settle(self, place: np.ndarray, values: np.ndarray, most: float, threads: int = 0
               ) -> tuple[np.ndarray, np.ndarray]:
        """Has those stand for themselves between whose corners values (N, C), float32, differ by `most` or more:
        returns which, (R,), ascending, and what their corners were, (R, 4). place: (K,) int32, the row of each of
        `own`."""
        channels, before = self._require(place, values), self.corner.copy()
        _settle(self.corner, place, values, len(self.corner), channels, most, threads)
        rows = np.flatnonzero(self.corner[:, 0] != before[:, 0])
        return rows, before.take(rows, 0)

    def blend(self, place: np.ndarray, values: np.ndarray, rows: slice, threads: int = 0) -> np.ndarray:
        """Values (N, C) as settle takes them, of some points: interpolated between their corners, else their own."""
        channels, (start, stop, _) = self._require(place, values), rows.indices(len(self.corner))
        out = np.empty((stop - start, channels), np.float32)
        _blend(self.pixel, self.corner, place, values, start, stop, channels, self.width, out, threads)
        return out

    def _require(self, place: np.ndarray, values: np.ndarray) -> int:
        require("place", place, (len(self.corner),), np.int32)
        return require("values", values, (None, None)).shape[1]


def find(pixel: np.ndarray, position: np.ndarray, plane: np.ndarray, normal: np.ndarray, roughness: np.ndarray,
         size: np.ndarray, even: np.ndarray, width: int, height: int, start: tuple[int, int], *, threads: int = 0
         ) -> Corners:
    """Which of K points lie between others that show the same surface, as rough and turned by little of its lobe.

    pixel: (K,) int32, ascending, row-major in a picture of width x height. position: (K, 3), plane: (K, 3) unit
    geometric normals, normal: (K, 3) unit shading normals, roughness: (K,), size: (K,) a pixel's edge at each, float32.
    even: (K,) bool, which may stand for others and be stood for. Tiles begin at the pixel `start`, column and row.
    Raises ValueError for anything else.
    """
    count = len(require("pixel", pixel, (None,), np.int32))
    for name, array in (("position", position), ("plane", plane), ("normal", normal)):
        require(name, array, (count, 3))
    require("roughness", roughness, (count,)), require("size", size, (count,))
    require("even", even, (count,), np.bool_)
    if count and not (pixel[0] >= 0 and pixel[-1] < width * height and (pixel[1:] >= pixel[:-1]).all()):
        raise ValueError(f"pixel must ascend from 0 to {width * height - 1}.")
    corner, stands = np.empty((count, 4), np.int32), np.zeros(count, bool)
    _find(pixel, position, plane, normal, roughness, size, even, count, width, height, *start, corner, threads)
    stands[corner[corner[:, 0] >= 0]] = True
    return Corners(corner, pixel, width, stands)
