"""Rays towards a map's spots, suns that reflections look for as well, by which points find where their shadows end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..directions import unit
from ..image import luminance
from .config import TransportConfig
from .transport import PreparedLight

SIDE = 8  # pixels along a tile in which no two points have the same rays
PATTERNS = SIDE * SIDE
GOLDEN = 0.618034  # what its multiples leave lies evenly between 0 and 1


@dataclass(frozen=True, eq=False)
class SharpSpots:
    """P of a map's spots. number: (P,), which they are. towards: (P, 3) float32 unit, asset frame, to their middles.
    strong: (P,) bool. beside: (P, PATTERNS, R, 3) to what is around the middle of a faint one, of a strong one; wide:
    the same of points that others lie between, which have the rays of two pixels. asked:
    (Q, 3), where a point asks first. owner: (N, Q), N spots, or fewer repeated, for which each of these speaks: faint
    ones side by side have one ray. told: (P, Q) float32, the same as 1 or 0."""

    number: np.ndarray
    towards: np.ndarray
    strong: np.ndarray
    beside: tuple[np.ndarray, np.ndarray]
    wide: tuple[np.ndarray, np.ndarray]
    owner: np.ndarray
    asked: np.ndarray
    told: np.ndarray


def find(light: PreparedLight, asset_to_map: np.ndarray, config: TransportConfig) -> SharpSpots:
    """Those that are bright enough for points to ask for their shadows' edges. asset_to_map: (3, 3)."""
    share = luminance(light.sun_weight[-light.spots:]) / max(4 * np.pi * light.mean, 1e-30)
    bright = np.flatnonzero(share > config.least_spot)
    towards = light.suns[-light.spots:][bright] @ asset_to_map.astype(np.float32)
    across = unit(np.cross(towards, np.eye(3, dtype=np.float32)[np.abs(towards).argmin(1)]))
    axes, texel = np.stack([across, np.cross(towards, across)], 1), np.float32(np.pi / light.pyramid.height)

    def aim(offsets: np.ndarray) -> np.ndarray:
        aside = np.einsum("rc,pcd->prd", offsets.reshape(-1, 2) * texel, axes)
        return unit(towards[:, None] + aside).reshape(len(towards), *offsets.shape[:-1], 3)

    strong = share[bright] > config.strong_spot
    ring, speaker = aim(np.float32(config.spot_ring)), _find_speakers(towards, strong, config.spot_apart * texel)
    groups = [np.flatnonzero(speaker == each) for each in np.unique(speaker[~strong])]
    groups += [np.array([each]) for each in np.repeat(np.flatnonzero(strong), ring.shape[1])]
    most = max(map(len, groups), default=0)
    owner = np.array([np.resize(each, most) for each in groups], int).reshape(len(groups), most).T
    told = np.zeros((len(towards), len(groups)), np.float32)
    told[owner, np.arange(len(groups))] = 1
    faint, bold = (aim(spread(rays, config.spot_reach)) for rays in config.spot_rays)
    return SharpSpots(bright, towards, strong, (faint, bold), (_widen(faint), _widen(bold)), owner,
                      np.concatenate([towards[np.unique(speaker[~strong])], ring[strong].reshape(-1, 3)]), told)


def _find_speakers(towards: np.ndarray, strong: np.ndarray, apart: float) -> np.ndarray:
    """Which faint spots, in directions (P, 3), speak for those less than `apart` radians beside them: (P,), themselves
    where none does."""
    speaker = np.arange(len(towards))
    for each in np.flatnonzero(~strong):
        before = np.flatnonzero((speaker == np.arange(len(towards))) & ~strong)
        before = before[before < each]
        near = np.linalg.norm(towards[before] - towards[each], axis=1) < apart
        if near.any():
            speaker[each] = before[near.argmax()]
    return speaker


def _widen(beside: np.ndarray) -> np.ndarray:
    """Directions (P, PATTERNS, R, 3) with those of the next pixel's patterns, which lie halfway between: (P, PATTERNS,
    2 R, 3)."""
    count, _, rays, _ = beside.shape
    tile = beside.reshape(count, SIDE, SIDE, rays, 3)
    return np.concatenate([tile, np.roll(tile, -1, 2)], 3).reshape(count, PATTERNS, 2 * rays, 3)


def spread(count: int, reach: float) -> np.ndarray:
    """(PATTERNS, count, 2) float32 within reach of 0: as bright as a map is between its texels, where its rays go that
    look `reach` texels far; other ones for each pixel of a tile, so that shadows' edges have no steps."""
    bayer = np.zeros((1, 1), int)
    while len(bayer) < SIDE:  # neighbours are far apart in it
        bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
    within = (np.stack([bayer.ravel(), np.rot90(bayer).ravel()], 1) + 0.5) / PATTERNS
    rays = np.arange(count)
    place = np.stack([rays, np.argsort(rays * GOLDEN % 1).argsort()], 1)  # each in a row and a column of its own
    even = (place + within[:, None]) / count - 0.5
    return (reach * np.sign(even) * (1 - np.sqrt(1 - 2 * np.abs(even)))).astype(np.float32)
