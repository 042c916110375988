"""How thick an object is behind what a photo shows: by its outline, and by how sure the networks are of more."""

from __future__ import annotations

import numpy as np

from ..asset import RESOLUTION
from ..image.filters import blur_box, blur_masked, distances, fit_parabolas, local_maximum
from ..models.mini.layout import SIZE, Picture
from .config import ReconstructionConfig
from .view import LayerView, compute_cell_centres, look_up, project, reach

HINTS = ("auto", "thin", "round", "full", "turned", "cup")
TURNED = ("turned", "cup")  # of these: alike from all around
SYMMETRIES = ("auto", "on", "off")
HALF = SIZE // 2  # pixels on which the networks' sureness is measured: about a voxel each


def inflate_outline(view: LayerView) -> tuple[np.ndarray, np.ndarray]:
    """How thick a round body of a view's outline is at each pixel, and how wide that body is: (SIZE, SIZE) each, asset
    units. Its radius is that of the largest disc around the pixel that the silhouette has room for. Of an outline that
    is a box's it is as angular (measure_angularity)."""
    edge = distances(view.mask & ~view.torn)
    radius = fit_discs(edge)
    pixel, power = reach(view.camera) / SIZE, 2 + (view.config.box_power - 2) * measure_angularity(view)
    inward = np.clip(edge / np.maximum(radius, 1e-6), 0, 1)
    return 2 * radius * (1 - (1 - inward) ** power) ** (1 / power) * pixel, 2 * radius * pixel


def measure_angularity(view: LayerView) -> float:
    """How much a view's outline is a box's, 0..1: where nearly all of it is level or upright, and it fills the
    rectangle around it, unless an artist's hint says how deep the object is."""
    config = view.config
    if config.box_power == 2 or config.thickness != "auto" or not view.mask.any():
        return 0.0
    soft = blur_box(blur_box(view.mask.astype(np.float32), config.box_calm), config.box_calm)
    down, right = np.gradient(soft)
    steep = np.hypot(right, down)
    fourfold = np.cos(4 * np.arctan2(down, right))  # 1 where level or upright, in the mean 0 for a disc
    straight = (steep * fourfold).sum() / max(steep.sum(), 1e-6)
    high, wide = (np.ptp(np.flatnonzero(view.mask.any(axis))) + 1 for axis in (1, 0))
    shares = [np.clip((value - low) / (above - low), 0, 1) for value, (low, above) in
              ((straight, config.box_straight), (view.mask.sum() / (high * wide), config.box_filling))]
    return float(np.prod(shares))


def fit_discs(edge: np.ndarray) -> np.ndarray:
    """The radius of the largest disc inside an outline that covers each pixel, in pixels: (S, S), by how far pixels are
    from the edge, (S, S)."""
    radius = edge.copy()
    for size in np.geomspace(1, max(edge.max(), 1), 16):
        # covered by a disc of that size around a pixel that has room for it
        radius[distances(edge < size, beyond=True) < size] = size
    return radius


def estimate_thickness(view: LayerView) -> np.ndarray:
    """How thick a view's front is at least, (SIZE, SIZE), asset units: as a round body of its outline, but no thicker
    than the layers say."""
    return np.minimum(inflate_outline(view)[0], np.maximum(view.back - view.front, 0)).astype(np.float32)


def doubt_depth(view: LayerView, logits: np.ndarray, config: ReconstructionConfig = ReconstructionConfig()
                ) -> np.ndarray:
    """How much less likely the solid is than its logits (64, 64, 64) say, for lying farther behind the front than a
    round body of the outline reaches: (64, 64, 64) float32, from 0, to be subtracted.

    A network that has never seen the like says "perhaps" all along the view, and what is thin becomes a barrel. Where
    it is sure nowhere along the view, and nowhere in the object either, the outline decides; what it is sure of stays.
    config.thickness, a hint from HINTS, decides instead. Where the camera is a guess, what is thicker than both such a
    body and the layers is doubted more, and less sure is not sure enough there: a knob is likely, a box certain.
    """
    if config.thickness == "full":
        return np.zeros_like(logits)
    maps = np.stack([*inflate_outline(view), np.maximum(view.back - view.front, 0)]).astype(np.float32)
    maps = np.concatenate([view.front[None], blur_masked(maps, view.mask, config.outline_blur_radius)])
    uv, depth = project(compute_cell_centres(RESOLUTION), view.camera)
    front, across, width, layers = view.inside(maps, np.clip(uv, -1, 1)).T
    share = measure_share(view, logits, uv, config)
    allowed = across * share
    # in widths of the body; a little before its end already, since likely solids fade slowly
    widths = np.maximum(width, config.least_width)
    beyond = (depth - front - allowed) / widths
    falling = np.clip(config.doubt_slope * (beyond + config.doubt_lead), 0, None)
    if config.thickness in ("auto", *TURNED):
        if is_slender(view, config):
            return np.maximum(falling, config.layers_slope * beyond).reshape(logits.shape).astype(np.float32)
        sure = measure_sureness(view, logits, uv, config)
        unsure, no_box = (np.clip((high - sure) / (high - low), 0, 1)
                          for low, high in (config.sure_logits, config.box_logits))
        thicker = (depth - front - np.maximum(across, layers) * share) / widths
        falling = np.maximum.reduce([unsure * np.minimum(falling, config.maximum_doubt),
                                     _measure_thinness(view, uv, config) * falling,
                                     no_box * config.layers_slope * thicker])
    return falling.reshape(logits.shape).astype(np.float32)


def measure_share(view: LayerView, logits: np.ndarray, uv: np.ndarray, config: ReconstructionConfig
                  ) -> np.ndarray | float:
    """The share of a round body's thickness that a thing has at points seen at uv (P, 2), (P,): all of it, but for what
    is thin by a hint, and for intricate outlines, as of a frame, a flower or a flock, wherever networks are unsure of
    the solid, by logits (64, 64, 64): a relief is better there than a barrel."""
    if config.thickness == "thin":
        return config.thin_share
    if config.thickness != "auto" or config.relief_share == 1:
        return 1.0
    low, high = config.relief_discs
    intricate = np.clip((high - measure_plainness(view.mask)) / (high - low), 0, 1)
    low, high = config.box_logits
    unsure = np.clip((high - measure_sureness(view, logits, uv, config)) / (high - low), 0, 1) if intricate else 0
    return 1 - (1 - config.relief_share) * intricate * unsure


def measure_plainness(mask: np.ndarray) -> float:
    """How little an outline (S, S) bool is broken up: the radius of the largest discs in it around its pixels, in their
    mean, over that of a disc as large as all of it. 1 for a disc, 0.8 for a square, less than 0.4 for a chair."""
    if not mask.any():
        return 1.0
    return float(fit_discs(distances(mask))[mask].mean() / np.sqrt(mask.sum() / np.pi))


def _measure_thinness(view: LayerView, uv: np.ndarray, config: ReconstructionConfig) -> np.ndarray | float:
    """How much points seen at uv (P, 2) belong to bars and legs, (P,) 0..1."""
    if not config.thin_width:
        return 0.0
    pixel = reach(view.camera) / SIZE
    # corners of what is wide are not thin
    across = 2 * pixel * local_maximum(fit_discs(distances(view.mask)), round(config.thin_width / pixel / 2))
    return np.clip(2 - look_up(across[None], np.clip(uv, -1, 1))[:, 0] / config.thin_width, 0, 1)


def is_slender(view: LayerView, config: ReconstructionConfig = ReconstructionConfig()) -> bool:
    """Whether an outline is upright and far higher than wide: a rod, since nobody photographs an upright board so."""
    rows, columns = (np.flatnonzero(view.mask.any(axis)) for axis in (1, 0))
    return len(rows) > 0 and bool(np.ptp(columns) + 1 < config.slender_outline * (np.ptp(rows) + 1))


def measure_bend(view: LayerView, config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How much farther away each row of what is slender lies than if it stood upright, (SIZE, 1) asset units: the
    middle of a round body as wide as each row, over the upright line that fits best."""
    even = view.mask & ~view.torn
    width, seen = even.sum(1), np.flatnonzero(even.any(1))
    round_body = np.pi / 8 * width * reach(view.camera) / SIZE  # the mean way from its front to its middle
    middle = np.where(even, view.front, 0).sum(1) / np.maximum(width, 1) + round_body
    window = min(config.rod_calm, (len(seen) - 1) // 2 * 2 + 1)
    away = view.camera.world_to_camera[2, 3] + fit_parabolas(middle[seen], window)
    intrinsics = view.camera.intrinsics
    down = ((seen + 0.5) * view.camera.height / SIZE - intrinsics[1, 2]) / intrinsics[1, 1]
    up = view.camera.world_to_camera[:3, 2]
    upright = 1 / (up[1] - down * up[2])  # of a line that stands upright: depth by row, but for a factor
    bend = np.zeros(len(even), np.float32)
    bend[seen] = away - upright * (away @ upright) / (upright @ upright)
    return bend[:, None]


def measure_sureness(view: LayerView, logits: np.ndarray, uv: np.ndarray,
                     config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How sure a network is of the solid, by its logits (64, 64, 64), in the parts that points seen at uv (P, 2) belong
    to, (P,) logits: the most that it says along the view there, or, less sure_elsewhere, of the best tenth of the
    object."""
    cells, depth = project(compute_cell_centres(RESOLUTION), view.camera)
    shown = look_up(view.image[Picture.ALPHA][None], cells)[:, 0] > 0.5
    rows = np.flatnonzero(shown & (depth > view.inside(view.front[None], np.clip(cells, -1, 1))[:, 0]))
    at = np.clip(((cells[rows] + 1) / 2 * HALF).astype(int), 0, HALF - 1)
    flat = logits.ravel()
    highest = np.full((HALF, HALF), -np.inf, np.float32)
    np.maximum.at(highest, (at[:, 1], at[:, 0]), flat[rows])
    known = np.isfinite(highest)
    around = blur_masked(np.where(known, highest, 0)[None], known, config.sure_radius)
    solid = flat[rows][flat[rows] > -config.logit_bias]
    best = np.percentile(solid, 90) if len(solid) else -np.inf
    return np.maximum(look_up(around, np.clip(uv, -1, 1))[:, 0], best - config.sure_elsewhere)
