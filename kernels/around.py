"""What stands around a place, and how it looks from others near by: a panorama with its distances.

Rays leave from other places than the one the panorama was taken from, and meet what it shows where it stands. The
specification is kernels/twins/around.py.
"""

import ctypes
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import ggx
from .ggx import Pyramid
from .library import INTEGER, POINTER, REAL, Kernel, require

_look = Kernel("around_look", POINTER, POINTER, INTEGER, INTEGER, *[POINTER] * 4, INTEGER, POINTER, INTEGER)
_gather = Kernel("around_gather", POINTER, POINTER, INTEGER, INTEGER, *[POINTER] * 2, INTEGER, *[POINTER] * 4, INTEGER,
                 POINTER, *[REAL] * 3, *[POINTER] * 2, INTEGER)


class _AroundView(ctypes.Structure):
    """Field for field NearAround in src/around.h."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("color", "mirrored", "depth")]
    _fields_ += [("place", ctypes.c_float * 12), ("height", ctypes.c_int32), ("levels", ctypes.c_int32)]


@dataclass(frozen=True, eq=False)
class Around:
    """A panorama as rays look it up, h rows. place: (3, 4) float64, takes their origins to metres from where it was
    taken, along the map's axes.

    color: premultiplied RGB and cover, without what is mirrored; mirrored: this, None where nothing is: it is looked up
    by direction alone, since what a mirror shows lies far behind it. depth: cover per metre, and cover.
    """

    color: Pyramid
    depth: Pyramid
    place: np.ndarray
    mirrored: Pyramid | None = None

    def move(self, place: np.ndarray) -> "Around":
        """The same for origins of another frame."""
        return Around(self.color, self.depth, place, self.mirrored)

    @cached_property
    def _view(self) -> _AroundView:
        place = (ctypes.c_float * 12)(*np.asarray(self.place, np.float64).reshape(12).tolist())
        return _AroundView(self.color.texels.ctypes.data, self.mirrored and self.mirrored.texels.ctypes.data,
                           self.depth.texels.ctypes.data, place, self.color.height, self.color.levels)

    @property
    def address(self) -> int:
        """Of the struct that kernels take."""
        return ctypes.addressof(self._view)

    def look(self, far: Pyramid, origin: np.ndarray, direction: np.ndarray, lod: np.ndarray, *, threads: int = 0
             ) -> np.ndarray:
        """Radiance along rays, (K, 3) float32: of what is around, and of `far` where nothing is.

        origin: (K, 3) float32. direction: (K, 3) float32, unit, map frame. lod: (K,) float32, levels of `color`; `far`
        is looked up as finely.
        """
        count = len(require("origin", origin, (None, 3)))
        require("direction", direction, (count, 3))
        require("lod", lod, (count,))
        out = np.empty((count, 3), np.float32)
        _look(self.address, far.texels, far.height, far.levels, origin, direction, self._as_fine(far, lod), lod, count,
              out, threads)
        return out

    def gather(self, far: Pyramid, origin: np.ndarray, normal: np.ndarray, direction: np.ndarray, radiance: np.ndarray,
               words: np.ndarray, lod: float, asset_to_map: np.ndarray, *, bounced: np.ndarray | None = None,
               threads: int = 0) -> np.ndarray:
        """Irradiance (N, 3) float32 through open directions, beyond that of `radiance`, which they are thought to have.

        origin: (N, 3) float32. normal: (N, 3) float32, unit. direction: (D, 3) float32, unit, evenly spread. radiance:
        (D, 3) float32. words: which are open, as grid.pack_open. lod: as in `look`. asset_to_map: (3, 3). bounced: (D,)
        int32, the direction from which light comes to what is mirrored there, -1 where that is not known: what stands
        before a surfel in it hides this light.
        """
        count, directions = len(require("origin", origin, (None, 3))), len(require("direction", direction, (None, 3)))
        require("normal", normal, (count, 3))
        require("radiance", radiance, (directions, 3))
        require("words", words, (-(-count // 16), directions), np.uint16)
        shown, turn = None, np.ascontiguousarray(asset_to_map, np.float32)
        if self.mirrored is not None:
            bounced = np.full(directions, -1, np.int32) if bounced is None else bounced
            if (require("bounced", bounced, (directions,), np.int32) >= directions).any():
                raise ValueError("bounced names directions that are not there.")
            towards, lods = np.ascontiguousarray(direction @ turn.T), np.full(directions, lod, np.float32)
            cover = self.depth.sample(towards, lods)[:, 1:2]
            shown = self.mirrored.sample(towards, lods) / np.maximum(cover, np.float32(1e-3))
        out = np.empty((count, 3), np.float32)
        _gather(self.address, far.texels, far.height, far.levels, origin, normal, count, direction, radiance, shown,
                bounced, directions, words, float(self._as_fine(far, lod)), float(lod), 4 * np.pi / directions,
                turn.reshape(9), out, threads)
        return out

    def _as_fine(self, far: Pyramid, lod):
        return lod + np.float32(np.log2(far.height / self.color.height))


def prepare(radiance: np.ndarray, distance: np.ndarray, place: np.ndarray, mirrored: np.ndarray | None = None
            ) -> Around:
    """A panorama ready for rays. radiance: (H, 2H, 4) float32, premultiplied RGB and cover. distance: (H, 2H) float32,
    metres, infinite where nothing is. place: as Around's. mirrored: (H, 2H) float32, the share of the radiance that
    mirrors something, or None."""
    cover = np.clip(radiance[..., 3], 0, 1)
    nearness = cover / np.maximum(distance, 1e-4)
    share = np.zeros((1, 1, 1), np.float32) if mirrored is None else np.clip(mirrored, 0, 1)[..., None]
    color = ggx.build_pyramid(np.ascontiguousarray(radiance[..., :3] * (1 - share), np.float32))
    depth = ggx.build_pyramid(np.ascontiguousarray(np.stack([nearness, cover, 0 * cover], -1), np.float32))
    color.texels[:, 3] = depth.texels[:, 1]
    if mirrored is None:
        return Around(color, depth, place)
    shown = ggx.build_pyramid(np.ascontiguousarray(radiance[..., :3] * share, np.float32))
    shown.texels[:, 3] = depth.texels[:, 1]
    return Around(color, depth, place, shown)
