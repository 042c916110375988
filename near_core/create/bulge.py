"""How much larger than a thing the hull of its outlines is, where photos from its four sides carve it.

From near by, a photo of a box shows its near side, and the cones of front and back meet beyond its middle: the hull
bulges between them. That of an ellipsoid hardly does. What a thing's ground plan leaves of its box tells one from the
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gamma

import numpy as np

from ..mesh import Mesh
from ..scene import Camera
from .config import FusionConfig
from .view import PhotoView, measure_elevation

_EXPONENTS = np.geomspace(1, 60, 200)  # of a superellipse: 1 a rhombus, 2 an ellipse, ever more a rectangle
_SHARES = np.array([gamma(1 + 1 / n) ** 2 / gamma(1 + 2 / n) for n in _EXPONENTS])  # of its box that it fills
_PLAN = 48  # cells along an edge of a ground plan


def settle_frame(shape: Mesh, views: Sequence[PhotoView], config: FusionConfig = FusionConfig()) -> Mesh:
    """The shape in photos whose cameras all were found, and these cameras, so much larger that its longest side is 1,
    not that of the hull, which filled the cube. As they are where photos look along no side of the cube."""
    if not all(_looks_along_side(view.camera, config) for view in views):
        return shape
    exponent = float(np.interp(_measure_plan(shape.vertices), _SHARES, _EXPONENTS))
    distance = float(np.mean([np.linalg.norm(view.camera.position) for view in views]))
    x, y, z = np.ptp(shape.vertices, axis=0)
    most = max(x, y, z)
    # a round thing's hull is as large as it is: that of its tangents is cut by cells and pixels
    beyond = lambda depth: measure_bulge(exponent, depth / distance / 2) / measure_bulge(2, depth / distance / 2)
    size = max(x / beyond(y), y / beyond(x), z) / most
    size = min(max(size, 2 * float(np.abs(shape.vertices).max())), 1.0)  # nothing leaves the cube
    for view in views:
        view.enlarge(1 / size)
    return replace(shape, vertices=(shape.vertices / size).astype(shape.vertices.dtype))


def measure_bulge(exponent: float, near: float) -> float:
    """How many times wider than a superellipse of an exponent the cones are in the middle that just hold it, from
    before and behind. near: half its depth over the cameras' distance."""
    along = np.linspace(0, 1, 400)
    return float(((1 - along**exponent) ** (1 / exponent) / (1 - along * near)).max())


def _measure_plan(points: np.ndarray) -> float:
    """The share of its upright box that the ground plan of a surface fills, with all that lies between its ends along
    either side; points (P, 3) are close together."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    at = np.clip(((points[:, :2] - low) / np.maximum(high - low, 1e-6) * _PLAN).astype(int), 0, _PLAN - 1)
    shares = []
    for row, column in (at.T, at.T[::-1]):
        first, last = np.full(_PLAN, _PLAN), np.full(_PLAN, -1)
        np.minimum.at(first, row, column)
        np.maximum.at(last, row, column)
        shares.append(np.maximum(last - first + 1, 0).sum() / _PLAN**2)
    return float(min(shares))


def _looks_along_side(camera: Camera, config: FusionConfig) -> bool:
    x, y, _ = camera.position
    aside = (np.degrees(np.arctan2(x, -y)) + 45) % 90 - 45
    return bool(abs(aside) < config.settled_angles[0] and abs(measure_elevation(camera)) < config.settled_angles[1])
