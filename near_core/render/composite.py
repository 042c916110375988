"""Two pictures of one camera as one."""

from __future__ import annotations

import numpy as np

from ..directions import unit
from ..scene import PASSES


def merge(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two pictures of the same camera as one: at each pixel the nearer lies over the farther. Both have all PASSES."""
    depths = [np.where(picture["Depth"] > 0, picture["Depth"], np.inf) for picture in (one, other)]
    first = depths[0] <= depths[1]
    near, far = ({name: np.where(front, one[name], other[name]) for name in PASSES} for front in (first, ~first))
    through = 1 - near["Combined"][..., 3:]
    weights = near["Combined"][..., 3:], through * far["Combined"][..., 3:]
    total = np.maximum(sum(weights), 1e-6)
    out = {name: (weights[0] * near[name] + weights[1] * far[name]) / total for name in PASSES}
    out["Combined"] = near["Combined"] + through * far["Combined"]
    out["Normal"] = unit(out["Normal"])
    return out


def put_behind(combined: np.ndarray, sky: np.ndarray) -> None:
    """Puts sky (H, W, 3) behind the premultiplied picture (H, W, 4), in place; alpha becomes 1."""
    combined[..., :3] += (1 - combined[..., 3:]) * sky
    combined[..., 3] = 1
