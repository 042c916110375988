"""From how high photos were taken that go around a thing, by how well their outlines agree.

On the ray through every point of an outline there must be a place that all other photos show inside theirs (Hernandez,
Schmitt and Cipolla 2007, "Silhouette Coherence for Camera Calibration under Circular Motion"). At a wrong height there
is none, whichever way cameras are moved. What looks alike from all sides has one at any height: there counts what the
networks say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..progress import Progress, silent
from ..scene import Camera
from .hull import measure_outline
from .photo import Photo
from .view import look_up, move_camera, project


@dataclass(frozen=True)
class CoherenceConfig:
    """How a common elevation is found."""

    fewest: int = 3  # photos that tell it
    most: int = 4  # photos that are asked, all around
    reach: int = 4  # steps above and below what the networks say, within which it is looked for
    step: float = 5.0  # degrees
    halvings: int = 2  # of the step, around the best
    heights: tuple[float, float] = (-30.0, 70.0)  # degrees
    error: float = 6.0  # degrees by which networks err
    lack: float = 0.01  # pixels of the crop, in the mean, by which outlines lack what is right
    trust: float = 8.0  # how much the logarithm of the lack counts
    rays: int = 120  # of a photo
    places: int = 48  # on a ray, among which the best is looked for
    fine: int = 16  # around that
    around: float = 0.9  # asset units before and behind the middle of the frame, where places are
    band: int = 80  # pixels; farther outside of an outline is not told apart
    most_lack: float = 12.0  # pixels that count
    stiffness: tuple[float, float, float] = (12.0, 10.0, 10.0)  # pixels that a change of the logarithm of a distance,
    #                                                   or a shift by it, of 1 is worth
    rounds: int = 8  # in which cameras move
    tries: int = 3  # of a round, with ever shorter ways
    slope_step: float = 0.002  # of distances and shifts, by which slopes are measured
    settled: float = 0.001  # share of the squares by which they become less at least
    contradiction: float = 2.0  # pixels of lack from which photos are told not to fit


Place = Callable[[float], list[Camera]]  # all photos' cameras, of the crops, were they taken from so many degrees


def find_elevation(photos: Sequence[Photo], place: Place, likely: float, progress: Progress = silent,
                   config: CoherenceConfig = CoherenceConfig()) -> float:
    """From how many degrees above the horizon photos were taken, all from the same. likely: what the networks say."""
    search = _Search(photos, place, likely, config)
    heights = np.clip(likely + config.step * np.arange(-config.reach, config.reach + 1), *config.heights).tolist()
    for upwards in (True, False):  # from one to the next, for from far away cameras do not find to where they agree
        change = np.zeros((len(photos), 3))
        for number, height in enumerate(heights if upwards else heights[::-1]):
            progress("Cameras", (number / len(heights) + (not upwards)) / 2)
            change = search.try_height(height, change)
    for halving in range(1, config.halvings + 1):
        best = search.find_best()
        for sign in (-1, 1):
            search.try_height(best + sign * config.step / 2**halving, search.found[best][1])
    return search.find_best()


def measure_lack(photos: Sequence[Photo], cameras: Sequence[Camera],
                 config: CoherenceConfig = CoherenceConfig()) -> float:
    """How far outlines are from being filled, pixels of the crop in the mean, however cameras are moved away and
    sideways. cameras: of the crops, a guess."""
    return _Rays(photos, config).settle(cameras, np.zeros((len(photos), 3)))[0]


class _Search:
    """Heights that were tried. found: for each, the lack of the outlines, and how cameras were moved, (V, 3)."""

    def __init__(self, photos: Sequence[Photo], place: Place, likely: float, config: CoherenceConfig):
        self.config = config
        self.found: dict[float, tuple[float, np.ndarray]] = {}
        self._rays, self._place, self._likely = _Rays(photos, config), place, likely

    def try_height(self, height: float, change: np.ndarray) -> np.ndarray:
        """Moves cameras that look from a height, from change (V, 3) on, and returns the best change for it."""
        made = self._rays.settle(self._place(height), change)
        if height not in self.found or made[0] < self.found[height][0]:
            self.found[height] = made
        return self.found[height][1]

    def find_best(self) -> float:
        return min(self.found, key=self._judge)

    def _judge(self, height: float) -> float:
        doubt = self.config.trust * np.log1p(self.found[height][0] / self.config.lack)
        return float(doubt + ((height - self._likely) / self.config.error) ** 2)


class _Rays:
    """The rays through points of the outlines of photos, and where on them is looked."""

    def __init__(self, photos: Sequence[Photo], config: CoherenceConfig):
        self.config = config
        self._maps = [measure_outline(photo, config.band) for photo in photos]
        self._pixels = [_choose_rim(distance, config.rays) for distance in self._maps]
        self._depths = np.zeros((len(photos), config.rays, 1))  # asset units, behind the middle of the frame

    def settle(self, cameras: Sequence[Camera], change: np.ndarray) -> tuple[float, np.ndarray]:
        """How far outlines are from being filled, pixels of the crop in the mean, once cameras were moved so that they
        agree, and how they were moved, (V, 3), from change on: by Levenberg and Marquardt's least squares."""
        damping = 1e-2
        for _ in range(self.config.rounds):
            moved = _move(cameras, change)
            inside = self._aim(moved)
            off = self._differ(inside, change)
            slope = np.stack([(self._try(cameras, change + step, inside, number) - off) / self.config.slope_step
                              for number, step in self._list_steps(len(cameras))], 1)
            square = slope.T @ slope
            for _ in range(self.config.tries):
                step = np.linalg.solve(square + damping * np.diag(np.diag(square)), slope.T @ off)
                tried = change - step.reshape(-1, 3)
                better = self._differ(self._look(_move(cameras, tried)), tried)
                if better @ better < off @ off:
                    break
                damping *= 10
            else:
                break
            change, damping = tried, 0.3 * damping
            if better @ better > (1 - self.config.settled) * (off @ off):
                break
        return float(self._lack(self._aim(_move(cameras, change))).mean()), change

    def _list_steps(self, count: int) -> list[tuple[int, np.ndarray]]:
        """Every way in which slopes are measured: which camera moves, and the changes (V, 3) of all."""
        steps = self.config.slope_step * np.eye(3 * count).reshape(-1, count, 3)
        return [(number // 3, step) for number, step in enumerate(steps)]

    def _try(self, cameras: Sequence[Camera], change: np.ndarray, inside: np.ndarray, number: int) -> np.ndarray:
        """What differs after one camera moved as well. inside: as it was before."""
        moved, inside = _move(cameras, change), inside.copy()
        self._look_from(inside, moved, number)
        for other in range(len(moved)):
            if other != number:
                inside[other, number] = self._see(self._spread(moved[other], other), moved[number], number)
        return self._differ(inside, change)

    def _differ(self, inside: np.ndarray, change: np.ndarray) -> np.ndarray:
        return np.concatenate([self._lack(inside).ravel(), (change * self.config.stiffness).ravel()])

    def _lack(self, inside: np.ndarray) -> np.ndarray:
        """(V, rays): the pixels that the best place on a ray is outside of one of the outlines."""
        return np.clip(-inside.min(1).max(-1), 0, self.config.most_lack)

    def _aim(self, cameras: Sequence[Camera]) -> np.ndarray:
        """Looks closely around the best place on each ray: (V, V, rays, fine) float32, as _look."""
        around, step = np.linspace(-self.config.around, self.config.around, self.config.places, retstep=True)
        self._depths = np.broadcast_to(around, (*self._depths.shape[:2], len(around)))
        best = around[self._look(cameras).min(1).argmax(-1)]
        self._depths = best[..., None] + np.linspace(-1.5 * step, 1.5 * step, self.config.fine)
        return self._look(cameras)

    def _look(self, cameras: Sequence[Camera]) -> np.ndarray:
        """(V, V, rays, places) float32: how far inside every photo's outline places on each photo's rays are; inf in
        its own."""
        count = len(cameras)
        inside = np.full((count, count, *self._depths.shape[1:]), np.inf, np.float32)
        for number in range(count):
            self._look_from(inside, cameras, number)
        return inside

    def _look_from(self, inside: np.ndarray, cameras: Sequence[Camera], number: int) -> None:
        places = self._spread(cameras[number], number)
        for other, camera in enumerate(cameras):
            if other != number:
                inside[number, other] = self._see(places, camera, other)

    def _see(self, places: np.ndarray, camera: Camera, number: int) -> np.ndarray:
        uv = np.clip(project(places, camera)[0], -0.99, 0.99)
        return look_up(self._maps[number][None], uv).reshape(self._depths.shape[1:])

    def _spread(self, camera: Camera, number: int) -> np.ndarray:
        """(P, 3) float32: the places on a photo's rays."""
        pixel = self._pixels[number] * (camera.width / len(self._maps[number]))
        ray = np.c_[(pixel - camera.intrinsics[:2, 2]) / np.diag(camera.intrinsics)[:2], np.ones(len(pixel))]
        turn, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
        depth = shift[2] + self._depths[number]
        return ((ray[:, None] * depth[..., None] - shift) @ turn).astype(np.float32).reshape(-1, 3)


def _move(cameras: Sequence[Camera], change: np.ndarray) -> list[Camera]:
    """Cameras moved away and sideways by change (V, 3), as view.move_camera wants it."""
    return [move_camera(camera, np.concatenate([[0, 0], each])) for camera, each in zip(cameras, change)]


def _choose_rim(distance: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) some of the pixels just inside an outline, all around: their middles."""
    y, x = np.nonzero((distance > 0) & (distance <= 1))
    around = np.argsort(np.arctan2(y - y.mean(), x - x.mean()), kind="stable")
    chosen = around[np.arange(count) * len(x) // count]
    return np.stack([x, y], 1)[chosen] + 0.5
