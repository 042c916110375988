"""What an artist says of where the object of a photo is, and what that makes of a matte."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import NearError
from ..image.filters import blur_box, grow, label_pieces, resize
from .photo_config import MattingConfig

FARTHEST = 1e6  # shares of a photo's width or height: what lies farther away was not drawn by a hand


def _no_dabs() -> np.ndarray:
    return np.zeros((0, 3), np.float32)


@dataclass(frozen=True, eq=False)
class Hints:
    """Where the object is, in shares of the upright photo's width and height, from its top left corner.

    box: x0, y0, x1, y1; nothing outside belongs to the object. inside, outside: (K, 3) float32, dabs of a brush on the
    object and beside it: x, y, and the radius in shares of the width. number: of the objects that are offered, from 1
    (matting.list_objects); 0: what stands out.
    """

    box: tuple[float, float, float, float] | None = None
    inside: np.ndarray = field(default_factory=_no_dabs)
    outside: np.ndarray = field(default_factory=_no_dabs)
    number: int = 0

    def __post_init__(self) -> None:
        """Raises NearError where a box or a dab is none."""
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not (np.abs(self.box).max() < FARTHEST and x0 < x1 and y0 < y1 and x1 > 0 and y1 > 0 and x0 < 1
                    and y0 < 1):
                raise NearError("The box around the object is empty or lies outside of the photo.",
                                "Give its left, top, right and bottom edge, in this order.")
        for dabs in (self.inside, self.outside):
            if dabs.ndim != 2 or dabs.shape[1] != 3 or not (np.abs(dabs) < FARTHEST).all():
                raise NearError("A brush stroke on the photo is damaged.", "Clear the hints and paint again.")

    @property
    def has_dabs(self) -> bool:
        """Whether a brush was used."""
        return bool(len(self.inside) or len(self.outside))

    def crop(self, x: float, y: float, width: float, height: float) -> Hints:
        """The same in a window of the photo, whose corner and size are shares of the photo's."""
        low, size = np.array([x, y, 0]), np.array([width, height, width])
        move = lambda dabs: ((dabs - low) / size).astype(np.float32)
        box = None if self.box is None else tuple((np.array(self.box) - (x, y, x, y)) / (width, height, width, height))
        return Hints(box, move(self.inside), move(self.outside), self.number)


def box_of_pixels(box: tuple[float, ...], width: int, height: int) -> tuple[float, float, float, float]:
    """A box in a photo's pixels as Hints has it."""
    x0, y0, x1, y1 = box
    return x0 / width, y0 / height, x1 / width, y1 / height


def follow_hints(alpha: np.ndarray, picture: np.ndarray, hints: Hints, config: MattingConfig = MattingConfig()
                 ) -> np.ndarray:
    """A matte (H, W) of a picture (H, W, 3), sRGB 0..1, after what an artist said of it: (H, W) float32.

    A dab speaks for all that is of one colour with it and near it (geodesic distance: Bai and Sapiro 2007), against
    what the network is sure of, too; where dabs of both kinds reach, the nearer one counts.
    """
    rows, columns = _find_centres(alpha.shape)
    if hints.has_dabs:
        inside, said = _paint(hints.inside, rows, columns), _weigh_dabs(hints, picture, config)
        logits = np.log(np.clip(alpha, 0.02, 0.98) / np.clip(1 - alpha, 0.02, 0.98)) + said
        made = np.where(said == 0, alpha, 1 / (1 + np.exp(-np.clip(logits, -30, 30))))
        alpha = _drop_rims(made, (alpha > 0.5) & (made <= 0.5), inside, config)
    if hints.box is not None:
        x0, y0, x1, y1 = hints.box
        alpha = alpha * ((rows > y0) & (rows < y1))[:, None] * ((columns > x0) & (columns < x1))
    return alpha.astype(np.float32)


def _find_centres(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Of pixels' rows (H,) and columns (W,), in shares of height and width."""
    return [(np.arange(size) + 0.5) / size for size in shape]


def _weigh_dabs(hints: Hints, picture: np.ndarray, config: MattingConfig) -> np.ndarray:
    """(H, W) float32: how much dabs say that a pixel of a picture (H, W, 3) is object, in logits; less than 0 against
    it. Found on config.hint_side pixels at most: the next stroke waits for it."""
    shape = picture.shape[:2]
    scale = min(1.0, config.hint_side / max(shape))
    high, wide = (max(round(side * scale), 1) for side in shape)
    seen = picture if scale == 1 else resize(picture, (high, wide))
    calm = np.stack([blur_box(plane, 1) for plane in np.moveaxis(seen, -1, 0)], -1)
    said = np.zeros(seen.shape[:2], np.float32)
    for dabs, sign in ((hints.inside, 1), (hints.outside, -1)):
        painted = _paint(dabs, *_find_centres(said.shape))
        said += sign * config.hint_logits * (np.clip(1 - _spread(painted, calm, config), 0, 1) + painted)
    return said if scale == 1 else resize(said[..., None], shape)[..., 0]


def _drop_rims(alpha: np.ndarray, gone: np.ndarray, meant: np.ndarray, config: MattingConfig) -> np.ndarray:
    """A matte (H, W) without the small pieces that a brush left beside what is gone, (H, W) bool, but those that are
    meant, (H, W) bool."""
    pieces = label_pieces(alpha > config.faint_alpha)
    weights = np.bincount(pieces.ravel(), alpha.ravel())
    left = np.setdiff1d(pieces[grow(gone)], pieces[meant])
    left = left[weights[left] < config.speck_share * weights[1:].max(initial=0)]
    return np.where(np.isin(pieces, left) & (pieces > 0), 0, alpha)


def _paint(dabs: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(H, W) bool: what dabs (K, 3) cover, at least a pixel each. rows (H,), columns (W,): shares of height and
    width of the pixels' centres."""
    painted = np.zeros((len(rows), len(columns)), bool)
    aspect = len(rows) / len(columns)
    for x, y, radius in dabs:
        painted |= ((rows[:, None] - y) * aspect) ** 2 + (columns - x) ** 2 < radius**2
        painted[min(max(int(y * len(rows)), 0), len(rows) - 1), min(max(int(x * len(columns)), 0),
                                                                   len(columns) - 1)] = True
    return painted


def _spread(painted: np.ndarray, picture: np.ndarray, config: MattingConfig) -> np.ndarray:
    """(H, W): how far pixels are from what is painted, (H, W) bool, along ways over a picture (H, W, 3) on which
    colours change little: 1 is as far as a dab speaks."""
    away = np.where(painted, 0, 1e6).astype(np.float64)
    if not painted.any():
        return away
    step = 1 / (config.hint_reach * max(painted.shape))
    changes = [np.linalg.norm(np.diff(picture, axis=axis), axis=-1) for axis in (0, 1)]
    noise = 2 * np.median(np.concatenate([change.ravel() for change in changes]))
    costs = [np.maximum(change - noise, 0) / config.hint_contrast + step for change in changes]
    ways = [np.cumsum(np.insert(cost, 0, 0, axis), axis) for axis, cost in enumerate(costs)]
    for _ in range(config.hint_rounds):
        for axis, way in enumerate(ways):
            away = way + np.minimum.accumulate(away - way, axis)  # from above or the left
            back = np.flip(away + way, axis)
            away = np.flip(np.minimum.accumulate(back, axis), axis) - way
    return away
