"""How far around an asset can be trusted: where photos showed its surface, and where it is a guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..asset import NeuralAsset
from ..directions import unit
from ..scene.camera import from_json, orbit

SIZE = 96  # pixels of the pictures in which surface is counted
STEP = 10  # degrees of azimuth between them
TRUSTED = 0.6  # share of what is seen from somewhere that photos must have shown
SHOWN = 0.5  # confidence from which a photo showed a surfel


@dataclass(frozen=True)
class Trust:
    """share: 0..1 of the surface that photos showed. degrees: how far to either side of the first photo one can go
    while TRUSTED of what one sees was shown; 180: all around."""

    share: float
    degrees: int


def measure_trust(asset: NeuralAsset) -> Trust:
    """How much of an asset photos showed, and how far around it that is most of what one sees."""
    surfels = asset.surfels
    if surfels is None:
        return Trust(1.0, 180)
    shown = surfels.confidence > SHOWN
    share = float((surfels.area * shown).sum() / max(surfels.area.sum(), 1e-9))
    start, elevation = _find_side(asset)
    degrees = 0
    while degrees < 180:
        sides = [_count_shown(asset, shown, start + sign * (degrees + STEP), elevation) for sign in (-1, 1)]
        if min(sides) < TRUSTED:
            break
        degrees += STEP
    return Trust(share, degrees)


def _find_side(asset: NeuralAsset) -> tuple[float, float]:
    """Azimuth and elevation in degrees from which the photo was taken; the front where nobody knows."""
    if asset.camera is None:
        return 0.0, 15.0
    x, y, z = unit(from_json(asset.camera).position)
    return float(np.degrees(np.arctan2(x, -y))), float(np.degrees(np.arcsin(z)))


def _count_shown(asset: NeuralAsset, shown: np.ndarray, azimuth: float, elevation: float) -> float:
    """The share of what is seen from a direction that is shown, (M,) bool by surfel."""
    camera = orbit(azimuth, elevation, 3, 28, SIZE, SIZE)
    facing = np.flatnonzero((asset.surfels.normal * camera.directions_to(asset.surfels.position)).sum(1) > 0)
    seen = asset.surfels.position[facing] @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    order = np.argsort(-seen[:, 2])  # the nearest is written last and stays
    pixel = seen[order, :2] / seen[order, 2:] * camera.intrinsics[0, 0] + SIZE / 2
    x, y = np.clip(pixel.astype(int), 0, SIZE - 1).T
    picture = np.full((SIZE, SIZE), -1, np.int8)
    picture[y, x] = shown[facing][order]
    return float((picture == 1).sum() / max((picture >= 0).sum(), 1))
