"""What light does to a shape: the light of several photos is fitted to what they show of it, and taken out again.

The light is a sum of broad lobes around directions spread over the sphere, none of them negative. What arrives at a
surfel of every lobe is known from the shape, its own shadow included. So photos of one thing from several sides tell
light and colour apart far better than each photo by itself.
"""

from __future__ import annotations

import numpy as np

from .._kernels import grid
from ..asset import Surfels
from ..asset.surfels import SURFEL_RESOLUTION
from ..directions import fibonacci_sphere
from .config import LightFitConfig

LUMINANCE = np.float32([0.2126, 0.7152, 0.0722])


def gather_lobes(surfels: Surfels, albedo: np.ndarray, config: LightFitConfig = LightFitConfig()) -> np.ndarray:
    """(M, K) float32: what surfels reflect, at an albedo of 1, of each of K lobes of radiance 1; shadows and, about,
    one bounce included. albedo: (M, 3)."""
    rays = fibonacci_sphere(config.rays).astype(np.float32)
    lobes = spread_lobes(rays, config)
    lattice = grid.Grid(surfels.position, surfels.normal, SURFEL_RESOLUTION)
    out = np.empty((len(surfels), config.lobes), np.float32)
    blocked = np.empty(len(surfels), np.float32)
    for start in range(0, len(surfels), 16384):
        rows = np.arange(start, min(start + 16384, len(surfels)), dtype=np.int32)
        facing = np.maximum(surfels.normal[rows] @ rays.T, 0) * np.float32(4 / config.rays)
        sky = lattice.trace_table(rays, index=rows) == -1
        out[rows] = (facing * sky) @ lobes
        blocked[rows] = (facing * ~sky).sum(1)
    grey = albedo @ LUMINANCE
    return out + (blocked * grey.mean())[:, None] * out.mean(0)


def spread_lobes(directions: np.ndarray, config: LightFitConfig = LightFitConfig()) -> np.ndarray:
    """(D, K) float32: the share of each lobe in directions (D, 3); a row sums up to 1."""
    centres = fibonacci_sphere(config.lobes).astype(np.float32)
    weight = np.exp(config.sharpness * (directions @ centres.T - 1))
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def fit_light(lobes: np.ndarray, albedo: np.ndarray, seen: np.ndarray, weight: np.ndarray,
              config: LightFitConfig = LightFitConfig()) -> np.ndarray:
    """The light (K, 3) in which albedo (P, 3) looks as it was seen (P, 3), linear: iteratively reweighted least
    squares, never negative, near a uniform light where nothing is known. lobes: (P, K). weight: (P,)."""
    light = np.empty((lobes.shape[1], 3), np.float32)
    for channel in range(3):
        model, goal = lobes * albedo[:, channel:channel + 1], seen[:, channel]
        robust = np.ones(len(goal), np.float32)
        uniform = max(float((weight * goal).sum() / max((weight * model.sum(1)).sum(), 1e-9)), 1e-4)
        found = np.full(lobes.shape[1], uniform)
        for _ in range(config.fit_rounds):
            weighted = model * (weight * robust)[:, None]
            normal, right = weighted.T @ model, weighted.T @ goal
            stiff = config.stiffness * np.trace(normal) / len(normal)
            found = _solve_positive(normal + stiff * np.eye(len(normal)), right + stiff * uniform, found)
            error = np.abs(goal - model @ found)
            robust = (1 / (1 + (error / (2 * np.median(error) + 1e-4)) ** 2)).astype(np.float32)
        light[:, channel] = found
    return light


def _solve_positive(matrix: np.ndarray, right: np.ndarray, start: np.ndarray) -> np.ndarray:
    """x >= 0 with the least x A x / 2 - b x, by coordinate descent. matrix: (K, K), positive definite."""
    x = start.astype(np.float64)
    for _ in range(60):
        for k in range(len(x)):
            x[k] = max(x[k] + (right[k] - matrix[k] @ x) / matrix[k, k], 0.0)
    return x


def light_up(lobes: np.ndarray, albedo: np.ndarray, seen: np.ndarray, weight: np.ndarray,
             config: LightFitConfig = LightFitConfig()) -> tuple[np.ndarray, np.ndarray] | None:
    """What of a photo's light arrives at the surfels that it shows: rows (R,) and light (R, 3). None where it shows too
    few to fit a light to.

    lobes: (M, K), as gather_lobes. albedo, seen: (M, 3) linear. weight: (M,), how well the photo shows a surfel.
    """
    rows = np.flatnonzero(weight > config.least_weight)
    if len(rows) < config.minimum_surfels:
        return None
    few = np.random.default_rng(0).choice(rows, min(len(rows), config.fit_surfels), replace=False)
    arriving = np.maximum(lobes[rows] @ fit_light(lobes[few], albedo[few], seen[few], weight[few], config), 1e-4)
    return rows, np.maximum(arriving, config.darkest_light * arriving.mean(0))


def explain_colors(lobes: np.ndarray, seen: np.ndarray, weight: np.ndarray, prior: np.ndarray,
                   config: LightFitConfig = LightFitConfig()) -> np.ndarray:
    """The albedo (M, 3) float32, linear, that explains what V photos show of surfels, each photo in a light of its own.

    lobes: (M, K), as gather_lobes. seen: (V, M, 3) linear, as photographed. weight: (V, M), how well each photo shows a
    surfel. prior: (M, 3) what the networks think; how bright it is on the whole, and what no photo shows, stays theirs.
    """
    albedo = prior = np.clip(prior, config.darkest, 1)
    total = weight.sum(0)
    for _ in range(config.rounds):
        log, known = np.zeros_like(prior), np.zeros(len(prior), np.float32)
        for shown, trust in zip(seen, weight):
            lit = light_up(lobes, albedo, shown, trust, config)
            if lit is None:
                continue
            rows, arriving = lit
            change = np.log(np.clip(shown[rows], 2e-3, 1) / (prior[rows] * arriving))
            log[rows] += trust[rows, None] * change
            known[rows] += trust[rows]
        off = log / np.maximum(known, 1e-6)[:, None]
        mean = (off * total[:, None]).sum(0) / max(total.sum(), 1e-6)
        off = np.clip(off - mean, -config.maximum_log_change, config.maximum_log_change)
        albedo = np.clip(prior * np.exp(config.share * off * (known > 0)[:, None]), config.darkest, 1)
    return albedo.astype(np.float32)
