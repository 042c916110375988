"""What was turned on a lathe or a wheel, as cups, bottles and vases are: one photo shows it whole, but for a handle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..asset import CELL
from ..asset.surfels import SURFEL_RESOLUTION
from ..image.filters import distances, grow, label_pieces
from ..models.mini.layout import SIZE
from .config import ReconstructionConfig
from .view import LayerView, compute_cell_centres, look_up, measure_elevation, project

ANGLES = 48  # around the axis, in which the outline is the same
RADII = 80  # cells of 128^3 from the axis outward


def turn_outlines(views: Sequence[LayerView], deep: np.ndarray, config: ReconstructionConfig = ReconstructionConfig()
                  ) -> np.ndarray:
    """A field (128, 128, 128) of a thing that looks the same from all around an upright axis: what the outline leaves
    of it if it is the outline from everywhere, between the lowest and the highest circle; a cup is open on top. Of
    several photos the mean counts, of those that do not look down on it. What the outline has beside it, as a handle,
    stays as the field deep (128, 128, 128) has it."""
    level = [view for view in views if abs(measure_elevation(view.camera)) < config.turned_elevation] or list(views)
    middles = [find_middle(view.mask) for view in level]
    halves = [measure_halves(view.mask, middle) for view, middle in zip(level, middles)]
    seen = [each for each in zip(level, middles, halves) if (each[2] > 0).any()]  # wider than their axis
    if not seen:
        return deep
    axis = _find_axis([view for view, _, _ in seen], [middle for _, middle, _ in seen])
    found = [_turn(view, middle, half, axis, config) for view, middle, half in seen]
    turned = np.mean([each[0] for each in found], 0)
    beside = np.logical_or.reduce([each[1] for each in found])
    return np.maximum(turned, np.where(beside, deep.ravel(), -1)).reshape(deep.shape).astype(np.float32)


def _turn(view: LayerView, middle: float, half: np.ndarray, axis: np.ndarray, config: ReconstructionConfig
          ) -> tuple[np.ndarray, np.ndarray]:
    """The same of one outline, that has half (S,) as much on both sides of its middle, around an axis (2,): (128^3,);
    and which cells lie behind what it has beside it, (128^3,) bool."""
    x, y = axis
    low, high, rows = _find_heights(view, axis, half, config)
    rings, half = _make_rings(x, y), _calm_profile(half, config)
    uv, depth = project(rings.reshape(-1, 3), view.camera)
    even = np.clip(half[:, None] - np.abs(np.arange(SIZE) - middle) + 0.5, 0, 1).astype(np.float32)
    inside = (look_up(even[None], uv)[:, 0] - 0.5) * 2
    height = (np.arange(SURFEL_RESOLUTION, dtype=np.float32) + 0.5) * CELL - 0.5
    body = inside.reshape(rings.shape[:3]).min(2)
    body = np.minimum(body, np.minimum(height - low, high - height) / CELL)
    if config.thickness == "cup":
        body = np.minimum(body, -_hollow_out(body, config))
    cells = compute_cell_centres(SURFEL_RESOLUTION)
    away = np.clip(np.hypot(cells[:, 0] - x, cells[:, 1] - y) / CELL - 0.5, 0, RADII - 1 - 1e-3)
    inner, level = away.astype(int), np.tile(np.arange(SURFEL_RESOLUTION), SURFEL_RESOLUTION**2)
    share = away - inner
    turned = body[inner, level] * (1 - share) + body[inner + 1, level] * share
    handles = _find_handles(view.mask, even > 0, rows, config)
    beside = look_up(handles[None].astype(np.float32), project(cells, view.camera)[0])[:, 0] > 0.5
    return turned, beside


def _make_rings(x: float, y: float) -> np.ndarray:
    """(RADII, 128, ANGLES, 3) float32: points around an upright axis, by radius, height and angle."""
    turn = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False, dtype=np.float32)
    radius = ((np.arange(RADII, dtype=np.float32) + 0.5) * CELL)[:, None, None]
    points = np.empty((RADII, SURFEL_RESOLUTION, ANGLES, 3), np.float32)
    points[..., 0], points[..., 1] = x + radius * np.cos(turn), y + radius * np.sin(turn)
    points[..., 2] = ((np.arange(SURFEL_RESOLUTION) + 0.5) * CELL - 0.5)[:, None]
    return points


def find_middle(mask: np.ndarray) -> float:
    """The column around which a mask (S, S) is likest its mirror image."""
    columns = np.flatnonzero(mask.any(0))
    reach = (columns[-1] - columns[0]) // 4

    def agreement(twice: int) -> float:
        twin = twice - np.arange(SIZE)
        mirrored = mask[:, np.clip(twin, 0, SIZE - 1)] & ((twin >= 0) & (twin < SIZE))
        return (mask & mirrored).sum() / (mask | mirrored).sum()

    return max(range(columns[0] + columns[-1] - reach, columns[0] + columns[-1] + reach + 1), key=agreement) / 2


def measure_halves(mask: np.ndarray, middle: float) -> np.ndarray:
    """How far a mask (S, S) reaches from its middle column in each row, (S,) pixels, -1 where not at all: the mean of
    both sides, or the nearer one where a handle is on the other."""
    half = np.full(len(mask), -1.0)
    for row in np.flatnonzero(mask.any(1)):
        columns = np.flatnonzero(mask[row])
        sides = sorted((middle - columns[0], columns[-1] - middle))
        half[row] = sum(sides) / 2 if sides[0] > 0.8 * sides[1] else sides[0]
    calm = half
    for _ in range(2):  # whole pixels would be rings
        around = np.pad(calm, 1, mode="edge")
        calm = np.where(half > 0, np.maximum((around[:-2] + 2 * calm + around[2:]) / 4, 0), half)
    return calm


def _calm_profile(half: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """A profile (S,), -1 where there is none, without the rings that pixels make of it, the calmer the thinner all of
    it is: a pixel more or less is a bead on a rod; its ends stay."""
    known = np.pad(half > 0, 1)
    least, most = config.turned_calm
    for _ in range(round(np.clip(most * (config.rod_width / 2 / half.max()) ** 2, least, most))):
        around = np.pad(half, 1)
        before, after = (np.where(known[at:len(half) + at], around[at:len(half) + at], half) for at in (0, 2))
        half = np.where(half > 0, (before + 2 * half + after) / 4, half)
    return half


def _find_axis(views: Sequence[LayerView], middles: Sequence[float]) -> np.ndarray:
    """x and y of the upright axis that views see in their middle columns: where those meet; of one view in the depth of
    the frame's origin."""
    places, normals = [], []
    for view, middle in zip(views, middles):
        matrix, camera = view.camera.world_to_camera, view.camera
        pixel = (middle + 0.5) / SIZE * camera.width
        seen = np.array([(pixel - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0] * matrix[2, 3], *matrix[1:3, 3]])
        places.append(((seen - matrix[:3, 3]) @ matrix[:3, :3])[:2])
        along = places[-1] - camera.position[:2]
        normals.append(np.array([-along[1], along[0]]) / max(np.linalg.norm(along), 1e-9))
    # least squares; each place, a little, where the columns do not say it
    rows = np.concatenate([np.array(normals), 0.03 * np.eye(2)])
    lines = np.einsum("vi,vi->v", np.array(normals), np.array(places))
    return np.linalg.lstsq(rows, np.concatenate([lines, 0.03 * np.mean(places, 0)]), rcond=None)[0]


def _find_heights(view: LayerView, axis: np.ndarray, half: np.ndarray, config: ReconstructionConfig
                  ) -> tuple[float, float, slice]:
    """The heights of the lowest and the highest circle around an axis (2,), and the rows between them: where the
    outline, seen obliquely, has their near and their far edge."""
    heights = np.linspace(-0.5, 0.5, 512, dtype=np.float32)
    line = np.stack([np.full_like(heights, axis[0]), np.full_like(heights, axis[1]), heights], 1)
    rows = (project(line, view.camera)[0][:, 1] + 1) / 2 * SIZE
    first, last = _find_circles(half, np.hypot(*view.camera.position[:2]), view.camera.position[2], config)
    low, high = np.interp([-last, -first], -rows, heights)  # rows count downward
    return float(low), float(high), slice(int(first), int(last) + 1)


def _find_circles(half: np.ndarray, away: float, above: float, config: ReconstructionConfig) -> tuple[float, float]:
    """The rows in which an outline that reaches so far, half (S,), has the middles of the highest and the lowest
    circle. away, above: how far from the axis and above the ground the camera is; a circle looks as much lower than
    wide as that tells."""
    flat = max(above, 0) / np.hypot(away, above)
    rows = np.flatnonzero(half > 0)
    first = rows[0] + _find_end(half[rows], flat, config.dome_widths[0])
    last = rows[-1] - _find_end(half[rows[::-1]], flat, config.dome_widths[1])
    # where the outline still widens beyond, as that of a foot does, the circle lies there
    first, last = rows[0] + half[rows[0]:first + 1].argmax(), rows[-1] - half[last:rows[-1] + 1][::-1].argmax()
    return (first, last + 1) if first < last else (rows[0], rows[-1] + 1)


def _find_end(half: np.ndarray, flat: float, share: float) -> int:
    """How many rows within an outline that reaches so far, half (R,) from its end on, the last circle's middle lies,
    if circles look so flat: a dome ends halfway there, about, where it has less than a share of its width."""
    rows = np.arange(len(half))
    disc, dome = (next(iter(np.flatnonzero(rows >= half * slope)), 0) for slope in (flat, flat / 2))
    return int(dome if np.interp(disc / 2, rows, half) < share * half[disc] else disc)


def _find_handles(mask: np.ndarray, body: np.ndarray, rows: slice, config: ReconstructionConfig) -> np.ndarray:
    """What a mask (S, S) shows beside a body (S, S) in some rows and is large enough to be a handle: (S, S) bool."""
    return grow(_list_beside(mask, body, rows, config) > 0, 5) & mask  # into the body


def _list_beside(mask: np.ndarray, body: np.ndarray, rows: slice, config: ReconstructionConfig) -> np.ndarray:
    """The pieces, (S, S) from 1, that a mask (S, S) shows beside a body (S, S) in some rows and that are no crumbs."""
    beside = np.zeros_like(mask)
    beside[rows] = (mask & ~grow(body))[rows]
    pieces = label_pieces(beside)
    sizes = np.bincount(pieces.ravel())
    return np.where((sizes > config.turned_handle * mask.sum())[pieces], pieces, 0)


def is_uneven(view: LayerView, config: ReconstructionConfig = ReconstructionConfig()) -> bool:
    """Whether an outline has more on one side of its middle than on the other that lies along it, as the higher
    shoulder of an apple does: what stands off is a handle."""
    middle = find_middle(view.mask)
    half = measure_halves(view.mask, middle)
    if not (half > 0).any():
        return False
    body = np.abs(np.arange(SIZE) - middle) < half[:, None] + 0.5
    rows = _find_heights(view, _find_axis([view], [middle]), half, config)[2]
    pieces = _list_beside(view.mask, body, rows, config)
    away = distances(~body, beyond=True)
    return any(away[piece].max() ** 2 < config.handle_reach * piece.sum()
               for piece in (pieces == each for each in np.unique(pieces[pieces > 0])))


def _hollow_out(body: np.ndarray, config: ReconstructionConfig) -> np.ndarray:
    """(RADII, 128): positive in the hollow of a body (RADII, 128) with a wall and a bottom of turned_wall: open on top,
    no wider below than above."""
    levels = np.flatnonzero((body > 0).any(0))
    if not len(levels):
        return np.full_like(body, -1)
    outer = (body > 0).sum(0)
    inner = outer - config.turned_wall
    inner[levels[-1]:] = inner[levels[-1] - 1]  # out of the top
    inner = np.minimum.accumulate(inner[::-1])[::-1]
    hollow = np.minimum(inner - np.arange(RADII)[:, None] - 0.5,
                        np.arange(SURFEL_RESOLUTION) - levels[0] - config.turned_wall)
    return np.where(inner >= config.turned_wall, hollow, -1).clip(-1, 1).astype(np.float32)
