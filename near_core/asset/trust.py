"""From how far around an asset is known rather than guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .surfels import Surfels

STEP, ELEVATION = 10, 15.0  # degrees: between the azimuths that are looked from, and from how high
SURE = 0.7  # confidence from which surface is known; guesses of the photo networks stay below
LEAST, FEWEST = 0.75, 0.25  # of the surface that faces there: known, of the greatest such share, and at all


@dataclass(frozen=True)
class TrustedArc:
    """The azimuths from which an asset can be trusted. middle: degrees, 0 the front, 90 the side at +X. width: degrees,
    0 where there is none, 360 all around."""

    middle: float
    width: float


def find_trusted_arc(surfels: Surfels) -> TrustedArc:
    """The arc around the azimuth from which most of the surface is known, as far as LEAST of that share still is.

    What hides what does not count, so that of an object with hollows hardly more than half may be known from anywhere.
    """
    turn, height = np.radians(np.arange(0, 360, STEP)), np.radians(ELEVATION)
    level = np.cos(height) * np.stack([np.sin(turn), -np.cos(turn)])
    towards = np.concatenate([level, np.full((1, len(turn)), np.sin(height))]).astype(np.float32)
    facing = np.maximum(surfels.normal @ towards, 0) * (surfels.area * surfels.opacity)[:, None]
    share = facing[surfels.confidence > SURE].sum(0) / np.maximum(facing.sum(0), 1e-9)
    known = share >= max(LEAST * share.max(), FEWEST)
    if known.all():
        return TrustedArc(0.0, 360.0)
    if not known.any():
        return TrustedArc(0.0, 0.0)
    best = int(np.argmax(share))
    ahead = int(np.argmin(np.roll(known, -best)))  # steps until the first that is not known
    behind = int(np.argmin(np.roll(known[::-1], best + 1)))
    middle = (best + (ahead - behind) / 2) * STEP
    return TrustedArc((middle + 180) % 360 - 180, (ahead + behind - 1) * float(STEP))
