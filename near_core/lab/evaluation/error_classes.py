"""Which pixels of a picture are wrong, by what they show: edges, metals, thin parts, shade, fine texture, the rest."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from . import metrics

NAMES = {"thin": "parts thinner than 7 pixels", "edges": "edges of silhouettes and of depth, 2 pixels wide",
         "metals": "metals", "shaded": "openings and interiors, less than a quarter of the light arrives",
         "fine": "textures finer than 4 pixels", "rest": "the rest"}
NEEDED = {"Combined", "Depth", "Metallic", "Base Color"}  # passes of the truth
EDGE = 2  # pixels
JUMP = 0.03  # of depth between neighbours, asset units
FAR = 1e3  # depth of what is not there
THIN = 3  # pixels, radius of the disc that does not fit in
SHADED = 0.25  # of the unoccluded irradiance
FINE = 0.06  # display value, difference to the mean of 5 x 5 pixels


def classify(truth: dict[str, np.ndarray], shadow: np.ndarray) -> dict[str, np.ndarray]:
    """One mask (H, W) bool for each of NAMES; every pixel of the object is in the first that fits.

    truth: passes of the true picture (dataset.DatasetView.passes), NEEDED ones. shadow: (H, W, 1) share
    of the irradiance that arrives, of our own picture, since Cycles' has none.
    """
    solid = truth["Combined"][..., 3] > metrics.SOLID
    depth = np.where(truth["Depth"][..., 0] > 0, np.minimum(truth["Depth"][..., 0], FAR), FAR)
    around = ndimage.maximum_filter(depth, 3) - ndimage.minimum_filter(depth, 3)
    edge = (around > JUMP) | ndimage.binary_dilation(solid) & ~ndimage.binary_erosion(solid)
    y, x = np.mgrid[-THIN:THIN + 1, -THIN:THIN + 1]
    color = metrics.encode(truth["Base Color"])
    detail = np.abs(color - ndimage.uniform_filter(color, (5, 5, 0))).max(-1)
    found = {"edges": ndimage.binary_dilation(edge, iterations=EDGE - 1),
             "thin": ~ndimage.binary_opening(solid, x * x + y * y <= THIN * THIN),
             "metals": truth["Metallic"][..., 0] > 0.5, "shaded": shadow[..., 0] < SHADED, "fine": detail > FINE,
             "rest": solid}
    left, masks = solid, {}
    for name in NAMES:
        masks[name] = found[name] & left
        left = left & ~masks[name]
    return masks


def sum_errors(prediction: np.ndarray, truth: np.ndarray, masks: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """class -> number of pixels, and the sum of their mean squared errors after the sRGB encoding.

    prediction, truth: (H, W, 4) linear, premultiplied. masks: of `classify`.
    """
    square = ((metrics.encode(prediction) - metrics.encode(truth)) ** 2).mean(-1)
    return {name: [int(mask.sum()), float(square[mask].sum())] for name, mask in masks.items()}


def summarize_classes(found: list[dict[str, list[float]]]) -> dict[str, dict]:
    """class -> share of the objects' pixels, share of their squared error, PSNR in dB.

    found: `sum_errors` of each picture.
    """
    total = np.array([[picture[name] for name in NAMES] for picture in found]).sum(0)  # (classes, 2)
    whole = np.maximum(total.sum(0), metrics.SMALLEST_ERROR)
    return {name: {"pixels": pixels / whole[0], "error": error / whole[1],
                   "psnr": float(-10 * np.log10(max(error / pixels, metrics.SMALLEST_ERROR))) if pixels else None}
            for name, (pixels, error) in zip(NAMES, total)}
