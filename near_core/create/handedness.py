"""Whether photos go around a thing as they were said to, or the other way round, as around its mirror image.

Outlines hardly tell: those of a thing from its left are those of its mirror image from its right. What is inside them
does: their hull goes up and down where the fronts do that the networks see in the photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from ..asset import RESOLUTION
from ..errors import NearError
from .config import AlignmentConfig
from .hull import Silhouette, carve_hull
from .shape import measure_away
from .view import PhotoView, move_camera


def seem_reversed(views: Sequence[PhotoView], config: AlignmentConfig = AlignmentConfig()) -> bool:
    """Whether the fronts of photos from all sides fit the hull of their outlines plainly better, were the photos from
    the left and from the right of the first one exchanged."""
    azimuths = np.array([np.arctan2(view.camera.position[0], -view.camera.position[1]) for view in views])
    turns = azimuths - azimuths[0]
    aside = np.sin(turns)
    if len(views) < config.least_sides or aside.max() < config.least_aside or aside.min() > -config.least_aside:
        return False
    others = [copy(view) for view in views]
    for other, turn in zip(others, turns):
        other.camera = move_camera(other.camera, np.array([-2 * turn, 0, 0, 0, 0]))
    try:
        return measure_fit(others) - measure_fit(views) > config.reversal
    except NearError:  # no hull is left
        return False


def measure_fit(views: Sequence[PhotoView]) -> float:
    """How far the photos' fronts go up and down as that of the hull of their outlines does: the mean of the photos'
    correlations. Raises NearError where outlines have no place in common."""
    hull = carve_hull([Silhouette(view.photo, view.camera) for view in views], RESOLUTION)
    found = []
    for view in views:
        known, away = measure_away(view, hull)
        own, of_hull = view.front[known], (view.front + away)[known]
        spread = float(np.std(own) * np.std(of_hull)) if known.any() else 0.0
        found.append(np.mean((own - own.mean()) * (of_hull - of_hull.mean())) / spread if spread else 0.0)
    return float(np.mean(found))
