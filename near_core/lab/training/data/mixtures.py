"""Light is linear: a view under its lights at random strengths is the same mixture of its pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ....models.mini.layout import TERMS, SurfelColumn, Term

DIAGONAL = [0, 3, 5]  # of a covariance's six numbers
CROP = 64  # pixels; a step sees a window of a picture


def frame_window(arrays: dict, view: int, left: int, top: int, size: int) -> dict:
    """What shows in a window of `size` pixels a side of a view.

    arrays: as lit_surfels.prepare_asset leaves them. left, top: pixels. Returns the window's intrinsics (3, 3), size,
    drawn, the rows of the discs, and rows (S',), those of the surfels whose light they take.
    """
    p = f"{view}."
    intrinsics = arrays[p + "intrinsics"].copy()
    intrinsics[:2, 2] -= left, top
    local = arrays[p + "xyz"] @ arrays[p + "camera"][:3, :3].T + arrays[p + "camera"][:3, 3]
    pixel = local[:, :2] / local[:, 2:] * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    # discs reach into the window from as far as they are wide: 3.4 standard deviations of the longest
    spread = np.sqrt(arrays[p + "covariance"][:, DIAGONAL].sum(1))
    margin = (1 + 3.4 * spread / local[:, 2] * intrinsics[0, 0])[:, None]
    near = ((pixel > -margin) & (pixel < size + margin)).all(1)
    rows = np.unique(arrays[p + "owner"][near])
    return {"intrinsics": torch.from_numpy(intrinsics), "size": (size, size), "drawn": np.flatnonzero(near),
            "rows": rows[rows >= 0]}


def mix_lights(arrays: dict, view: int, h: Tensor, weights: np.ndarray, seen: dict | None = None) -> dict:
    """One view under its L lights times weights (L, 3), all radiance in units of the mixture's mean.

    arrays: as lit_surfels.prepare_asset leaves them. h: (N, HIDDEN) of the asset's voxels. seen: as frame_window, None
    for the whole picture. Returns what the networks see of S surfels, surfel (S, SURFEL), terms (S, TERMS, 3), tokens
    (TOKENS, RADIANCE), h (S, HIDDEN), view, reflected and normal (S, 3); the K discs, owner (K,) and shift (K, 3) as
    lit_surfels.choose_discs; the camera; truth (H, W, 3), alpha (H, W), and mean, what they are in units of.
    """
    p = f"{view}."
    if seen is None:
        seen = {"intrinsics": torch.from_numpy(arrays[p + "intrinsics"]), "size": tuple(arrays[p + "size"]),
                "drawn": slice(None), "rows": np.arange(len(arrays[p + "surfel"]))}
        left = top = 0
    else:
        left, top = (int(n) for n in (arrays[p + "intrinsics"] - seen["intrinsics"].numpy())[:2, 2].round())
    width, height = (int(n) for n in seen["size"])
    rows, count = seen["rows"], len(arrays[p + "terms"])
    weights = weights.astype(np.float32)
    mean = float((weights.mean(1) * arrays[p + "mean"]).sum())
    blend = weights.mean(1) * arrays[p + "mean"] / max(mean, 1e-8)
    tensor = lambda key, rows=slice(None): torch.from_numpy(arrays[p + key][rows].astype(np.float32))
    surfel = tensor("surfel", rows)
    visibility = np.einsum("lk,l->k", arrays[p + "visibility"][:, rows].astype(np.float32), blend)
    surfel[:, SurfelColumn.VISIBILITY] = torch.from_numpy(visibility)
    terms = np.einsum("lktc,lc->ktc", arrays[p + "terms"][:, rows].astype(np.float32), weights) / mean
    tokens = np.einsum("ltsc,lc->tsc", arrays[p + "tokens"].reshape(count, -1, 3, 3), weights) / mean
    picture = arrays[p + "truth"][:, top:top + height, left:left + width].astype(np.float32)
    truth = np.einsum("lhwc,lc->hwc", picture[..., :3], weights) / mean
    owner = arrays[p + "owner"][seen["drawn"]]
    owner = np.where(owner < 0, -1, np.searchsorted(rows, owner))
    return {"surfel": surfel, "terms": torch.from_numpy(terms), "tokens": torch.from_numpy(tokens).flatten(1),
            "truth": torch.from_numpy(truth), "alpha": torch.from_numpy(picture[0, ..., 3]),
            "view": tensor("view", rows), "reflected": tensor("reflected", rows), "normal": tensor("normal", rows),
            "h": h[torch.from_numpy(arrays[p + "voxel"][rows].astype(np.int64))], "mean": mean,
            "xyz": tensor("xyz", seen["drawn"]), "covariance": tensor("covariance", seen["drawn"]),
            "opacity": tensor("opacity", seen["drawn"]), "shift": tensor("shift", seen["drawn"]),
            "owner": torch.from_numpy(owner.astype(np.int64)),
            "camera": tensor("camera"), "intrinsics": seen["intrinsics"], "size": (width, height)}


def restrict(item: dict, know: str) -> dict:
    """An ablation's item. "transport": without light tokens; "tokens": without transport, every term is what a uniform
    sky of the mixture's mean would send; "both": as it is."""
    if know == "transport":
        return item | {"tokens": torch.zeros_like(item["tokens"])}
    if know == "tokens":
        surfel = item["surfel"].clone()
        surfel[:, SurfelColumn.VISIBILITY], surfel[:, SurfelColumn.BLOCKED] = 1, 0
        color, metallic = surfel[:, SurfelColumn.BASE_COLOR], surfel[:, SurfelColumn.METALLIC, None]
        terms = torch.zeros(len(surfel), TERMS, 3)
        terms[:, [Term.SKY_OPEN, Term.SKY]] = (color * (1 - metallic))[:, None]
        terms[:, [Term.SPECULAR_OPEN, Term.SPECULAR]] = (0.04 + (color - 0.04) * metallic)[:, None]
        return item | {"surfel": surfel, "terms": terms}
    return item


def draw_mixture(arrays: dict, view: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (L, 3) of a view's lights: brought to one level first, so that a mixture is one, and of any hue."""
    mean = arrays[f"{view}.mean"]
    weights = rng.dirichlet(np.full(len(mean), 0.5))[:, None] * np.exp(rng.normal(0, 0.4, (len(mean), 3)))
    return weights / np.maximum(mean, 1e-4)[:, None]


def reorder_channels(item: dict, order: Tensor) -> dict:
    """The same with the channels of light and surface in another order (3,): hues that no object or map has."""
    surfel = item["surfel"].clone()
    surfel[:, SurfelColumn.BASE_COLOR] = surfel[:, SurfelColumn.BASE_COLOR][:, order]
    tokens = item["tokens"].unflatten(1, (-1, 3))[..., order].flatten(1)
    return item | {"surfel": surfel, "tokens": tokens, "terms": item["terms"][..., order],
                   "truth": item["truth"][..., order], "shift": item["shift"][:, order]}


def draw_window(arrays: dict, view: int, rng: np.random.Generator) -> dict:
    """A window of CROP pixels around a random pixel of the object, as frame_window."""
    alpha = arrays[f"{view}.truth"][0, ..., 3]
    solid = np.argwhere(alpha > 0.5)
    centre = solid[rng.integers(len(solid))] if len(solid) else np.array(alpha.shape) // 2
    top, left = np.clip(centre - CROP // 2, 0, np.array(alpha.shape) - CROP)
    return frame_window(arrays, view, int(left), int(top), CROP)
