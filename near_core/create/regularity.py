"""What a photo's object is alike in: from all around an upright axis, or its left side and its right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..asset import CELL
from ..image.filters import distances
from ..models.mini.layout import SIZE
from .config import ReconstructionConfig
from .revolution import find_middle, is_uneven, measure_halves, turn_outlines
from .symmetry import LEFT_RIGHT
from .thickness import is_slender
from .view import LayerView, lift_pixels, look_up, project, reach


def suppose_turned(view: LayerView, deep: np.ndarray, config: ReconstructionConfig = ReconstructionConfig()
                   ) -> np.ndarray | None:
    """The field (128, 128, 128) of a thing that was turned on a lathe, where a photo shows plainly enough that it was,
    and the field deep (128, 128, 128) that networks find agrees; else None."""
    if measure_turning(view) >= config.turned_error or is_uneven(view, config) or (
            measure_photo_asymmetry(view) > config.turned_mirror_error):
        return None
    turned = turn_outlines([view], deep, replace(config, thickness="turned"))
    own, other = deep > 0, turned > 0
    share = (own & other).sum() / max((own | other).sum(), 1)
    agrees = share > config.turned_overlap and own.sum() < config.turned_excess * other.sum()
    return turned if agrees or is_slender(view, config) else None


def measure_turning(view: LayerView) -> float:
    """How far a photo's object is from one that was turned on an upright axis, from 0: the sine by which normals point
    beside those of such a body to the left or right, in the mean, and the share of the outline that is not its mirror
    image."""
    middle = find_middle(view.mask)
    half = measure_halves(view.mask, middle)[:, None]
    aside = np.arange(view.mask.shape[1]) - middle
    body = (np.abs(aside) <= half + 0.5) & (half > 0)
    shown = body & view.mask
    if not shown.any():
        return np.inf
    sideways = view.normal[0] / np.maximum(np.linalg.norm(view.normal, axis=0), 1e-6)
    beside = np.abs(sideways - np.clip(aside / np.maximum(half, 1), -1, 1))[shown].mean()
    return float(beside + 1 - shown.sum() / (body | view.mask).sum())


def doubt_mirror(view: LayerView) -> None:
    """Where a photo contradicts that its object is its own mirror image, nothing is taken from that: as little of it
    would fit, one spot here and one there, as spots of another colour."""
    if view.config.symmetry == "auto" and measure_photo_asymmetry(view) > view.config.mirror_error:
        view.config = replace(view.config, symmetry="off")


def measure_photo_asymmetry(view: LayerView) -> float:
    """How much a photo contradicts that its object is its own mirror image in x = 0, in cells of 128^3: how far mirror
    images of what it shows lie outside of its outline, or before its front, in the mean. The front is aligned."""
    points = LEFT_RIGHT.move(lift_pixels(view, view.mask & ~view.torn))
    if not len(points):
        return np.inf
    uv, depth = project(points, view.camera)
    uv = np.clip(uv, -1, 1)
    outside = look_up(distances(~view.mask, beyond=True)[None], uv)[:, 0] * (reach(view.camera) / (CELL * SIZE))
    before = (view.inside(view.front[None], uv)[:, 0] - depth) / CELL
    return float(np.maximum(outside, np.where(outside < 1, before, 0)).mean())
