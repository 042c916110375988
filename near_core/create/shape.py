"""From photos to a solid and its surface: what Structure says is inside, cut out by the first photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..asset import CELL, RESOLUTION
from ..asset.surfels import SURFEL_RESOLUTION
from ..errors import NearError
from ..image.filters import blur_binomial, blur_box, double, drop_specks, local_maximum, measure_inside
from ..mesh import Mesh, surface_nets
from ..mesh.surface_nets import average_around, compute_vertex_normals
from ..models.mini.layout import SIZE, SURFACE, Picture, SurfacePlane
from ..models.mini.runtime import NearMini
from ..progress import Progress, silent
from ..scene import Camera
from .config import ReconstructionConfig
from .fairing import fair, fill_below, measure_narrowing
from .hull import Silhouette
from .regularity import measure_photo_asymmetry
from .revolution import turn_outlines
from .rims import close_sides, measure_rounding, narrow_sides, near_rim
from .thickness import (
    TURNED,
    doubt_depth,
    estimate_thickness,
    is_slender,
    measure_bend,
    measure_share,
    measure_sureness,
)
from .view import (
    LayerView,
    PhotoView,
    compute_cell_centres,
    gather_grid_inputs,
    lift_pixels,
    measure_elevation,
    mirror_layers,
    project,
    reach,
)

BROAD = 32  # cells along an edge of the grid on which what is hidden is straightened: one is as large as a lump
OUTSIDE = -1  # "behind the front" of cells that no pixel of the object shows
TOGETHER = 8  # photos that Structure judges at once: each takes some 50 MB


def carve_solid(model: NearMini, view: PhotoView, progress: Progress = silent,
                config: ReconstructionConfig = ReconstructionConfig()) -> np.ndarray:
    """How deep the centres of the 128^3 cells lie inside the object, in cells, about: (128, 128, 128) float32.

    The networks' solid, less what is doubtful of it (thickness.py), cut out by the photo: nothing outside its
    silhouette or before its front, which is aligned first; behind that front, a body at least as round as its outline.
    What is hidden is smooth. Raises NearError where nothing is left, Cancelled when progress does.
    """
    logits = _place_front(model, view, progress, config)
    likely = logits + config.logit_bias - doubt_depth(view, logits, config)
    deep = np.clip(double(likely) / config.logits_per_cell, -4, 4).ravel()
    progress("Shape", 0.3)
    cells = compute_cell_centres(SURFEL_RESOLUTION)
    uv, depth = project(cells, view.camera)
    narrowed = narrow_sides(cells, view, config)
    silhouette = Silhouette(view.photo, view.camera, alone=True).measure_depth(narrowed)
    near = np.flatnonzero(silhouette > -config.outline_reach)  # farther out there is no front
    deep[silhouette <= -config.outline_reach] = -1
    behind, seam = np.full(len(deep), OUTSIDE, np.float32), np.zeros(len(deep), np.float32)
    relief = measure_share(view, logits, uv[near], config)
    deep[near], behind[near] = _cut_front(view, uv[near], depth[near], deep[near], relief, config)
    seam[near] = view.near_jumps(uv[near])
    fades = config.hang_fade + config.hang_narrowing * measure_narrowing(view)
    deep = _smooth_hidden(deep, behind, seam, fades, config)
    if config.closing and config.thickness != "full":  # which is as deep as networks say
        share = _measure_closing(view, logits, uv[near], config)
        aside = project(narrowed[near], view.camera)[0]
        deep.ravel()[near] = close_sides(deep.ravel()[near], view, aside, depth[near], share, relief, config)
    outline, behind = np.clip(silhouette, -1, 1).reshape(deep.shape), behind.reshape(deep.shape)
    deep, outline = _follow_symmetry(deep, outline, behind, view, config)
    if config.thickness in TURNED:
        deep = turn_outlines([view], np.minimum(deep, outline), config)
    else:
        deep = round_sides(np.minimum(_cut_floor(deep, behind, view.camera, config), outline), behind, config)
    deep = drop_debris(deep, config.debris_share)
    if not (deep > 0).any():
        raise NearError("No shape was found in the photo.", "Use a photo in which the whole object is seen.")
    return deep


def _place_front(model: NearMini, view: PhotoView, progress: Progress, config: ReconstructionConfig) -> np.ndarray:
    """The networks' solid, as smoothed logits (64, 64, 64), to which the view's front is aligned."""
    progress("Shape", 0.0)
    logits = blur_binomial(predict_solid(model, [view]))
    progress("Shape", 0.2)
    view.front = align_front(view, logits + config.logit_bias, config.front_blur_radius, config.front_calm,
                             config.front_lag)
    if config.straight_rods and is_slender(view, config):
        bend = measure_bend(view, config)
        view.front, view.back = view.front - bend, view.back - bend
    return make_room(view, logits, config)


def make_room(view: LayerView, logits: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """Logits (64, 64, 64) of a larger cube than that in which they were found, which holds all that the view shows,
    too; the view is moved into that cube, but not aside. They fall outside of where they were found."""
    if not config.cube_room or not view.mask.any():
        return logits
    low, high = np.percentile(lift_pixels(view, view.mask), (0.2, 99.8), 0)
    low, high = np.minimum(low, -0.5) - config.cube_room, np.maximum(high, 0.5) + config.cube_room
    high[0] = max(high[0], -low[0])  # what is its own mirror image stays so
    low[0] = -high[0]
    centre, size = (low + high) / 2, float((high - low).max())
    view.recentre(centre, size)
    for axis in range(3):
        at = (np.arange(RESOLUTION) + 0.5) * size + (centre[axis] - size / 2 + 0.5) * RESOLUTION - 0.5
        low_cell = np.clip(at.astype(int), 0, RESOLUTION - 2)
        share = np.clip(at - low_cell, 0, 1).astype(np.float32)[:, None, None]
        rows = np.moveaxis(logits, axis, 0)
        outside = np.maximum(np.maximum(-at, at - (RESOLUTION - 1)), 0).astype(np.float32)[:, None, None]
        rows = rows[low_cell] * (1 - share) + rows[low_cell + 1] * share - config.outside_fall * outside
        logits = np.moveaxis(rows, 0, axis)
    return np.ascontiguousarray(logits)


def settle(mesh: Mesh, view: LayerView) -> Mesh:
    """A mesh, and the view that it was found in, moved so that the box around it has its middle in the cube's and its
    longest side 1, as the models have that networks learned from."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle, size = (low + high) / 2, float((high - low).max())
    view.recentre(middle, size)
    return replace(mesh, vertices=np.clip((mesh.vertices - middle) / size, -0.5, 0.5).astype(mesh.vertices.dtype))


def _cut_front(view: PhotoView, uv: np.ndarray, depth: np.ndarray, deep: np.ndarray, relief: np.ndarray | float,
               config: ReconstructionConfig) -> tuple[np.ndarray, np.ndarray]:
    """How deep cells (P,), seen at uv (P, 2) and a depth (P,), lie inside a solid (P,) and behind the front; and how
    far behind the front, in cells. relief: the share of a round body's thickness that is behind it at least."""
    front, oblique, thick = view.inside(np.stack([view.front, _obliquity_of(view), estimate_thickness(view)]), uv).T
    behind = (depth - front) / (CELL * np.maximum(oblique, 1))
    body = np.maximum((thick * relief - (depth - front)) / CELL, config.minimum_thickness - behind)
    whole = view.inside(1.0 - view.torn[None], uv)[:, 0] > 0.5
    return np.where(whole, np.minimum(behind, np.maximum(deep, body)), deep), behind


def _smooth_hidden(deep: np.ndarray, behind: np.ndarray, seam: np.ndarray, fades: np.ndarray,
                   config: ReconstructionConfig) -> np.ndarray:
    """A field of 128^3 cells, (128, 128, 128), that is smooth, but hardly shrunk, where a photo does not show it: from
    fade_cells behind the front on; what is thick there bends as little as it can, and nothing hangs there. behind: how
    far behind it cells are, OUTSIDE of the outline. seam: how near they are to jumps in depth, 0..1: there no photo
    tells where the surface is. fades: as fill_below wants them."""
    grid = (SURFEL_RESOLUTION,) * 3
    deep, behind, seam = deep.reshape(grid), behind.reshape(grid), seam.reshape(grid)
    share = np.clip((behind - 2) / config.fade_cells, 0, 1)
    thick = double(measure_thickness(deep, config.broad_radius))
    deep = deep + share * thick * _straighten(deep, behind, share, config)
    filled = deep + share * (fill_below(deep, fades) - deep)
    deep = deep + double(measure_thickness(filled, config.broad_radius)) * (filled - deep)  # no curtains behind legs
    for step in config.fair_smoothing:
        deep = deep + step * np.maximum(share, seam) * (blur_binomial(deep) - deep)
    for step in config.seam_smoothing if seam.any() else ():
        deep = deep + step * seam * (blur_binomial(deep) - deep)
    return deep


def _measure_closing(view: LayerView, logits: np.ndarray, uv: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """How much sides close as those of something round do at uv (P, 2), (P,) 0..1: where networks are not sure of the
    solid, by logits (64, 64, 64), and where what is seen is not flat up to its edge."""
    low, high = config.closing_sines
    round_share = np.clip((measure_rounding(view, config) - low) / (high - low), 0, 1)
    low, high = config.closing_logits
    sure = measure_sureness(view, logits, uv, config)
    return (config.closing * round_share * np.clip((high - sure) / (high - low), 0, 1)).astype(np.float32)


def round_sides(deep: np.ndarray, behind: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """A field of 128^3 cells, smoothed where it is thick and no photo shows it, after the outline has cut it:
    whose corners and frays would go on behind it as ridges. behind: as in _smooth_hidden."""
    if not config.side_smoothing:
        return deep
    share = np.clip(behind / config.fade_cells, 0, 1)
    share = np.where(behind == OUTSIDE, local_maximum(share, config.side_reach), share)  # both sides of it alike
    share *= double(local_maximum(measure_thickness(deep, config.broad_radius), 2))
    for _ in range(config.side_smoothing):
        deep = deep + share * (blur_binomial(deep) - deep)
    return deep


def _straighten(deep: np.ndarray, behind: np.ndarray, share: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """What to add to a field of 128^3 cells so that it bends little, more coarsely than BROAD cells tell, where by a
    share, 0..1, no photo shows it. behind: as in _smooth_hidden."""
    coarsen = lambda values: values.reshape((BROAD, SURFEL_RESOLUTION // BROAD) * 3).mean((1, 3, 5))
    # beyond the outline the photo alone decides, and later: what ends there need not bend
    known = np.where(coarsen(behind == OUTSIDE) > 0.5, 0, coarsen(1 - share))
    coarse = coarsen(deep)
    return double(double(fair(coarse, np.maximum(known, config.hidden_weight), config.stiffness) - coarse))


def measure_thickness(deep: np.ndarray, radius: int) -> np.ndarray:
    """(64, 64, 64) float32: how thick what is inside a field (128, 128, 128) is around cells of 64^3, 0 for a sheet, 1
    where it is at least radius of these cells from inside to outside."""
    solid = deep.reshape((RESOLUTION, 2) * 3).mean((1, 3, 5)) > 0
    return local_maximum(measure_inside(solid, radius), radius) / radius


def _follow_symmetry(deep: np.ndarray, outline: np.ndarray, behind: np.ndarray, view: LayerView,
                     config: ReconstructionConfig) -> tuple[np.ndarray, np.ndarray]:
    """A field of 128^3 cells, and how deep these lie inside the outline, nearer to their own mirror images: by an
    artist's hint, or where the photo does not contradict that. behind: as in _smooth_hidden."""
    if config.symmetry == "on":
        return _mirror_seen(deep, behind, config), np.minimum(outline, outline[::-1])
    if config.symmetry == "auto" and measure_photo_asymmetry(view) < config.mirror_error:
        # what is seen stays, whatever its twin looks like
        twin = outline[::-1] + np.maximum(config.mirror_fade - behind, 0)
        return _mirror_seen(deep, behind, config), np.minimum(outline, twin)
    return deep, outline


def _mirror_seen(deep: np.ndarray, behind: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """A field of 128^3 cells nearer to its own mirror image in the plane x = 0: of a cell and its twin, the one that
    lies less far behind the front counts more. behind: how far behind it cells are."""
    near = 1 / (1 + np.maximum(behind, 0) / config.mirror_fade) ** 2
    twin = near[::-1]
    own = config.mirror_own * near
    return (deep * own + deep[::-1] * twin) / (own + twin)


def _cut_floor(deep: np.ndarray, behind: np.ndarray, camera: Camera, config: ReconstructionConfig) -> np.ndarray:
    """A field of 128^3 cells without what would lie below all that the photo shows, if it looks down: things stand on
    what is level. behind: how far behind the front cells are."""
    if not config.floor_elevations[0] < measure_elevation(camera) < config.floor_elevations[1]:
        return deep
    shown = np.flatnonzero(((np.abs(behind) < 1) & (deep > -1)).any((0, 1)))
    return np.minimum(deep, np.arange(len(deep), dtype=np.float32) - shown[0] + 1) if len(shown) else deep


def drop_debris(deep: np.ndarray, share: float) -> np.ndarray:
    """A field without the pieces of solid that have less than a share of the largest one's cells of 64^3."""
    half = len(deep) // 2
    solid = (deep > 0).reshape(half, 2, half, 2, half, 2).any((1, 3, 5))
    kept = drop_specks(solid, share)
    return np.where((kept | ~solid).repeat(2, 0).repeat(2, 1).repeat(2, 2), deep, -1).astype(np.float32)


def predict_solid(model: NearMini, views: list[PhotoView]) -> np.ndarray:
    """Logits (64, 64, 64) of what is inside, by the photos of an object and their mirror images: the mean of both errs
    less. Photos are judged together, at most TOGETHER at once; the mean of several such groups counts."""
    groups = -(-len(views) // TOGETHER)
    return np.mean([_predict_together(model, views[first::groups]) for first in range(groups)], 0)


def _predict_together(model: NearMini, views: list[PhotoView]) -> np.ndarray:
    """predict_solid, of few photos."""
    found = []
    for flip in (1, -1):
        each = [_gather_inputs(view, flip) for view in views]
        arrays = {key: np.stack([inputs[key] for inputs in each]) for key in each[0]}
        found.append(model.run("structure", **arrays)[0][0][::flip])
    return (found[0] + found[1]) / 2


def _gather_inputs(view: PhotoView, flip: int) -> dict[str, np.ndarray]:
    """What Structure wants to know of a photo, or, where flip is -1, of the photo in a mirror."""
    surface = np.empty((SURFACE, SIZE, SIZE), np.float32)
    surface[SurfacePlane.FRONT], surface[SurfacePlane.BACK] = view.front, view.back
    surface[SurfacePlane.ALPHA] = view.image[Picture.ALPHA]
    trunk, layers = view.trunks[0 if flip > 0 else 1], view.layers if flip > 0 else mirror_layers(view.layers)
    place = gather_grid_inputs(view.camera, compute_cell_centres(RESOLUTION))
    # in a mirror that stands at x = 0, what was a voxel is its mirror image
    return {"image": view.image[..., ::flip], "surface": surface[..., ::flip], "layers": layers, "trunk": trunk,
            "uv": place["uv"][::flip] * np.float32([flip, 1]), "depth": place["depth"][::flip],
            "towards": place["towards"] * np.float32([flip, 1, 1])}


def _obliquity_of(view: LayerView) -> np.ndarray:
    """How much longer a way behind the front is along the view than across the surface, (SIZE, SIZE), at most 4."""
    slopes = np.gradient(np.where(view.mask, view.front, np.nan), reach(view.camera) / SIZE)
    return np.minimum(np.nan_to_num(np.sqrt(1 + slopes[0] ** 2 + slopes[1] ** 2), nan=1.0), 4)


def align_front(view: LayerView, logits: np.ndarray, radius: int = ReconstructionConfig.front_blur_radius,
                calm: float = 1e-3, lag: float = np.inf) -> np.ndarray:
    """The front of a view (SIZE, SIZE) where the solid has it, by logits (64, 64, 64), with the photo's detail: the
    solid knows better how far away a part is, the photo how it is shaped. Only the difference is taken over, smoothed
    over radius pixels, twice; the usual difference counts as much as a share `calm` of a pixel, so that no single one
    decides where the solid has nothing. Where the solid begins farther behind than usual, by lag asset units or more,
    it counts little: it lacks what the photo shows, and something else is there."""
    known, away = measure_away(view, logits)
    if not known.any():
        return view.front
    usual = np.median(away[known])
    trust = known / (1 + (np.maximum(away - usual, 0) / lag) ** 2) ** 2
    total, weight = away * trust + usual * calm, trust + calm
    for _ in range(2):
        total, weight = blur_box(total, radius), blur_box(weight, radius)
    return (view.front + total / weight).astype(np.float32)


def measure_away(view: LayerView, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Behind which pixels the solid is at all, (SIZE, SIZE) bool, and how far behind the front of a view it begins
    there, (SIZE, SIZE), asset units, else 0; by logits (64, 64, 64)."""
    solid = np.argwhere(logits > 0)
    uv, depth = project(((solid + 0.5) / RESOLUTION - 0.5).astype(np.float32), view.camera)
    at = ((uv + 1) / 2 * SIZE).astype(int)
    inside = ((at >= 0) & (at < SIZE)).all(1)
    at, depth = at[inside], depth[inside] - 0.5 / RESOLUTION
    nearest = np.full((SIZE + 2, SIZE + 2), np.inf, np.float32)
    for y, x in np.ndindex(3, 3):  # a voxel covers more than a pixel
        np.minimum.at(nearest, (at[:, 1] + y, at[:, 0] + x), depth)
    known = view.mask & np.isfinite(nearest[1:-1, 1:-1])
    return known, np.where(known, nearest[1:-1, 1:-1] - view.front, 0)


def extract_surface(deep: np.ndarray, view: PhotoView, config: ReconstructionConfig = ReconstructionConfig()) -> Mesh:
    """The mesh around what is inside a field, smoothed without shrinking (Taubin 1995); smoothed most where the photo
    does not show it, and so nothing is known of its detail."""
    vertices, quads = surface_nets.extract(deep)
    around = lambda values: average_around(values[quads].mean(1), quads, len(vertices))
    for share in config.smoothing:
        vertices = vertices + share * (around(vertices) - vertices)
    points = vertices.astype(np.float32)
    facing = (compute_vertex_normals(vertices, quads) * view.camera.directions_to(points)).sum(1) > 0.1
    shown, uv = view.shows(points)
    hidden = np.maximum(1 - (shown & facing).astype(np.float32), view.near_jumps(uv))[:, None]
    for _ in range(config.fade_cells):
        hidden = np.minimum(hidden, around(hidden))
    if config.thickness not in TURNED:  # these have no lips
        hidden = np.maximum(hidden, config.rim_smoothing * near_rim(view, uv)[:, None])
    for share in config.hidden_smoothing:
        vertices = vertices + share * hidden * (around(vertices) - vertices)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Mesh(vertices, faces, corner_normal=compute_vertex_normals(vertices, quads)[faces])
