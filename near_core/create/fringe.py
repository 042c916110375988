"""The background's colour along an object's outline: pixels there show a mixture of both, and mattes err by some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..image.filters import blur_box, grow


@dataclass(frozen=True)
class FringeConfig:
    """How the background's colour is taken out of an object's outline: "fringe"."""

    reach: float = 0.008  # of the crop's side; so far inside the outline there may be some of it
    surely_object: float = 0.95  # alpha up to which a pixel shows the outline
    surely_behind: float = 0.05  # alpha below which it shows the background alone
    doubt: float = 4.0  # how much the spread of either's colours counts against how far apart they are
    least_contrast: float = 0.05  # linear; of what is nearer than that to its background nothing is told


def clear_fringe(color: np.ndarray, alpha: np.ndarray, shown: np.ndarray,
                 config: FringeConfig = FringeConfig()) -> np.ndarray:
    """The colours (S, S, 3), linear, of a crop of an opaque photo whose object has an alpha (S, S), without the
    background's share in them along the outline: (S, S, 3) float32. shown: (S, S) bool, what lies in the photo.

    Near by inside and outside is told what both look like. A pixel's share of the object is where its colour lies
    between these two; what is like neither stays. Where object and background are alike, or either
    is too varied to tell, little changes; nor does what is too thin to have an inside.
    """
    radius = max(1, round(config.reach * len(alpha)))
    outside = (alpha < config.surely_behind) & shown
    beside = grow(alpha <= config.surely_object, radius)  # what is not far inside
    inside = ~beside
    planes = np.moveaxis(color, -1, 0)
    own, behind = (_average_near(np.concatenate([planes, planes**2]), mask, radius) for mask in (inside, outside))
    way = own[:3] - behind[:3]
    length = (way**2).sum(0)
    varied = sum(np.maximum(each[3:6] - each[:3] ** 2, 0).sum(0) for each in (own, behind))
    share = np.clip(((planes - behind[:3]) * way).sum(0) / np.maximum(length, 1e-6), 0, 1)
    aside = ((planes - behind[:3] - share * way) ** 2).sum(0)  # squared; of neither's colour
    near = blur_box(beside.astype(np.float32), radius // 2) * grow(inside, 2 * radius) * (behind[-1] > 0)
    missing = (1 - share) * near * length / (
        length + config.doubt * (varied + aside) + config.least_contrast**2)
    made = planes + missing * way
    made = np.clip(made, np.minimum(planes, own[:3]), np.maximum(planes, own[:3]))  # no colour that neither has
    return np.moveaxis(made, 0, -1).astype(np.float32)


def _average_near(planes: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Means (C + 1, S, S) of planes (C, S, S) over a mask (S, S) bool, the nearest of it counting most; last, where
    there is none within 4 radius, 0."""
    total = np.zeros((len(planes) + 1, *mask.shape))
    known = np.concatenate([planes * mask, mask[None]]).astype(np.float32)
    for reach, weight in ((radius // 2 + 1, 1.0), (2 * radius, 0.01)):
        total += weight * np.stack([blur_box(blur_box(plane, reach), reach) for plane in known])
    weight = total[-1:]
    return np.concatenate([total[:-1] / np.maximum(weight, 1e-9), weight > 1e-5])
