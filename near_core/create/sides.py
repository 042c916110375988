"""From which sides of an object photos were taken likely that nobody told, by the agreement of outlines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, permutations

import numpy as np

from ..cache import RecentResults, count_bytes
from ..progress import Progress, silent
from ..scene import Camera
from .alignment import Agreement, Look
from .config import AlignmentConfig
from .photo import Photo

Way = dict[int, float]  # the azimuths, degrees, of photos by their numbers
Place = Callable[[int, float], Camera]  # the number of a photo and an azimuth -> the camera of its crop

KEPT = 256 << 20  # bytes of what photos see from one side each


def list_free_sides(known: Sequence[float], count: int) -> list[float]:
    """Azimuths around an object, -180 to 180, evenly from the first known one on, but for those that are nearest to a
    known one. count: of all of them."""
    first = known[0] if known else 0.0
    sides = [_wrap(first + 360 * n / count) for n in range(count)]
    taken = {max(sides, key=lambda side: np.cos(np.radians(side - azimuth))) for azimuth in known}
    return [side for side in sides if side not in taken]


class SideSearch:
    """The sides from which photos were taken likely, so that all outlines agree best.

    The outline from behind is the same in a mirror, and what is round has one from everywhere: where several ways agree
    about as well, photos go around counterclockwise as they are listed, and a single one is opposite. What each photo
    sees from a side is looked at once.
    """

    def __init__(self, photos: Sequence[Photo], cameras: Sequence[Camera], unknown: Sequence[int], place: Place,
                 progress: Progress = silent, config: AlignmentConfig = AlignmentConfig()):
        """cameras: of the crops; those of the unknown photos do not count. place: what their cameras would be."""
        self._unknown, self._place, self._progress, self._config = list(unknown), place, progress, config
        self._cameras, self._count = cameras, len(photos)
        self._agreement = Agreement(photos, cameras, config, [n for n in range(len(photos)) if n not in self._unknown])
        self._looks: RecentResults[Look] = RecentResults(KEPT, count_bytes)

    def find(self, *rings: Sequence[float]) -> Way:
        """rings: each azimuths, degrees, from which photos are taken likely, as many as there are unknown ones or more.
        Then each photo is tried all around."""
        way, lack = self._find_together(rings)
        rounds = self._config.side_rounds
        for number_of_round in range(rounds):
            before = way
            for place, number in enumerate(self._unknown):
                self._progress("Cameras", 0.4 + 0.6 * (number_of_round + place / len(self._unknown)) / rounds)
                way, lack = self._turn(way, lack, number)
            if way == before:
                break
        return way

    def _find_together(self, rings: Sequence[Sequence[float]]) -> tuple[Way, float]:
        """The way that agrees best of all of giving photos the sides of a ring, and its lack; where there are too many,
        one that no swap of two betters much."""
        count, config = len(self._unknown), self._config
        ways = [tuple(sides[int((n + 0.5) * len(sides) / count)] for n in range(count)) for sides in rings]
        is_few = sum(math.perm(len(sides), count) for sides in rings) <= config.tried_ways
        if is_few:
            ways += [way for sides in rings for way in permutations(sides, count)]
        lacks = []
        for number, each in enumerate(ways):
            self._progress("Cameras", 0.4 * number / len(ways))
            lacks.append(self._measure(dict(zip(self._unknown, each))))
        best = next(number for number, lack in enumerate(lacks) if lack <= min(lacks) + config.out_of_order)
        way, lack = dict(zip(self._unknown, ways[best])), lacks[best]
        for first, second in () if is_few else combinations(self._unknown, 2):
            self._progress("Cameras", 0.4 * self._unknown.index(first) / count)
            swapped = way | {first: way[second], second: way[first]}
            less = self._measure(swapped)
            if less < lack - config.out_of_order:
                way, lack = swapped, less
        return way, lack

    def _turn(self, way: Way, lack: float, number: int) -> tuple[Way, float]:
        """A way that agrees plainly better and its lack, where there is one that differs in a photo's azimuth alone."""
        ways = [way | {number: float(turn)} for turn in np.arange(-180, 180, self._config.side_step)]
        lacks = [self._measure(each) for each in ways]
        best = int(np.argmin(lacks))
        return (ways[best], lacks[best]) if lacks[best] < lack - self._config.out_of_order else (way, lack)

    def _measure(self, way: Way) -> float:
        return self._agreement.weigh([self._look(number, way.get(number)) for number in range(self._count)])

    def _look(self, number: int, turn: float | None) -> Look:
        """What a photo sees, from an azimuth where its camera is not known."""
        return self._looks.get_or((number, turn), lambda: self._agreement.look(
            number, self._cameras[number] if turn is None else self._place(number, turn)))


def _wrap(azimuth: float) -> float:
    """The same azimuth from -180 up to 180 degrees."""
    return (azimuth + 180) % 360 - 180
