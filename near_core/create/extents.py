"""How large a thing is and how far away cameras are, by the boxes around its outlines.

What the boxes of several photos are fitted to is a block with rounded edges, upright in the asset's frame: most things
reach farther into their corners than an ellipsoid, and less far than a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..scene import Camera
from .config import AlignmentConfig
from .photo import Photo
from .view import move_camera, project


@dataclass(frozen=True, eq=False)
class Block:
    """What fills the boxes. centre, size: (3,) asset units. cameras: of the crops, moved so that it does."""

    centre: np.ndarray
    size: np.ndarray
    cameras: list[Camera]


def fit_block(photos: Sequence[Photo], cameras: Sequence[Camera], free: Sequence[bool],
              config: AlignmentConfig = AlignmentConfig()) -> Block:
    """The block that the outlines' boxes are fitted to, by Levenberg and Marquardt's least squares.

    cameras: of the crops, a guess. free: which of them may be moved away and sideways; they keep their angles.
    """
    surface, moving = _make_block(config.block_roundness), np.flatnonzero(free)
    boxes = [_measure_box(photo) for photo in photos]
    goal, known = np.concatenate([box for box, _ in boxes]), np.concatenate([seen for _, seen in boxes])
    # where all cameras move, the block may as well stay in the middle
    stiff = np.concatenate([np.full(3, 30.0 if all(free) else 0.03), np.zeros(3),
                            np.full(3 * len(moving), config.block_stiffness)])

    def unpack(unknown: np.ndarray) -> Block:
        moved = list(cameras)
        for number, change in zip(moving, unknown[6:].reshape(-1, 3)):
            moved[number] = move_camera(cameras[number], np.concatenate([[0, 0], change]))
        return Block(unknown[:3], np.exp(unknown[3:6]), moved)

    def differ(unknown: np.ndarray) -> np.ndarray:
        block = unpack(unknown)
        points = (surface * block.size + block.centre).astype(np.float32)
        edges = np.concatenate([_find_edges(project(points, camera)[0]) for camera in block.cameras])
        return np.concatenate([(edges - goal) * known, stiff * unknown])

    return unpack(_minimise(differ, np.zeros(6 + 3 * len(moving)), config.block_rounds))


def stretch_points(points: np.ndarray, photos: Sequence[Photo], cameras: Sequence[Camera],
                   config: AlignmentConfig = AlignmentConfig()) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner (3,) of the box around points (P, 3), once they are stretched along the axes of
    the asset's frame so that they fill the boxes around the outlines of photos. cameras: of the crops."""
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    boxes = [_measure_box(photo) for photo in photos]
    goal, known = np.concatenate([box for box, _ in boxes]), np.concatenate([seen for _, seen in boxes])
    rims = [_find_rim(project(points, camera)[0], config.rim_share) for camera in cameras]
    shares = (points[np.logical_or.reduce(rims)] - low) / np.maximum(high - low, 1e-6)

    def differ(corners: np.ndarray) -> np.ndarray:
        stretched = (corners[:3] + shares * (corners[3:] - corners[:3])).astype(np.float32)
        return (np.concatenate([_find_edges(project(stretched, camera)[0]) for camera in cameras]) - goal) * known

    corners = _minimise(differ, np.concatenate([low, high]), config.block_rounds)
    return corners[:3], corners[3:]


def _make_block(roundness: float) -> np.ndarray:
    """(P, 3) points of a superellipsoid's surface of size 1: an ellipsoid with roundness 2, ever more a box."""
    axis = np.linspace(-1, 1, 9)
    cube = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    cube = cube[np.abs(cube).max(1) == 1]
    return cube / (np.abs(cube) ** roundness).sum(1, keepdims=True) ** (1 / roundness) / 2


def _measure_box(photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """Left, top, right and bottom of a photo's outline, (4,) as view.project counts them; and which of them are the
    object's own, (4,) 0 or 1: not those where the photo ends."""
    solid, side = photo.alpha > 0.5, len(photo.alpha)
    columns, rows = np.flatnonzero(solid.any(0)), np.flatnonzero(solid.any(1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / side * 2 - 1
    width, height = photo.source_size
    x0, y0, x1, y1 = photo.box
    return box, np.array([x0 >= 1, y0 >= 1, x1 <= width - 1, y1 <= height - 1], np.float64)


def _find_edges(uv: np.ndarray) -> np.ndarray:
    return np.concatenate([uv.min(0), uv.max(0)]).astype(np.float64)


def _find_rim(uv: np.ndarray, share: float) -> np.ndarray:
    """(P,) bool: which of places uv (P, 2) lie in the outermost share of the box around all."""
    low, high = uv.min(0), uv.max(0)
    margin = share * (high - low)
    return ((uv <= low + margin) | (uv >= high - margin)).any(1)


def _minimise(differ, start: np.ndarray, rounds: int) -> np.ndarray:
    """Where the squares of differ(x) are least."""
    x, off, damping, step = start, differ(start), 1e-4, 1e-3
    for _ in range(rounds):
        slope = np.stack([(differ(x + step * axis) - off) / step for axis in np.eye(len(x))], 1)
        tried = x - np.linalg.solve(slope.T @ slope + damping * np.eye(len(x)), slope.T @ off)
        better = differ(tried)
        if better @ better < off @ off:
            x, off, damping = tried, better, 0.3 * damping
        else:
            damping *= 10
    return x
