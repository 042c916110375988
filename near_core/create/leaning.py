"""Which way the surface of several photos faces: as a whole as their shape does, in detail as networks see it.

What outlines carve has creases where cones meet and steps where one front ends, and is round where a thing has edges.
Networks see in each photo which is which, but are off by more over whole parts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ..directions import unit
from ..image.filters import blur_masked
from ..mesh import Mesh
from ..models.mini.layout import SIZE
from .config import FusionConfig
from .fusion import follow_surface
from .material import average_shown, measure_visibility
from .view import PhotoView, look_up


def lean_normals(shape: Mesh, views: list[PhotoView], fusion: FusionConfig = FusionConfig()) -> Mesh:
    """A shape with normals that lean, by a share, to those that the networks see in photos of it, as far as these
    differ in what is fine. The views' fronts become those of the shape."""
    points = shape.vertices.astype(np.float32)
    own = np.zeros_like(points)
    own[shape.faces] = shape.corner_normal
    follow_surface(views, points)
    finer = [partial(look_up, _find_difference(view, points, own, fusion.lean_radius)) for view in views]
    more = average_shown(views, points, own, finer)
    return replace(shape, corner_normal=unit(own + fusion.lean_share * more)[shape.faces])


def _find_difference(view: PhotoView, points: np.ndarray, normals: np.ndarray, radius: int) -> np.ndarray:
    """By how much the normals that networks see in a photo differ from a surface's, (P, 3) at points (P, 3), in what is
    finer than radius pixels, twice: (3, SIZE, SIZE), in the asset's frame, 0 where the photo does not show it."""
    shown, uv = measure_visibility(points, normals, view)
    x, y = np.clip(((uv + 1) / 2 * SIZE).astype(int), 0, SIZE - 1).T
    weight, *own = (np.bincount(y * SIZE + x, shown * values, SIZE * SIZE).reshape(SIZE, SIZE)
                    for values in (np.ones(len(points)), *normals.T))
    known = (weight > 0.3) & view.mask
    seen = np.tensordot(view.camera.world_to_camera[:3, :3].T, unit(view.normal, axis=0), 1)
    apart = np.where(known, seen - unit(np.stack(own), axis=0), 0)
    return np.where(known, apart - blur_masked(apart, known, radius), 0).astype(np.float32)
