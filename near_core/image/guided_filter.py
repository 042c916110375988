"""The guided filter: a coarse map follows the edges of a picture (He, Sun and Tang 2010, Guided Image Filtering)."""

from __future__ import annotations

import numpy as np

from .filters import blur_box


def fit_to_guide(values: np.ndarray, guide: np.ndarray, radius: int, tolerance: float) -> np.ndarray:
    """What makes values of a picture's colours: (H, W, C + 1) float32, C factors and an offset for every pixel.

    values: (H, W). guide: (H, W, C), colours 0..1 or what else shows the edges. In every square of 2 radius + 1 pixels
    the values are a linear function of the colours, the flatter the larger tolerance, squared colour (their equation
    19); a pixel gets the mean of all squares that it lies in. The fit may be enlarged and applied to a finer guide (He
    and Sun 2015).
    """
    count = guide.shape[2]
    rows, columns = np.triu_indices(count)
    planes = np.dstack([guide, values, guide[..., rows] * guide[..., columns], guide * values[..., None]])
    color, value, squares, products = np.split(_blur_planes(planes, radius),
                                               (count, count + 1, count + 1 + len(rows)), 2)
    covariance = np.empty((*values.shape, count, count))
    covariance[..., rows, columns] = covariance[..., columns, rows] = squares - color[..., rows] * color[..., columns]
    covariance += tolerance * np.eye(count)
    factors = np.linalg.solve(covariance, (products - color * value)[..., None])[..., 0]
    offset = value - (factors * color).sum(-1, keepdims=True)
    return _blur_planes(np.concatenate([factors, offset], -1), radius).astype(np.float32)


def _blur_planes(planes: np.ndarray, radius: int) -> np.ndarray:
    """(H, W, C): blur_box of every plane."""
    return np.stack([blur_box(plane, radius) for plane in np.moveaxis(planes, -1, 0)], -1)
