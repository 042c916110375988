"""Colour models of object and background, smoothed along a picture's edges: what a network is unsure of follows them.

Without a network they find the object alone. That serves the published model in a Python that has torch and no
onnxruntime: there the matting network cannot be asked.
"""

from __future__ import annotations

import numpy as np

from ..image import srgb_decode
from ..image.filters import drop_specks, grow, label_pieces
from .photo_config import MattingConfig

_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                 [0.0193339, 0.1191920, 0.9503041]], np.float32) / np.float32([[0.95047], [1], [1.08883]])


def convert_to_lab(encoded: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) 0..1 -> CIE L*a*b* (D65), float32."""
    xyz = srgb_decode(encoded) @ _XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def remove_background(encoded: np.ndarray, config: MattingConfig = MattingConfig()) -> np.ndarray:
    """The share (H, W) float32 0..1 of each pixel that belongs to the object in the middle of a picture.

    encoded: (H, W, 3) float32 sRGB 0..1, H and W up to a few hundred. The picture's border is the first guess of the
    background; then the colours of both sides (Gaussian mixtures over Lab and position) and a smoothing that stops at
    edges improve each other, as GrabCut does (Rother et al. 2004), with the random walker's quadratic energy (Grady
    2006) in place of the minimal cut. All zero where nothing stands out.
    """
    colors = convert_to_lab(encoded)
    height, width = colors.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    places = config.position_weight * np.stack([x, y], -1)
    features = np.concatenate([colors, places], -1).reshape(-1, 5)
    edge = np.minimum.reduce([x, y, x.max() - x, y.max() - y])
    border = (edge < config.border).ravel()
    centre = 1 - np.hypot(x - x.max() / 2, y - y.max() / 2).ravel() / np.hypot(x.max(), y.max()) * 2
    across, down = _couplings(colors)
    background = _Mixture(features[border], config.background_colors)
    far = -background.log_density(features, 3)
    alpha = np.where(border, 0, _above_threshold(far + 6 * centre)).astype(np.float32)
    for _ in range(config.background_rounds):
        chosen = alpha > 0.5
        if chosen.sum() < 8 or (~chosen).sum() < 8:
            return np.zeros((height, width), np.float32)
        front = _Mixture(features[chosen], config.object_colors)
        background = _Mixture(features[~chosen], config.background_colors)
        evidence = front.log_density(features) - background.log_density(features)
        evidence = np.clip(evidence, -8, 8) + 2 * centre - 1 - 3 * border
        alpha = _smooth_alpha(evidence.reshape(height, width), across, down, config.smoothness).ravel()
    within = features[alpha > 0.5]
    if not len(within) or np.mean(front.log_density(within, 3) - background.log_density(within, 3)) < config.distinct:
        return np.zeros((height, width), np.float32)
    return _clean_matte(alpha.reshape(height, width), config.speck_share)


def follow_colors(alpha: np.ndarray, encoded: np.ndarray, config: MattingConfig = MattingConfig()) -> np.ndarray:
    """A network's matte (H, W) of a picture (H, W, 3), sRGB 0..1, whose unsure pixels go with the colours and places of
    the sure ones: (H, W) float32.

    Colours count the less the worse they tell these apart, and what changes is smoothed as in remove_background. What
    differs plainly from a plain backdrop is object, whatever the network says, but for what may be a shadow on it.
    """
    colors = convert_to_lab(encoded)
    apart = _differ_from_backdrop(alpha, colors, config)
    y, x = (np.indices(alpha.shape) + 0.5) / max(alpha.shape)
    features = np.dstack([colors, config.position_weight * x, config.position_weight * y]).reshape(-1, 5)
    couplings = _couplings(colors)
    least = 0.01  # so sure a network is at most
    logits = np.log(np.clip(alpha, least, 1 - least) / np.clip(1 - alpha, least, 1 - least))
    logits = logits + config.backdrop_logits * apart
    made = alpha
    for _ in range(config.color_rounds):
        sure = made > config.surely_object
        inside, outside = (apart | sure).ravel(), (~apart & (made < config.surely_behind)).ravel()
        if min(sure.sum(), outside.sum()) < 30:
            break
        front, behind = (_Mixture(features[side], count) for side, count in ((inside, config.object_colors),
                                                                             (outside, config.background_colors)))
        evidence = np.clip(front.log_density(features) - behind.log_density(features), -6, 6)
        right = ((evidence[inside] > 0).mean() + (evidence[outside] < 0).mean()) / 2
        trust = config.color_weight * max(right - config.color_chance, 0) / (1 - config.color_chance)
        made = _smooth_alpha(logits + trust * evidence.reshape(alpha.shape), *couplings, config.smoothness)
        made = np.clip((made - least) / (1 - 2 * least), 0, 1)
    return made.astype(np.float32)


def _differ_from_backdrop(alpha: np.ndarray, colors: np.ndarray, config: MattingConfig) -> np.ndarray:
    """(H, W) bool: which pixels of a picture (H, W, 3) in Lab have a colour far from that of its border, where this has
    one alone, as a studio's paper or a shop's white have; none, where it has several. What a network's matte (H, W)
    tells to be a shadow is left out."""
    width = max(1, round(config.backdrop_border * max(colors.shape[:2])))
    border = np.ones(colors.shape[:2], bool)
    border[width:-width, width:-width] = False
    steps = colors - np.median(colors[border], 0)
    away = np.linalg.norm(steps, axis=-1)
    if (away[border] < config.backdrop_spread).mean() <= config.backdrop_share:
        return np.zeros(alpha.shape, bool)
    apart, sure = away > config.backdrop_distance, alpha > config.surely_object
    grey = apart & ~sure & (steps[..., 0] < 0) & (np.linalg.norm(steps[..., 1:], axis=-1) < config.shadow_chroma)
    return apart & ~_find_shadows(grey, sure, config)


def _find_shadows(grey: np.ndarray, sure: np.ndarray, config: MattingConfig) -> np.ndarray:
    """The pieces of a mask (H, W) bool that lie flat below or beside what is surely an object (H, W) bool, as shadows
    do, and not between its parts."""
    pieces = label_pieces(grey)
    sizes = np.bincount(pieces.ravel())
    within = np.bincount(pieces[_surround(sure)], minlength=len(sizes)) / np.maximum(sizes, 1)
    sides = [np.ptp(np.flatnonzero(sure.any(axis))) + 1 if sure.any() else 1 for axis in (0, 1)]
    rows = [np.unique(row) for row in pieces]
    heights = np.bincount(np.concatenate(rows), minlength=len(sizes)) / max(sides)
    return ((within < config.shadow_within) & (heights < config.shadow_height))[pieces] & grey


def _surround(mask: np.ndarray) -> np.ndarray:
    """The convex hull of a mask (H, W) bool, as a mask; its corners are cut off a little."""
    places, filled = np.argwhere(mask), np.full(mask.shape, mask.any())
    for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False) if mask.any() else ():
        side = np.array([np.sin(angle), np.cos(angle)])
        filled &= np.tensordot(side, np.indices(mask.shape), 1) < (places @ side).max() + 1
    return filled


class _Mixture:
    """Gaussians fitted to points (K, D) by k-means; covariances are kept wide enough for noise."""

    FLOOR = np.array([9, 9, 9, 9, 9], np.float64)

    def __init__(self, points: np.ndarray, components: int):
        points = points[::max(1, len(points) // 4096)].astype(np.float64)
        label = _cluster(points, components)
        self.parts = []
        for index in np.unique(label):
            mine = points[label == index]
            mean = mine.mean(0)
            covariance = (mine - mean).T @ (mine - mean) / len(mine) + np.diag(self.FLOOR)
            self.parts.append((len(mine) / len(points), mean, covariance))

    def log_density(self, points: np.ndarray, dimensions: int = 5) -> np.ndarray:
        """(K,) log of the density, of the first `dimensions` coordinates alone."""
        points = points[:, :dimensions].astype(np.float64)
        logs = []
        for weight, mean, covariance in self.parts:
            lower = np.linalg.cholesky(covariance[:dimensions, :dimensions])
            white = (points - mean[:dimensions]) @ np.linalg.inv(lower).T
            logs.append(np.log(weight) - 0.5 * (white * white).sum(1) - np.log(np.diag(lower)).sum())
        return np.logaddexp.reduce(logs, axis=0)


def _cluster(points: np.ndarray, count: int) -> np.ndarray:
    """(K,) labels by k-means from far-apart starts."""
    centres = [points.mean(0)]
    nearest = np.full(len(points), np.inf)
    for _ in range(count):
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(1))
        centres.append(points[nearest.argmax()])
    centres = np.array(centres[1:])
    for _ in range(6):
        label = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
        for index in range(count):
            if (label == index).any():
                centres[index] = points[label == index].mean(0)
    return label


def _couplings(colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How strongly neighbours across (H, W-1) and down (H-1, W) belong together: 1 for equal colours, less at edges."""
    steps = [((colors[:, 1:] - colors[:, :-1]) ** 2).sum(-1), ((colors[1:] - colors[:-1]) ** 2).sum(-1)]
    scale = 2 * np.mean(np.concatenate([s.ravel() for s in steps])) + 1e-3
    return tuple(np.exp(-s / scale) + 0.02 for s in steps)


def _smooth_alpha(evidence: np.ndarray, across: np.ndarray, down: np.ndarray, smoothness: float) -> np.ndarray:
    """The alpha (H, W) that minimizes sum c (alpha - sigmoid(evidence))^2 + smoothness sum w (alpha_i - alpha_j)^2.

    c grows with the evidence's certainty. Solved by conjugate gradients.
    """
    target = 1 / (1 + np.exp(-evidence))
    certainty = 0.02 + np.abs(2 * target - 1)

    def apply(alpha: np.ndarray) -> np.ndarray:
        out = certainty * alpha
        flow = smoothness * across * (alpha[:, 1:] - alpha[:, :-1])
        out[:, 1:] += flow
        out[:, :-1] -= flow
        flow = smoothness * down * (alpha[1:] - alpha[:-1])
        out[1:] += flow
        out[:-1] -= flow
        return out

    alpha = target.copy()
    residual = certainty * target - apply(alpha)
    direction, energy = residual, (residual * residual).sum()
    for _ in range(60):
        if energy < 1e-6:
            break
        image = apply(direction)
        step = energy / (direction * image).sum()
        alpha += step * direction
        residual = residual - step * image
        energy, before = (residual * residual).sum(), energy
        direction = residual + energy / before * direction
    return alpha


def _above_threshold(values: np.ndarray) -> np.ndarray:
    """(K,) bool: which values lie above the threshold that parts them best (Otsu 1979)."""
    counts, edges = np.histogram(values, 128)
    middle = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), len(values)
    sums = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / total - sums) ** 2 / (below * (total - below))
    return values > middle[np.nanargmax(np.where(np.isfinite(between), between, -1))]


def _clean_matte(alpha: np.ndarray, speck_share: float) -> np.ndarray:
    """Alpha (H, W) with steeper edges, without specks and with small holes closed."""
    solid = alpha > 0.5
    if not solid.any():
        return np.zeros_like(alpha, np.float32)
    keep = drop_specks(solid, speck_share)
    holes = label_pieces(~keep)
    sizes = np.bincount(holes.ravel())
    closed = (sizes < 0.01 * keep.sum())[holes] & ~keep
    keep |= closed
    inner, near = ~grow(~keep), grow(keep)
    return np.where(inner, 1, np.where(near, np.clip((alpha - 0.5) * 2 + 0.5, 0, 1), 0)).astype(np.float32)
