"""Where what a photo shows ends, along its outline, and the sides behind it."""

from __future__ import annotations

import numpy as np

from ..asset import CELL
from ..image.filters import blur_box, blur_masked, distances, grow, local_maximum
from ..models.mini.layout import SIZE
from .config import ReconstructionConfig
from .thickness import fit_discs, inflate_outline, measure_angularity
from .view import LayerView, look_up, project, reach


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
    start = np.maximum(look_up(spread_rim(view, config)[None], uv)[:, 0], view.inside(view.front[None], uv)[:, 0])
    forward = view.camera.world_to_camera[2, :3].astype(np.float32)
    along = -np.array(view.camera.position, np.float32)
    along /= along @ forward
    back = np.maximum(depth - start - config.side_start, 0)
    return points - back[:, None].astype(np.float32) * along


def spread_rim(view: LayerView, config: ReconstructionConfig) -> np.ndarray:
    """How deep the outline around each pixel lies, (SIZE, SIZE)."""
    edge = view.mask & grow(~view.mask, config.rim_pixels)
    return _spread_deepest(np.where(edge, view.front, -np.inf), config)  # the head is before the body


def _spread_deepest(depth: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """The largest value of a map (SIZE, SIZE), -inf where nothing is known, around each pixel."""
    deepest = local_maximum(depth, config.side_radius)
    known = np.isfinite(deepest)
    return blur_masked(np.where(known, deepest, 0)[None], known, config.side_radius)[0]


def measure_rounding(view: LayerView, config: ReconstructionConfig = ReconstructionConfig()) -> float:
    """How far what a view shows turns aside where its outline is: the mean sine of normals there, from 0, as of a
    face that is flat up to its edge, to 1."""
    width = distances(view.mask)
    rim = (width > 1) & (width <= config.rim_pixels + 1)
    if not rim.any():
        return 0.0
    outward = -np.stack(np.gradient(width)[::-1])
    outward /= np.maximum(np.linalg.norm(outward, axis=0), 1e-6)
    normal = view.normal / np.maximum(np.linalg.norm(view.normal, axis=0), 1e-6)
    return float((normal[:2] * outward).sum(0)[rim].mean())


def close_sides(deep: np.ndarray, view: LayerView, uv: np.ndarray, depth: np.ndarray, share: np.ndarray,
                relief: np.ndarray | float = 1.0, config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How deep cells (P,), seen at uv (P, 2) and a depth (P,), lie inside a solid (P,) whose sides close, by a share
    (P,), as those of an ellipsoid do: as wide as the outline where that lies, and as long behind it as the solid is,
    but no more than so many times as long as wide; less by a relief (P,), a share of that. Those of a box, by its
    outline, run straight on to its rear, whatever the share, and what sticks out of them is as deep as it is wide."""
    pixel, calm, width = reach(view.camera) / SIZE, config.side_calm, distances(view.mask)
    angular = measure_angularity(view)
    inside = deep > 0
    at = np.clip(((uv[inside] + 1) / 2 * SIZE).astype(int), 0, SIZE - 1)
    back = np.full((SIZE, SIZE), -np.inf, np.float32)
    np.maximum.at(back, (at[:, 1], at[:, 0]), depth[inside])
    radius = np.maximum(blur_masked(local_maximum(fit_discs(width), calm)[None], view.mask, 2 * calm)[0], 1)
    low, high = config.side_radii
    wide = np.clip((radius / (2 * calm) - low) / (high - low), 0, 1)
    edge = width - 0.5 + wide * (blur_masked(width[None], view.mask, calm)[0] - width)  # frays would go on as ridges
    rim = blur_box(blur_box(spread_rim(view, config), config.side_radius), config.side_radius)  # even inside, too
    lack = config.side_swelling * calm * wide  # what calming adds at the outline
    lack = lack + angular * (edge - lack - _straighten_outline(view.mask, config))
    ends = view.front + (inflate_outline(view)[0] if angular else 0)  # of what sticks out of a box
    maps = np.stack([edge, lack, radius, rim, _spread_deepest(back, config), ends]).astype(np.float32)
    edge, lack, radius, rim, back, end = view.inside(maps, uv).T
    # a box is as long as networks are sure that it is
    longest = config.side_length * relief * radius * pixel / np.maximum(1 - angular * (1 - share), 1e-3)
    length = np.maximum(np.minimum(back - rim, longest), config.least_width)
    behind = np.maximum(depth - rim, 0) / length
    edge -= lack * np.clip(behind / config.side_onset, 0, 1)
    power = 2 + (config.box_power - 2) * angular
    inward = 1 - np.clip(edge / np.maximum(radius, 1), -angular, 1)
    body = (1 - (inward**power + behind**power) ** (1 / power)) * (np.minimum(radius * pixel, length) / CELL)
    body = np.where(inward > 1, np.maximum(body, (end - depth) / CELL), body)
    return deep - np.maximum(share, angular) * np.maximum(deep - body, 0)


def _straighten_outline(mask: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """How far pixels lie inside an outline (S, S) without what sticks out of its sides or is cut into them, but with
    its corners, (S, S) pixels."""
    calm = blur_box(mask.astype(np.float32), config.box_radius) > 0.5
    return distances(calm) - np.minimum(distances(~calm, beyond=True), SIZE)
