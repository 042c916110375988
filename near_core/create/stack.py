"""A cup on its saucer, a bowl on a plate: what was turned and stands on something wider that was, seen from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..asset import CELL
from ..asset.surfels import SURFEL_RESOLUTION
from ..models.mini.layout import SIZE
from ..scene import Camera
from .config import StackConfig
from .view import LayerView, compute_cell_centres, lift_pixels, measure_elevation, project, reach, recentre


@dataclass(frozen=True)
class Ellipse:
    """A level circle, as a picture shows it. x, y: its middle, pixels. wide, high: half of what it is, pixels."""

    x: float
    y: float
    wide: float
    high: float


@dataclass(frozen=True)
class Stack:
    """Two level circles that an outline consists of: the rim of what stands on top, and that of what it stands on.
    tops: what the former may be, the best first, since a short arc hardly tells how flat its ellipse is."""

    tops: tuple[Ellipse, ...]
    base: Ellipse

    @property
    def elevation(self) -> float:
        """Degrees above the horizon from which both circles look so, in the mean."""
        return float(np.mean([_measure_angle(self.base), np.mean([_measure_angle(top) for top in self.tops])]))


def _measure_angle(ellipse: Ellipse) -> float:
    """Degrees above the horizon from which a level circle looks so."""
    return float(np.degrees(np.arcsin(np.clip(ellipse.high / ellipse.wide, 0, 1))))


def find_stack(mask: np.ndarray, config: StackConfig = StackConfig()) -> Stack | None:
    """The two circles that an outline, a mask (S, S) bool, consists of: a wide one, of which more than the nearer half
    is seen, and the farther edge of a narrower one above it. None, where it plainly consists of something else."""
    rows = np.flatnonzero(mask.any(1))
    if len(rows) < config.least_rows:
        return None
    left = mask[rows].argmax(1)
    right = mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    middle, half = (left + right) / 2, (right - left + 1) / 2
    widest = int(half.argmax())
    notch = max(_measure_notch(rows[:widest + 1], edge[:widest + 1]) for edge in (left, -right))
    for first in range(round(config.least_top * len(rows)), widest):
        base = _fit_base(rows[first:], middle[first:], half[first:])
        if base is None or base[1] > config.base_tolerance * base[0].wide:
            continue
        wide, above = base[0].wide, base[0].y - base[0].high - rows[0]
        if above < config.least_above * wide or base[0].high > wide or notch < config.least_notch * wide:
            return None
        tops = _fit_tops(rows[:first], middle[:first], half[:first], base[0], config)
        return Stack(tuple(tops), base[0]) if tops else None
    return None


def _measure_notch(rows: np.ndarray, edge: np.ndarray) -> float:
    """How far the left edge of an outline (R,) lies inside of its convex hull, pixels at most."""
    hull: list[tuple[float, float]] = []
    for y, x in zip(rows.tolist(), edge.tolist()):
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (y - hull[-2][0]) >= (
                x - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((y, x))
    return float((edge - np.interp(rows, *np.array(hull).T)).max())


def _fit_base(rows: np.ndarray, middle: np.ndarray, half: np.ndarray) -> tuple[Ellipse, float] | None:
    """The upright ellipse that is so wide in some rows, and how far these are from it, pixels in the mean."""
    y = rows + 0.5
    powers = np.stack([(y - y.mean()) ** 2, y - y.mean(), np.ones_like(y)], 1)
    weight = 1 / np.maximum(half, 4)  # of squares, so that half itself errs alike everywhere
    bend, slope, level = np.linalg.lstsq(powers * weight[:, None], half**2 * weight, rcond=None)[0]
    if bend >= 0:
        return None
    at = -slope / (2 * bend)
    wide = np.sqrt(max(level + slope * at / 2, 0))
    found = Ellipse(float(np.median(middle)) + 0.5, float(at + y.mean()), float(wide), float(wide / np.sqrt(-bend)))
    if not y[0] < found.y < y[-1]:
        return None
    return found, float(np.abs(_widths(found, y) - half).mean())


def _fit_tops(rows: np.ndarray, middle: np.ndarray, half: np.ndarray, base: Ellipse, config: StackConfig
              ) -> list[Ellipse]:
    """The ellipses, hardly flatter than the base, of which the rows are the farther edge as well as of any, the best
    first: one of each flatness."""
    x, y = float(np.median(middle)) + 0.5, rows + 0.5
    found = []
    for flat in np.linspace(config.flattest, 1, 4) * base.high / base.wide:
        tried = [Ellipse(x, rows[0] + start + share * flat * base.wide, share * base.wide, share * flat * base.wide)
                 for share in np.arange(config.narrowest, config.widest, 0.02) for start in (-0.5, 0.0, 0.5, 1.0)]
        errors = [np.abs(_widths(each, y) - half)[y < each.y].mean() if (y < each.y).sum() > 3 else np.inf
                  for each in tried]
        found.append((min(errors), tried[int(np.argmin(errors))]))
    most = min(config.top_tolerance * base.wide, min(error for error, _ in found) + config.top_doubt)
    return [each for error, each in sorted(found, key=lambda each: each[0])
            if error < most and each.y < base.y and abs(each.x - base.x) < config.aside * base.wide]


def _widths(ellipse: Ellipse, y: np.ndarray) -> np.ndarray:
    """Half the width of an ellipse at heights y."""
    return ellipse.wide * np.sqrt(np.maximum(1 - ((y - ellipse.y) / ellipse.high) ** 2, 0))


def suppose_stack(view: LayerView, config: StackConfig = StackConfig()) -> np.ndarray | None:
    """The field (128, 128, 128) of a cup on its saucer, where the outline of a photo plainly shows one, its inside
    lies below its rim and the camera looks down as that tells; else None. How deep cells lie inside, in cells."""
    stack = find_stack(view.mask, config)
    if stack is None or abs(measure_elevation(view.camera) - stack.elevation) > config.elevation_error:
        return None
    top = max(stack.tops, key=lambda each: measure_hollow(view, each))
    if not measure_hollow(view, top) > config.least_hollow:
        return None
    rim, radius = _lift(view.camera, stack.base)
    height, aside, opening = _measure_top(view.camera, top, rim)
    ground = rim[2] - config.base_height * radius
    x, y, z = compute_cell_centres(SURFEL_RESOLUTION).T
    z = z - ground
    base = _make_base(np.hypot(x - rim[0], y - rim[1]), z, radius, config)
    tall = rim[2] + height - ground
    axis = rim[:2, None] + aside[:, None] * np.clip(z / tall, 0, 1)
    upon = _make_top(np.hypot(x - axis[0], y - axis[1]), z, opening, tall, config)
    deep = np.maximum(base, upon).reshape((SURFEL_RESOLUTION,) * 3)
    return np.clip(deep, -4, 4).astype(np.float32)


def centre_stack(camera: Camera, stack: Stack, config: StackConfig = StackConfig()) -> Camera:
    """The camera of a crop after such a thing was moved to the middle of the asset's cube, as large as fits."""
    rim, radius = _lift(camera, stack.base)
    height = _measure_top(camera, stack.tops[0], rim)[0]
    low, high = rim[2] - config.base_height * radius, rim[2] + height
    return recentre(camera, np.array([rim[0], rim[1], (low + high) / 2]), max(2 * radius, high - low) * config.room)


def measure_hollow(view: LayerView, top: Ellipse) -> float:
    """How far what a view shows inside of a rim lies below that, in cells of 128^3; NaN where it shows neither."""
    y, x = np.indices(view.mask.shape) + 0.5
    away = np.hypot((x - top.x) / top.wide, (y - top.y) / top.high)
    level = lambda chosen: np.median(lift_pixels(view, chosen & view.mask)[:, 2])
    return float(level((away > 0.85) & (away < 1) & (y > top.y)) - level(away < 0.5)) / CELL


def _lift(camera: Camera, ellipse: Ellipse) -> tuple[np.ndarray, float]:
    """Where the middle of a circle in a crop is, (3,), if upright above or below the frame's origin or beside that, and
    its radius, asset units."""
    focal, middle = np.diag(camera.intrinsics)[:2], camera.intrinsics[:2, 2]
    pixel = np.array([ellipse.x, ellipse.y]) / SIZE * (camera.width, camera.height)
    ray = np.append((pixel - middle) / focal, 1) @ camera.world_to_camera[:3, :3]
    away = camera.position[:2]
    depth = -(away @ away) / (ray[:2] @ away)
    return camera.position + depth * ray, float(ellipse.wide / SIZE * camera.width / focal[0] * depth)


def _measure_top(camera: Camera, top: Ellipse, rim: np.ndarray) -> tuple[float, np.ndarray, float]:
    """How far above the rim of the base the circle on top is, how far aside, (2,), and its radius, asset units."""
    heights = np.linspace(0, 1, 256, dtype=np.float32)
    line = (rim + heights[:, None] * (0, 0, 1)).astype(np.float32)
    uv, depth = project(line, camera)
    at = int(np.argmin(np.abs((uv[:, 1] + 1) / 2 * SIZE - top.y)))
    pixel = reach(camera) / SIZE * (1 + depth[at] / camera.world_to_camera[2, 3])
    aside = camera.world_to_camera[0, :2] * (top.x - (uv[at, 0] + 1) / 2 * SIZE) * pixel
    return float(heights[at]), aside, float(top.wide * pixel)


def _make_base(away: np.ndarray, z: np.ndarray, radius: float, config: StackConfig) -> np.ndarray:
    """How deep points lie in a saucer, cells; by how far they are from its axis and above the ground."""
    share = np.clip((away / radius - config.base_foot) / (1 - config.base_foot), 0, 1)
    thick = config.wall * CELL
    upper = thick + share * (config.base_height * radius - thick)
    lower = np.maximum(upper - thick, 0)
    return _meet(config.rounding, *(each / CELL for each in (radius - away, upper - z, z - lower)))


def _make_top(away: np.ndarray, z: np.ndarray, radius: float, height: float, config: StackConfig) -> np.ndarray:
    """The same of a cup that stands on it, open on top."""
    outer = radius * (config.top_foot + (1 - config.top_foot) * np.clip(z / height, 0, 1) ** config.top_curve)
    hollow = np.minimum(outer - config.wall * CELL - away, z - config.floor * height)
    return _meet(config.rounding, *(each / CELL for each in (outer - away, height - z, z, -hollow)))


def _meet(radius: float, *depths: np.ndarray) -> np.ndarray:
    """How deep points lie in what solids have in common, by how deep they lie in each; its edges have a radius, since
    sharp ones would be jagged on a grid."""
    beyond = np.sqrt(np.sum([np.maximum(radius - each, 0) ** 2 for each in depths], 0))
    return np.maximum(np.minimum.reduce(depths), radius) - beyond
