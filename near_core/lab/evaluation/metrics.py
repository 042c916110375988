"""How far a picture is from the truth. Every number follows docs/evaluation.md."""

from __future__ import annotations

import numpy as np

from ...image import srgb_encode
from .lpips import Lpips

try:
    import flip_evaluator  # optional: without it FLIP is left out of every report
except ImportError:
    flip_evaluator = None

SMALLEST_ERROR = 1e-10  # mean squared error of identical pictures; PSNR ends at 100 dB
SOLID = 0.5  # alpha above which a pixel belongs to the object


def encode(picture: np.ndarray) -> np.ndarray:
    """The sRGB-encoded colours of a linear picture (H, W, 3+), clipped to 0..1. (H, W, 3) float64."""
    return srgb_encode(np.nan_to_num(picture[..., :3])).astype(np.float64)


def psnr(prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """-10 log10 of the mean squared difference after the sRGB transfer function, dB.

    prediction, truth: (H, W, 3+) linear, premultiplied; channels after the third are ignored.
    mask: (H, W) bool, the pixels that count; None for all. nan when none counts.
    """
    square = (encode(prediction) - encode(truth)) ** 2
    if mask is not None:
        square = square[mask]
    if not square.size:
        return float("nan")
    return float(-10 * np.log10(max(square.mean(), SMALLEST_ERROR)))


def object_psnr(prediction: np.ndarray, truth: np.ndarray) -> float:
    """PSNR over the pixels whose true alpha is above one half. truth: (H, W, 4) premultiplied."""
    return psnr(prediction, truth, truth[..., 3] > SOLID)


def ssim(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5) of the sRGB-encoded pictures."""
    from skimage.metrics import structural_similarity
    return float(structural_similarity(
        encode(prediction), encode(truth), channel_axis=-1, data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False))


def flip(prediction: np.ndarray, truth: np.ndarray) -> float | None:
    """Mean LDR-FLIP (Andersson et al. 2020) at 67 pixels per degree; None where flip-evaluator is not installed."""
    if flip_evaluator is None:
        return None
    pictures = [np.ascontiguousarray(encode(x), np.float32) for x in (truth, prediction)]
    return float(flip_evaluator.evaluate(*pictures, "LDR", applyMagma=False)[1])


def measure_picture(prediction: np.ndarray, truth: np.ndarray, lpips: Lpips | None = None) -> dict[str, float | None]:
    """All the numbers of one picture. prediction, truth: (H, W, 4) linear, premultiplied. lpips: measured if given."""
    errors = {"object_psnr": object_psnr(prediction, truth), "full_psnr": psnr(prediction, truth),
              "ssim": ssim(prediction, truth), "flip": flip(prediction, truth),
              "alpha_iou": alpha_iou(prediction[..., 3], truth[..., 3])}
    return errors | ({"lpips": lpips(prediction, truth)} if lpips else {})


def alpha_iou(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two silhouettes (H, W), cut at one half; 1 when both are empty."""
    p, t = prediction > SOLID, truth > SOLID
    union = np.count_nonzero(p | t)
    return float(np.count_nonzero(p & t) / union) if union else 1.0


def measure_passes(prediction: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, float]:
    """Errors of data passes where both pictures show the object.

    prediction, truth: pass name (scene.PASSES) -> (H, W, channels), data passes divided by alpha; both hold Combined.
    Returns base_color_psnr (dB, sRGB-encoded), roughness_mae, metallic_mae, normal_degrees (mean angle), depth_mae
    (metres) for the passes that both have, and alpha_iou.
    """
    alpha = prediction["Combined"][..., 3], truth["Combined"][..., 3]
    both = (alpha[0] > SOLID) & (alpha[1] > SOLID)
    errors = {"alpha_iou": alpha_iou(*alpha)}
    if not both.any():
        return errors
    shared = {name: (prediction[name], truth[name]) for name in truth if name in prediction}
    if "Base Color" in shared:
        errors["base_color_psnr"] = psnr(*shared["Base Color"], both)
    for name, key in (("Roughness", "roughness_mae"), ("Metallic", "metallic_mae")):
        if name in shared:
            p, t = (x.reshape(both.shape)[both] for x in shared[name])
            errors[key] = float(np.abs(p - t).mean())
    if "Normal" in shared:
        p, t = (x[both].astype(np.float64) for x in shared["Normal"])
        lengths = np.linalg.norm(p, axis=-1) * np.linalg.norm(t, axis=-1)
        hit = lengths > 1e-6
        cosine = (p * t).sum(-1)[hit] / lengths[hit]
        errors["normal_degrees"] = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()) if hit.any() else 90.0
    if "Depth" in shared:
        p, t = (x.reshape(both.shape)[both] for x in shared["Depth"])
        hit = (p > 0) & (t > 0)
        if hit.any():
            errors["depth_mae"] = float(np.abs(p - t)[hit].mean())
    return errors


def summarize(values: list[float], worst=min) -> dict[str, float | None]:
    """Mean, median and worst of the assets' numbers; `worst` is max for numbers that are better when small."""
    if not values:
        return {"mean": None, "median": None, "worst": None}
    return {"mean": float(np.mean(values)), "median": float(np.median(values)), "worst": float(worst(values))}
