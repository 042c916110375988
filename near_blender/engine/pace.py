"""How small and coarse a viewport's pictures are while something moves, so that they come at the rate asked for."""

from __future__ import annotations

import math

COARSEST = 16.0  # times as wide as usual that cells of the surfels may be
LEAST_SCALE = 0.2
STEP = 0.15  # of effort that is tried back once pictures come twice as fast as they must
OVERHEAD = 0.01  # seconds beside the worker's until a picture is on the screen
ENOUGH = 0.25  # of the share of pixels that smaller pictures leave out, that they must save of the seconds
SAME = 1.25  # times as long: two pictures that may be of the same


class Pace:
    """What one viewport saves while something moves. Coarser surfels come first: they cost a fifth as much and show
    little; then smaller pictures.

    saving: 0 for none, up to 1 all that coarser surfels save, up to 2 all that smaller pictures do as well. Where these
    are as slow, as of an asset that bends, pictures stay large.
    """

    def __init__(self) -> None:
        self.saving = 0.0
        self._last = 0.0  # seconds of the picture before
        self._large = 0.0  # seconds of pictures at their full scale and coarsest; 0 where none was seen
        self._share = 1.0  # of their full scale, that pictures are made at now
        self._is_vain = False  # whether smaller ones took as long

    def plan(self, most: float) -> tuple[float, float]:
        """Scale, never quite 1, and coarseness of the next picture. most: the largest scale."""
        most = min(most, 0.99)
        share = self._share = (min(LEAST_SCALE, most) / most) ** max(self.saving - 1, 0.0)
        # cells are counted in pixels of the picture: on the screen they stay as wide
        return most * share, max(COARSEST ** min(self.saving, 1.0) * share, 1.0)

    def learn(self, seconds: float, rate: float) -> None:
        """Takes note of what a picture took, waiting left out, where `rate` pictures a second are wanted. One that is
        late alone is the first of something new and says nothing of the next."""
        quick, self._last = min(seconds, self._last or seconds), seconds
        share = quick * rate / (1 - OVERHEAD * min(rate, 50))
        if self.saving == 1:
            self._is_vain &= 1 / SAME < quick / (self._large or quick) < SAME
            self._large = self._large if self._is_vain else quick
        elif self.saving > 1 and quick > (1 - ENOUGH * (1 - self._share ** 2)) * self._large:
            self.saving, self._is_vain = 1.0, True
            return
        if share > 1:
            most = 1.0 if self.saving < 1 or self._is_vain else 2.0  # so that large ones are seen first
            self.saving = min(self.saving + min(0.5 * math.log2(share) + 0.02, 0.5), most)
        elif share < 0.5:
            self.saving = max(self.saving - STEP, 0.0)
