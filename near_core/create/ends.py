"""Where a thing ends in photos from its sides whose cameras all were found: its frame.

Three things tell it. The hull of the outlines reaches too far where an end is flat: from near by, a photo shows the
near corner, and the cones of front and back meet beyond the end, a tent over it. The shape that is found ends too
early where it lacks what photos show; so it is stretched until its outlines are as wide as theirs. And its plan shows
which end is flat: there its shoulders are as far out as the tent's and farther, while what is round falls back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..mesh import Mesh
from ..scene import Camera
from .alignment import measure_hull
from .config import AlignmentConfig, FusionConfig
from .extents import stretch_points
from .symmetry import Movement, list_movements
from .view import PhotoView, measure_elevation

_PLAN = 48  # columns of a ground plan, from one side to the other


def settle_frame(shape: Mesh, views: Sequence[PhotoView], mirrors: Sequence[Movement] = (),
                 config: FusionConfig = FusionConfig()) -> Mesh:
    """The shape in photos whose cameras all were found, and these cameras, moved so that what is between its ends has
    its middle in the cube's and its longest side 1; what lies beyond flat ends is cut off. mirrors: the shape's own,
    which stay in the middle. As they are where photos look along no side of the cube, or along one axis alone."""
    aside = [_measure_aside(view.camera) for view in views]
    if not all(abs(turn) < config.settled_angles[0] and abs(measure_elevation(view.camera)) < config.settled_angles[1]
               for (_, turn), view in zip(aside, views)) or len({axis for axis, _ in aside}) < 2:
        return shape
    low, high = find_ends(shape, views, config)
    middle, size = (low + high) / 2, float((high - low).max())
    middle = np.mean([each.move(middle[None])[0] for each in list_movements(mirrors)], 0)
    for view in views:
        view.recentre(middle, size)
    inside = np.clip((shape.vertices - middle) / size, -0.5, 0.5).astype(shape.vertices.dtype)
    inside[:, :2] = np.clip(inside[:, :2], ((low - middle) / size)[:2], ((high - middle) / size)[:2])
    return replace(shape, vertices=inside)


def find_ends(shape: Mesh, views: Sequence[PhotoView], config: FusionConfig = FusionConfig()
              ) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner (3,) of a thing, by the hull of its outlines and its shape, of which close
    points are the vertices."""
    points = shape.vertices
    photos, cameras = [view.photo for view in views], [view.camera for view in views]
    hull, filled = measure_hull(photos, cameras, AlignmentConfig()), stretch_points(points, photos, cameras)
    ends = (np.array(hull) + np.array(filled)) / 2
    distance = float(np.mean([np.linalg.norm(camera.position) for camera in cameras]))
    sizes = np.ptp(points, axis=0)
    for axis in (0, 1):
        tent = 1 - config.shoulder * sizes[1 - axis] / 2 / distance  # of a flat end, over its middle
        for number, sign in ((0, -1), (1, 1)):
            shoulder, middle = _measure_end(points, axis, sign, config.shoulder)
            flat = np.clip((shoulder / middle - tent - config.flat_end) / config.flat_fade + 0.5, 0, 1)
            found = sign * ends[number, axis]
            ends[number, axis] = sign * (found + flat * min(shoulder - found, 0))
    return ends[0], ends[1]


def _measure_end(points: np.ndarray, axis: int, sign: int, share: float) -> tuple[float, float]:
    """How far out a surface reaches along an axis of its ground plan at the shoulders of one end, the lower one, and at
    most. share: of its width that is between them."""
    across = points[:, 1 - axis]
    low, high = across.min(), across.max()
    column = np.clip(((across - low) / max(high - low, 1e-6) * _PLAN).astype(int), 0, _PLAN - 1)
    reach = np.full(_PLAN, -0.5)
    np.maximum.at(reach, column, sign * points[:, axis])
    first = round((1 - share) / 2 * _PLAN)
    return float(min(reach[first], reach[-1 - first])), float(reach.max())


def _measure_aside(camera: Camera) -> tuple[int, float]:
    """Along which axis of the ground plan a camera looks most, 0 or 1, and how many degrees beside it."""
    x, y, _ = camera.position
    azimuth = float(np.degrees(np.arctan2(x, -y)))
    return 1 - round(azimuth / 90) % 2, (azimuth + 45) % 90 - 45
