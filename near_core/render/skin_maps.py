"""The maps of a skin, and their mip levels."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from ..asset.skin import decode_pictures
from ..directions import unit
from ..mesh import texture


class SkinMaps:
    """The maps of a skin and their mip levels. pictures: (h, w, 4) uint8, as Skin.pictures."""

    def __init__(self, pictures: Sequence[bytes]):
        self.pictures = decode_pictures(pictures)
        self._levels: dict[tuple[int, int], list[np.ndarray]] = {}
        self._lock = Lock()

    def count_level_bytes(self) -> int:
        """Bytes of all mip levels, as if each picture were looked up as a colour: they come later, with the views."""
        return sum(16 * picture.size // 3 for picture in self.pictures)

    def find_levels(self, number: int, column: int) -> list[np.ndarray]:
        """Of the picture of that number, as a column of SkinMaterial.maps takes it. All threads of a picture ask at
        once: one makes them."""
        # a picture may be colour, single values and normals at once
        key = number, column if column in (0, 3) else 1
        with self._lock:
            if key not in self._levels:
                self._levels[key] = texture.build_pyramid(_make_linear(self.pictures[number], column))
            return self._levels[key]


def _make_linear(picture: np.ndarray, column: int) -> np.ndarray:
    """A map (h, w, 4) uint8 as it is averaged: linear, premultiplied colors; normals of length 1; single values."""
    if column == 0:
        return texture.decode_color(picture)
    if column == 3:
        return unit(picture[..., :3].astype(np.float32) / 127.5 - 1)
    return picture[..., :1].astype(np.float32) / 255
