"""The grain of what a photo shows, as of fur, leaves or spots, goes on where it does not show it."""

from __future__ import annotations

import numpy as np

from ..directions import unit
from ..image.filters import blur_masked, distances, grow
from ..models.mini.layout import SIZE, MaterialColumn
from .rims import spread_rim
from .thickness import fit_discs
from .view import LayerView, look_up, project, reach


def find_grain(view: LayerView) -> np.ndarray:
    """How each pixel's colour differs from its surroundings', (3, SIZE, SIZE) display colours; nowhere more than in the
    calm parts of the object: what there is everywhere is grain, what stands out, as an eye, there is one of."""
    config = view.config
    known = view.mask & ~grow(~view.mask)  # a matte's rim is no grain
    color = view.material[MaterialColumn.BASE_COLOR]
    grain = (color - blur_masked(color, known, config.grain_radius)) * known
    strength = np.sqrt(blur_masked((grain**2).mean(0)[None], known, config.grain_radius)[0])
    usual = min(np.quantile(strength[known], config.grain_share), config.grain_most) if known.any() else 0
    return (grain * np.minimum(usual / np.maximum(strength, 1e-6), 1)).astype(np.float32)


def continue_grain(points: np.ndarray, normals: np.ndarray, view: LayerView) -> np.ndarray:
    """The grain at points (P, 3) with normals (P, 3) that a photo does not show, (P, 3) display colours. What faces
    away has that of the front before it. What faces aside, or up and down, has that of the place which lies as far
    inside the outline as it lies behind it, as if the surface were unfolded there, and back again from the middle of
    the part on: drawn through, grain would be streaks along the view there."""
    uv, depth = project(points, view.camera)
    uv = np.clip(uv, -1, 1)
    seen = normals @ view.camera.world_to_camera[:3, :3].T.astype(np.float32)
    middle = fit_discs(distances(view.mask)) * (2 / SIZE)
    rim, radius = look_up(np.stack([spread_rim(view, view.config), middle]).astype(np.float32), uv).T
    behind = np.maximum(depth - rim, 0) / reach(view.camera) * 2  # as uv has it, of which a crop is 2 wide
    inside = np.abs((behind + radius) % np.maximum(2 * radius, 1e-3) - radius)
    grain, shares = find_grain(view), unit(np.abs(seen) ** view.config.grain_power)
    return sum(shares[:, [axis]] * look_up(grain, uv - np.sign(seen[:, :2]) * inside[:, None] * np.eye(2, 3)[:, axis])
               for axis in range(3))
