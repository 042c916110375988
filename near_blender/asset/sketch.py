"""What an artist draws on a photo to say where the object is: a box and strokes of a brush, and how it looks."""

from __future__ import annotations

import numpy as np

from .._core import hints

GREEN, RED, BLUE = np.array([[0.1, 0.9, 0.2], [1.0, 0.15, 0.1], [0.15, 0.3, 0.9]], np.float32)
DIM = 0.35  # of the photo's brightness where it is not object
SPACING = 0.5  # radii of the brush between two dabs of a stroke


class Sketch:
    """Marks on a photo, the last one undone first. Places are shares of the photo's width and height from its top left.

    radius: of the brush, in shares of the width. picture: (H, W, 3) uint8 sRGB, matte: (H, W) uint8, once they are
    known.
    """

    def __init__(self, given: hints.Hints | None = None) -> None:
        self.radius = 0.015
        self.picture: np.ndarray | None = None
        self.matte: np.ndarray | None = None
        self._marks: list[tuple[str, list]] = []
        given = given or hints.Hints()
        if given.box is not None:
            self._marks.append(("box", [given.box[:2], given.box[2:]]))
        self._marks += [(side, [tuple(dab) for dab in getattr(given, side)]) for side in ("inside", "outside")
                        if len(getattr(given, side))]
        self._marks += [("number", [given.number])] * bool(given.number)

    @property
    def hints(self) -> hints.Hints:
        """What the marks say. A box without an extent says nothing."""
        dabs = {side: np.array([dab for kind, places in self._marks if kind == side for dab in places],
                               np.float32).reshape(-1, 3) for side in ("inside", "outside")}
        boxes = [places for kind, places in self._marks if kind == "box"]
        numbers = [places[0] for kind, places in self._marks if kind == "number"]
        box = None
        if boxes:
            low, high = (np.clip(edge(boxes[-1], 0), 0, 1) for edge in (np.min, np.max))
            box = (*low.tolist(), *high.tolist()) if (high - low > 0.005).all() else None
        return hints.Hints(box, number=numbers[-1] if numbers else 0, **dabs)

    def begin(self, kind: str, x: float, y: float) -> None:
        """A new mark: "box", or a stroke "inside" or "outside" of the object."""
        self._marks.append((kind, [(x, y), (x, y)] if kind == "box" else [(x, y, self.radius)]))

    def extend(self, x: float, y: float) -> None:
        """Draws the last mark on to a place."""
        kind, places = self._marks[-1]
        if kind == "box":
            places[1] = (x, y)
        else:  # a quick mouse is told of now and then: the stroke goes on without gaps
            left, top, _ = places[-1]
            steps = int(np.hypot(x - left, y - top) / (SPACING * self.radius))
            places += [(left + (x - left) * k / steps, top + (y - top) * k / steps, self.radius)
                       for k in range(1, steps + 1)]

    def choose(self, number: int) -> None:
        """Takes one of the objects that are offered, from 1; 0: what stands out."""
        self._marks.append(("number", [number]))

    def undo(self) -> None:
        """Takes the last mark back, if there is one."""
        if self._marks:
            self._marks.pop()

    def draw(self) -> np.ndarray | None:
        """The photo with what is object as it is, the rest dim and blue, and the marks: (H, W, 4) float32 sRGB, row 0
        at the bottom as Blender's images have it; None while the photo is not there yet."""
        if self.picture is None:
            return None
        seen = self.picture.astype(np.float32) / 255
        alpha = np.ones(seen.shape[:2], np.float32) if self.matte is None else self.matte.astype(np.float32) / 255
        shown = seen * alpha[..., None] + (seen * DIM + BLUE * (0.6 * DIM)) * (1 - alpha[..., None])
        for kind, places in self._marks:
            if kind in ("inside", "outside"):
                for dab in places:
                    _dot(shown, dab, GREEN if kind == "inside" else RED)
        if self.hints.box is not None:
            _frame(shown, self.hints.box)
        return np.pad(shown, ((0, 0), (0, 0), (0, 1)), constant_values=1)[::-1]


def _dot(picture: np.ndarray, dab: tuple[float, float, float], color: np.ndarray) -> None:
    """Half covers a disc of a picture (H, W, 3) with a colour."""
    height, width = picture.shape[:2]
    x, y, radius = dab[0] * width, dab[1] * height, max(dab[2] * width, 1.5)
    rows = slice(max(int(y - radius), 0), max(int(y + radius) + 1, 0))
    columns = slice(max(int(x - radius), 0), max(int(x + radius) + 1, 0))
    part = picture[rows, columns]
    down, across = np.mgrid[rows.start:rows.start + part.shape[0], columns.start:columns.start + part.shape[1]] + 0.5
    inside = (down - y) ** 2 + (across - x) ** 2 < radius**2
    part[inside] = 0.5 * part[inside] + 0.5 * color


def _frame(picture: np.ndarray, box: tuple[float, float, float, float]) -> None:
    """Draws a box, two pixels wide, into a picture (H, W, 3)."""
    height, width = picture.shape[:2]
    x0, x1 = (int(np.clip(x * width, 0, width - 2)) for x in (box[0], box[2]))
    y0, y1 = (int(np.clip(y * height, 0, height - 2)) for y in (box[1], box[3]))
    for rows, columns in ((slice(y0, y0 + 2), slice(x0, x1)), (slice(y1, y1 + 2), slice(x0, x1)),
                          (slice(y0, y1), slice(x0, x0 + 2)), (slice(y0, y1), slice(x1, x1 + 2))):
        picture[rows, columns] = 1
