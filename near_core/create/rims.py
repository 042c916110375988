"""Where what a photo shows ends, along its outline, and the sides behind it."""

from __future__ import annotations

import numpy as np

from ..image.filters import blur_box, blur_masked, grow, local_maximum
from .config import ReconstructionConfig
from .view import LayerView, look_up, project


def near_rim(view: LayerView, uv: np.ndarray) -> np.ndarray:
    """How near places uv (P, 2) are to a photo's outline, (P,) float32 0..1: the front ends level there, a lip before
    the sides, which shadows what is beside it. What is thin has no rim."""
    rim = grow(~view.mask, view.config.rim_pixels)
    inside = view.mask & ~grow(~view.mask, 2 * view.config.rim_pixels)
    rim &= grow(inside, 3 * view.config.rim_pixels)
    return look_up(blur_box(rim.astype(np.float32), 1).astype(np.float32)[None], uv)[:, 0]


def narrow_sides(points: np.ndarray, view: LayerView, config: ReconstructionConfig = ReconstructionConfig()
                 ) -> np.ndarray:
    """Points (P, 3) moved to where a photo's outline decides about them. Rays part from each other, and the outline's
    cone grows wider behind what was seen; but the sides of things seldom do. From config.side_start behind the front
    and the outline around they run parallel."""
    if np.isinf(config.side_start):
        return points
    uv, depth = project(points, view.camera)
    uv = np.clip(uv, -1, 1)
    edge = view.mask & grow(~view.mask, config.rim_pixels)
    deepest = local_maximum(np.where(edge, view.front, -np.inf), config.side_radius)  # the head is before the body
    around = blur_masked(np.where(np.isfinite(deepest), deepest, 0)[None], np.isfinite(deepest), config.side_radius)
    start = np.maximum(look_up(around, uv)[:, 0], view.inside(view.front[None], uv)[:, 0])
    forward = view.camera.world_to_camera[2, :3].astype(np.float32)
    along = -np.array(view.camera.position, np.float32)
    along /= along @ forward
    back = np.maximum(depth - start - config.side_start, 0)
    return points - back[:, None].astype(np.float32) * along
