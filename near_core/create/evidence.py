"""The solid of an object in several photos: outlines carve it, and inside them the evidence of all photos decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..asset import CELL, RESOLUTION
from ..asset.surfels import SURFEL_RESOLUTION
from ..directions import unit
from ..image.filters import blur_binomial, blur_box, distances, double, local_maximum, neighbourhoods
from ..mesh import Mesh
from ..models.mini.layout import SIZE
from ..models.mini.runtime import NearMini
from ..progress import Progress, part, silent
from ..render.discs import ProjectedDiscs
from .config import FusionConfig, ReconstructionConfig
from .hull import Silhouette, carve_hull, choose_resolution, cut_to_bounds, extract_mesh, find_bounds, measure_within
from .revolution import turn_outlines
from .sampling import sample_surface
from .shape import align_front, drop_debris, measure_thickness, predict_solid
from .symmetry import LEFT_RIGHT, Movement, average_twins, carve_twins, find_mirrors
from .thickness import TURNED, doubt_depth, fit_discs, inflate_outline
from .view import PhotoView, compute_cell_centres, look_up, project, reach


def reconstruct_surface(model: NearMini, views: list[PhotoView], progress: Progress = silent,
                        config: ReconstructionConfig = ReconstructionConfig(),
                        fusion: FusionConfig = FusionConfig()) -> tuple[Mesh, tuple[Movement, ...]]:
    """The surface of the object in several photos with cameras, in the asset's frame, and its mirrors. The views'
    fronts are aligned. What is its own mirror image, plainly or by an artist's hint, is carved by those of outlines,
    too; by a hint, what is flat, round or turned is as deep as its outlines say, and no larger than these."""
    progress("Shape", 0.0)
    logits = predict_solid(model, views)
    progress("Shape", 0.15)
    silhouettes = [Silhouette(view.photo, view.camera) for view in views]
    hull = carve_hull(silhouettes, SURFEL_RESOLUTION)
    mirrors = tell_mirrors(views, hull, config)
    logits, hull = blur_binomial(average_twins(logits, mirrors)), carve_twins(hull, mirrors)
    logits = logits - _doubt_depth(views, logits, hull, config, fusion)
    low, high = bound_object(views, logits, hull, fusion)
    widest = _widen_bounds(low, high, fusion)
    hull = carve_twins(cut_to_bounds(hull, *widest), mirrors)
    solid = weigh_evidence(views, logits, hull, config, fusion, part(progress, 0.15, 0.45), mirrors)
    if len(views) > fusion.few_photos:
        solid = close_gaps(solid, fusion.gap_radius)
    solid = average_twins(doubt_beyond(solid, low, high, fusion), mirrors)
    if config.thickness == "thin":
        solid = flatten_solid(views, solid, config)
    if config.thickness in TURNED:
        solid = turn_outlines(views, np.minimum(hull, solid), config)
    resolution = choose_resolution([view.camera for view in views])
    if resolution != SURFEL_RESOLUTION:
        hull = cut_to_bounds(carve_twins(carve_hull(silhouettes, resolution), mirrors), *widest)
    progress("Shape", 0.5)
    deep = drop_debris(np.minimum(hull, resize_grid(solid, resolution)), config.debris_share)
    mesh = extract_mesh(deep, config.smoothing, config.normal_smoothing)
    lack = np.float32(np.clip(measure_lack(mesh, views), 0, fusion.most_growth))
    if lack:  # what was hardly nothing becomes specks
        mesh = extract_mesh(drop_debris(deep + lack, config.debris_share), config.smoothing, config.normal_smoothing)
    return mesh, mirrors


def measure_lack(mesh: Mesh, views: list[PhotoView]) -> float:
    """How far a mesh stays inside the outlines of photos, in their mean, in cells of 128^3, negative where it leaves
    them: what many outlines carve, each a little off, is too small."""
    surfels, found = sample_surface(mesh)[0], []
    for view in views:
        shown, camera = view.photo.alpha, view.camera
        slopes = np.gradient(shown)
        missing = shown.sum() - ProjectedDiscs.of(surfels, SURFEL_RESOLUTION, camera).alpha.sum()
        pixel = camera.world_to_camera[2, 3] / camera.intrinsics[0, 0] / CELL
        found.append(float(missing / max(np.hypot(*slopes).sum(), 1) * pixel))
    return float(np.mean(found))


def close_gaps(solid: np.ndarray, radius: int) -> np.ndarray:
    """A field (R, R, R) without the pits, tears and holes between threads that are no wider than twice as many cells:
    what is filled pixel by pixel frays. Outlines cut out of it what they show to be open."""
    return -local_maximum(-local_maximum(solid, radius), radius)


def doubt_beyond(solid: np.ndarray, low: np.ndarray, high: np.ndarray, fusion: FusionConfig) -> np.ndarray:
    """A field (128, 128, 128) that is the less deep the farther out of a box, which may be a little too small: cut off
    there, what is round would have flat sides. low, high: its corners, (3,)."""
    return solid + fusion.bounds_slope * np.minimum(measure_within(low, high, SURFEL_RESOLUTION), 0)


def tell_mirrors(views: list[PhotoView], hull: np.ndarray, config: ReconstructionConfig) -> tuple[Movement, ...]:
    """The mirrors in which a hull (128, 128, 128) may be carved by itself, since all together they cut off nothing that
    a photo shows but rims; left and right by an artist's hint. A mirror that all photos look straight at is none: of
    what lies before and behind it outlines tell nothing."""
    if config.symmetry == "off":
        return ()
    hint = (LEFT_RIGHT,) if config.symmetry == "on" else ()
    whole = carve_twins(hull, hint)
    inside = np.flatnonzero(whole > 0)
    points = compute_cell_centres(SURFEL_RESOLUTION)[inside]
    lines = [_Sightlines(view, points) for view in views]

    def is_own(mirror: Movement, found: tuple[Movement, ...]) -> bool:
        if min(abs(float(unit(view.camera.position) @ mirror.normal)) for view in views) >= config.mirror_facing:
            return False
        left = carve_twins(whole, (*found, mirror)).ravel()[inside] > 0
        return all(line.lacks_rims_alone(left, config) for line in lines)

    return find_mirrors(is_own, hint)


def _widen_bounds(low: np.ndarray, high: np.ndarray, fusion: FusionConfig) -> tuple[np.ndarray, np.ndarray]:
    """The corners (3,) of a box that is larger than another by bounds_margin, but for its bottom: things stand on what
    is level."""
    margin = fusion.bounds_margin * CELL
    return low - margin * np.array([1, 1, 0]), high + margin


def _doubt_depth(views: list[PhotoView], logits: np.ndarray, hull: np.ndarray, config: ReconstructionConfig,
                 fusion: FusionConfig) -> np.ndarray:
    """thickness.doubt_depth of several photos of something round by a hint, else 0."""
    if config.thickness != "round":
        return np.zeros_like(logits)
    _align_fronts(views, logits, hull, config, fusion)
    return np.maximum.reduce([doubt_depth(view, logits, config) for view in views])


def flatten_solid(views: list[PhotoView], solid: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """A field (128, 128, 128) no deeper than something flat is behind the fronts of the photos that show most of it;
    others look along it."""
    shown = np.array([view.mask.sum() * reach(view.camera) ** 2 for view in views])
    points, deep = compute_cell_centres(SURFEL_RESOLUTION), solid.ravel()
    for view in (view for view, area in zip(views, shown) if area >= config.flat_outline * shown.max()):
        uv, depth = project(points, view.camera)
        across = inflate_outline(view)[0].astype(np.float32)
        front, round_depth = view.inside(np.stack([view.front, across]), np.clip(uv, -1, 1)).T
        allowed = np.maximum(config.thin_share * round_depth, config.minimum_thickness * CELL)
        deep = np.minimum(deep, (front + allowed - depth) / CELL)
    return deep.reshape(solid.shape).astype(np.float32)


def _align_fronts(views: list[PhotoView], logits: np.ndarray, hull: np.ndarray, config: ReconstructionConfig,
                  fusion: FusionConfig) -> None:
    """Moves every photo's front to what is likely inside the hull (128, 128, 128)."""
    coarse = hull.reshape((RESOLUTION, 2) * 3).max((1, 3, 5))
    solid = np.where(coarse > 0, logits + fusion.align_bias, -5).astype(np.float32)
    for view in views:
        view.front = align_front(view, solid, config.front_blur_radius)


def weigh_evidence(views: list[PhotoView], logits: np.ndarray, hull: np.ndarray,
                   config: ReconstructionConfig = ReconstructionConfig(), fusion: FusionConfig = FusionConfig(),
                   progress: Progress = silent, mirrors: Sequence[Movement] = ()) -> np.ndarray:
    """How deep inside the object the photos say cells lie, in cells of 128^3: (128, 128, 128) float32.

    logits: (64, 64, 64) of what is inside, all photos together. hull: (128, 128, 128), positive inside all outlines.
    Every photo's front, aligned to the solid, speaks against what is before it, but hardly where the hull is thinner
    than fronts err: it would cut sheets and legs off. Where a pixel of an outline has nothing behind it, what is
    likeliest there is filled, so that thin parts stay, and fades to its sides, but not where a photo shows a bar or,
    of few photos, the hull is thin. What a front says and what is filled holds for all mirror images, in which the hull
    is itself.
    """
    inside = np.flatnonzero(hull > -1)
    points = compute_cell_centres(SURFEL_RESOLUTION)[inside]
    _align_fronts(views, logits, hull, config, fusion)
    sure = double(logits).ravel()[inside]
    thick = double(measure_thickness(hull, fusion.thick_radius)).ravel()[inside]
    for number, view in enumerate(views):
        progress("Shape", number / len(views))
        sure += fusion.front_weight * thick * _vote(view, points, fusion)
    twins = [mirror.find_twins(inside) for mirror in mirrors]
    for twin in twins:
        sure = (sure + sure[twin]) / 2
    sure = _smooth(sure, inside, fusion.smoothing)
    lines = [_Sightlines(view, points) for view in views]
    wide = [look_up(_measure_width(view, fusion)[None], line.uv)[:, 0] for view, line in zip(views, lines)]
    if len(views) <= fusion.few_photos:
        wide = [share * thick for share in wide]
    deep = sure / config.logits_per_cell
    for _ in range(fusion.fill_rounds):
        for line, share in zip(lines, wide):
            deep += line.find_lack(deep, share, fusion)
        for twin in twins:
            deep = np.maximum(deep, deep[twin])
    out = np.full(hull.size, -4, np.float32)
    out[inside] = np.clip(deep, -4, 4)
    return out.reshape(hull.shape)


def bound_object(views: list[PhotoView], logits: np.ndarray, hull: np.ndarray,
                 fusion: FusionConfig) -> tuple[np.ndarray, np.ndarray]:
    """The smallest upright box that still fills all outlines by what is likely, logits (64, 64, 64); what lies in the
    hull's corners, near a camera, would fill them from farther inside than the object does. hull: (128, 128, 128).
    """
    inside = np.flatnonzero(hull > 0)
    points, sure = compute_cell_centres(SURFEL_RESOLUTION)[inside], double(logits).ravel()[inside]
    lines = [_Sightlines(view, points) for view in views]
    likely = [np.where(line.measure_below(sure) < fusion.bounding_logits, line.pixel, SIZE * SIZE) for line in lines]
    low, high = find_bounds(points, likely, [line.known for line in lines], fusion.unbounded_share)
    return low - CELL / 2, high + CELL / 2


class _Sightlines:
    """Which of some points (P, 3) lie behind which pixels of a photo.

    uv: (P, 2) where they fall. pixel: (P,) the pixel they lie behind, SIZE^2 where behind none. known: (SIZE^2,) bool,
    pixels that show the object and have points behind them.
    """

    def __init__(self, view: PhotoView, points: np.ndarray):
        self.uv, _ = project(points, view.camera)
        at = ((self.uv + 1) / 2 * SIZE).astype(int)
        self.pixel = np.where(((at >= 0) & (at < SIZE)).all(1), at[:, 1] * SIZE + at[:, 0], SIZE * SIZE)
        self.known = view.mask.ravel() & (np.bincount(self.pixel, minlength=SIZE * SIZE + 1)[:-1] > 0)

    def lacks_rims_alone(self, some: np.ndarray, config: ReconstructionConfig) -> bool:
        """Whether some of the points, (P,) bool, lie behind nearly all known pixels, and the others are no part of the
        object, however thin, but rims: few pixels beside those."""
        filled = np.bincount(self.pixel[some], minlength=SIZE * SIZE + 1)[:-1] > 0
        around = local_maximum(filled.reshape(SIZE, SIZE), config.mirror_rim).ravel()
        few = (self.known & ~filled).sum() < config.mirror_gap * max(self.known.sum(), 1)
        return bool(few and not (self.known & ~around).any())

    def find_deepest(self, deep: np.ndarray) -> np.ndarray:
        """(SIZE^2,) float32: the largest value (P,) behind each pixel, -inf where there is no point."""
        out = np.full(SIZE * SIZE + 1, -np.inf, np.float32)
        np.maximum.at(out, self.pixel, deep)
        return out[:-1]

    def measure_below(self, deep: np.ndarray) -> np.ndarray:
        """(P,) float32: by how much values (P,) are below the largest behind the same pixel."""
        return np.append(self.find_deepest(deep), 0)[self.pixel] - deep

    def find_lack(self, deep: np.ndarray, wide: np.ndarray, fusion: FusionConfig) -> np.ndarray:
        """(P,) float32: by how much values (P,) must grow for the largest behind each known pixel to be filled_depth.
        As far as what is there is wide, (P,) 0..1, the pixels within fill_radius around it grow along: bars would
        become broad. What is less likely than the largest grows less: else sheets would stand along the view."""
        lack = np.where(self.known, np.maximum(fusion.filled_depth - self.find_deepest(deep), 0), 0).reshape(SIZE, SIZE)
        around = lack
        for _ in range(fusion.fill_radius):
            around = neighbourhoods(around).max(0)
        around = np.maximum(blur_box(around, fusion.fill_radius) - lack, 0)
        own, more = look_up(np.stack([lack, around]).astype(np.float32), self.uv).T
        return (own + wide * more) * np.clip(1 - self.measure_below(deep) / fusion.fill_focus, 0, 1)


def _measure_width(view: PhotoView, fusion: FusionConfig) -> np.ndarray:
    """How little the parts that pixels show are bars, (SIZE, SIZE) float32 0..1. Corners of what is wide are wide."""
    across = 2 * local_maximum(fit_discs(distances(view.mask)), fusion.corner_radius)
    least, most = fusion.bar_widths
    return np.clip((across - least) / (most - least), 0, 1).astype(np.float32)


def _smooth(values: np.ndarray, inside: np.ndarray, times: int) -> np.ndarray:
    """Values (P,) of the cells numbered inside (P,) of 128^3, smoothed among these: (P,) float32."""
    planes = np.zeros((2, SURFEL_RESOLUTION**3), np.float32)
    planes[0, inside], planes[1, inside] = values, 1
    for _ in range(times):
        total, weight = (blur_binomial(plane.reshape((SURFEL_RESOLUTION,) * 3)).ravel() for plane in planes)
        planes[0, inside] = total[inside] / weight[inside]
    return planes[0, inside]


def resize_grid(values: np.ndarray, resolution: int) -> np.ndarray:
    """A grid (R, R, R) over the asset's cube on resolution^3 cells, linear between the cells' centres. float32."""
    size = len(values)
    at = np.clip((np.arange(resolution) + 0.5) / resolution * size - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    share = (at - low).astype(np.float32)[:, None, None]
    for axis in range(3):
        turned = np.moveaxis(values, axis, 0)
        values = np.moveaxis(turned[low] * (1 - share) + turned[low + 1] * share, 0, axis)
    return values


def _vote(view: PhotoView, points: np.ndarray, fusion: FusionConfig) -> np.ndarray:
    """(P,) float32: what a photo's front says of points (P, 3), negative before it, positive just behind it, in cells
    of 128^3."""
    uv, below = project(points, view.camera)
    front, whole = view.inside(np.stack([view.front, 1 - view.torn.astype(np.float32)]), uv).T
    opaque = look_up(view.mask[None].astype(np.float32), uv)[:, 0]
    behind = (below - front) / CELL
    middle = fusion.front_depth / 2
    says = np.where(behind < 0, np.maximum(behind, -fusion.farthest_vote),
                    np.clip(1 - np.abs(behind - middle) / fusion.front_depth, 0, 1))
    return np.where((whole > 0.5) & (opaque > 0.5), says, 0).astype(np.float32)
