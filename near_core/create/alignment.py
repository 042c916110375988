"""Cameras that nobody knows exactly, found by the agreement of outlines.

Outlines of one thing agree if their visual hull fills every one of them (Hernandez, Schmitt and Cipolla 2007,
"Silhouette Coherence for Camera Calibration under Circular Motion"). What it fails to fill is the lack. Sizes and
distances come from the boxes around the outlines; then each camera is turned, moved and moved away, a little less each
round, while the lack of all photos becomes smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..asset import CELL
from ..asset.surfels import SURFEL_RESOLUTION
from ..models.mini.layout import SIZE
from ..progress import Progress, silent
from ..scene import Camera
from .config import AlignmentConfig
from .extents import fit_block
from .hull import Silhouette, carve_hull, find_bounds
from .photo import Photo
from .view import compute_cell_centres, move_camera, project, reach, recentre

Look = tuple[np.ndarray, np.ndarray]  # how deep points lie in a photo's cone, cells, and behind which pixel


class Agreement:
    """How well outlines agree. photos, cameras: of the crops. sure: numbers of the photos whose cameras stay, where
    the others may be anywhere else; None: all stay about where they are."""

    def __init__(self, photos: Sequence[Photo], cameras: Sequence[Camera], config: AlignmentConfig = AlignmentConfig(),
                 sure: Sequence[int] | None = None):
        self.config = config
        self._points = np.float32(config.side) * _spread_points(config.points**3)
        finest = config.points / config.side * config.coarse
        self._sides = [max(round(finest * reach(camera)), 1) for camera in cameras]  # pixels no finer than points
        self._outlines = [Silhouette(photo, camera, config.band, finer=1) for photo, camera in zip(photos, cameras)]
        self._shown = [_sample(photo.alpha, side) > 0.5 for photo, side in zip(photos, self._sides)]
        self._seen = [self.look(number, camera) for number, camera in enumerate(cameras)]
        near = self._find_near(sure)
        self._points, self._seen = self._points[near], [(deep[near], pixel[near]) for deep, pixel in self._seen]

    def try_camera(self, number: int, camera: Camera) -> float:
        """The lack of all photos, were one's camera another."""
        kept, self._seen[number] = self._seen[number], self.look(number, camera)
        found = float(self.measure_lack().mean())
        self._seen[number] = kept
        return found

    def set_camera(self, number: int, camera: Camera) -> None:
        """Gives a photo another camera."""
        self._seen[number] = self.look(number, camera)

    def measure_lack(self, chosen: Sequence[int] | None = None) -> np.ndarray:
        """(V,) how far from being filled the outlines of the chosen photos are by their hull: cells of 128^3, in the
        mean over a photo's object."""
        chosen = range(len(self._seen)) if chosen is None else chosen
        return self._weigh({number: self._seen[number] for number in chosen})

    def weigh(self, looks: Sequence[Look]) -> float:
        """The mean lack, were this what all photos see of the points."""
        return float(self._weigh(dict(enumerate(looks))).mean())

    def contradicts(self, least: float) -> bool:
        """Whether the outlines of several photos lack so much in the mean at least, cells."""
        return len(self._seen) > 1 and float(self.measure_lack().mean()) >= least

    def find_stranger(self) -> int | None:
        """The number of the one photo of at least three without which the outlines of the others agree, None where all
        agree or no single one is to blame."""
        if len(self._seen) < 3 or not self.contradicts(self.config.contradiction):
            return None
        rest = self.measure_without()
        best = int(np.argmin(rest))
        second = sorted(rest)[1]
        return best if rest[best] < self.config.contradiction and second > 2 * rest[best] else None

    def measure_without(self) -> list[float]:
        """The mean lack of the other photos, were one not there, for each."""
        numbers = range(len(self._seen))
        return [float(self.measure_lack([n for n in numbers if n != left]).mean()) for left in numbers]

    def look(self, number: int, camera: Camera) -> Look:
        """What a photo sees of the points, were it taken by a camera; side^2 for a pixel beside it."""
        outline, side = self._outlines[number], self._sides[number]
        outline.camera = camera
        deep, uv = outline.look(self._points)
        at = ((uv + 1) / 2 * side).astype(np.int32)
        inside = ((at >= 0) & (at < side)).all(1)
        return deep, np.where(inside, at[:, 1] * side + at[:, 0], side**2)

    def _find_near(self, sure: Sequence[int] | None) -> np.ndarray:
        """(P,) bool: the points that count."""
        if sure is None:
            depths = np.sort([deep for deep, _ in self._seen], axis=0)
            return depths[min(1, len(depths) - 1)] > -self.config.near  # in all outlines but one
        near = np.ones(len(self._points), bool)
        for number in sure:
            near &= self._seen[number][0] > -self.config.band
        return near

    def _weigh(self, looks: dict[int, Look]) -> np.ndarray:
        """(V,) the lack of each of the photos with these numbers."""
        deep = np.minimum.reduce([each for each, _ in looks.values()])
        near = np.flatnonzero(deep > -self.config.band)
        return np.array([self._lack_behind(number, pixel[near], deep[near]) for number, (_, pixel) in looks.items()])

    def _lack_behind(self, number: int, pixel: np.ndarray, deep: np.ndarray) -> float:
        shown = self._shown[number]
        deepest = np.full(len(shown) + 1, -self.config.band, np.float32)
        np.maximum.at(deepest, pixel, deep)
        return float(np.maximum(-self.config.slack - deepest[:-1][shown], 0).mean()) if shown.any() else 0.0


def _spread_points(count: int) -> np.ndarray:
    """(P, 3) float32 in a cube of edge 1 around 0, evenly and never in lines: from wherever they are seen, with
    perspective or without, they leave no gaps.

    Roberts 2018, "The Unreasonable Effectiveness of Quasirandom Sequences".
    """
    step = 1.22074408460575947536 ** -np.arange(1, 4)  # the root of x^4 = x + 1
    return (np.arange(count)[:, None] * step % 1 - 0.5).astype(np.float32)


def _sample(alpha: np.ndarray, side: int) -> np.ndarray:
    """(side^2,) an alpha (S, S) in the middle of coarse pixels."""
    centres = ((np.arange(side) + 0.5) / side * len(alpha)).astype(int)
    return alpha[np.ix_(centres, centres)].ravel()


def align_cameras(photos: Sequence[Photo], cameras: Sequence[Camera], free: Sequence[bool],
                  progress: Progress = silent, config: AlignmentConfig = AlignmentConfig()) -> list[Camera]:
    """Cameras under which the photos' outlines agree best, near the given ones.

    cameras: of the crops, a guess. free: which of them may be moved. Where all may, what they see is brought to the
    middle of the asset's cube and its longest side to 1.
    """
    block = fit_block(photos, cameras, free, config)
    cameras = block.cameras
    if all(free):  # what is far longer than wide is fitted by a block that reaches beyond all points
        cameras = [recentre(camera, block.centre, float(block.size.max())) for camera in cameras]
    found, agreement = list(cameras), Agreement(photos, cameras, config)
    change = np.zeros((len(photos), 5))
    wide = np.radians(config.angles).tolist() + [config.distance, config.shift, config.shift]
    lack = float(agreement.measure_lack().mean())
    for number_of_round in range(config.rounds):
        progress("Cameras", number_of_round / config.rounds)
        for number in np.flatnonzero(free):
            for column in range(5):
                for sign in (1, -1):
                    tried = change.copy()
                    tried[number, column] += sign * wide[column] * 0.6**number_of_round
                    moved = move_camera(cameras[number], tried[number])
                    less = agreement.try_camera(number, moved) + config.stiffness * ((tried / wide) ** 2).sum()
                    if less < lack - 1e-5:
                        lack, change, found[number] = less, tried, moved
                        agreement.set_camera(number, moved)
                        break
    if not all(free):
        return found
    block = fit_block(photos, found, [False] * len(found), config)
    found = [recentre(camera, block.centre, config.room * float(block.size.max())) for camera in found]
    low, high = measure_hull(photos, found, config)
    # the block errs where things are round: what the hull has beyond the cube would be cut off
    return [recentre(camera, (low + high) / 2, float((high - low).max())) for camera in found]


def measure_hull(photos: Sequence[Photo], cameras: Sequence[Camera], config: AlignmentConfig
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) of what outlines leave of the asset's cube. It bulges below what stands, when all
    photos look down on it: upright, it reaches as far as fills the outlines. Raises NearError where nothing is left."""
    deep = carve_hull([Silhouette(photo, camera) for photo, camera in zip(photos, cameras)], SURFEL_RESOLUTION)
    points = compute_cell_centres(SURFEL_RESOLUTION)[np.flatnonzero(deep > 0)]
    pixels, shown = [], []
    for photo, camera in zip(photos, cameras):
        at = ((project(points, camera)[0] + 1) / 2 * SIZE).astype(int)
        inside = ((at >= 0) & (at < SIZE)).all(1)
        pixels.append(np.where(inside, at[:, 1] * SIZE + at[:, 0], SIZE**2))
        shown.append(photo.alpha[1::2, 1::2].ravel() > 0.5)
    low, high = points.min(0).astype(np.float64), points.max(0).astype(np.float64)
    least, most = find_bounds(points, pixels, shown, config.unfilled_share)
    low[2], high[2] = max(low[2], least[2]), min(high[2], most[2])
    return low - CELL / 2, high + CELL / 2
