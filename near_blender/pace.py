"""How small and coarse a viewport's pictures are while something moves, so that they come at the rate asked for."""

from __future__ import annotations

import math

COARSEST = 16.0  # times as wide as usual that cells of the surfels may be
LEAST_SCALE = 0.2
STEP = 0.15  # of effort that is tried back once pictures come twice as fast as they must
OVERHEAD = 0.01  # seconds beside the worker's until a picture is on the screen


class Pace:
    """What one viewport saves while something moves. Coarser surfels come first: they cost a fifth as much and show
    little; then smaller pictures.

    saving: 0 for none, up to 1 all that coarser surfels save, up to 2 all that smaller pictures do as well.
    """

    def __init__(self) -> None:
        self.saving = 0.0
        self._last = 0.0  # seconds of the picture before

    def plan(self, most: float) -> tuple[float, float]:
        """Scale, never quite 1, and coarseness of the next picture. most: the largest scale."""
        most = min(most, 0.99)
        share = (min(LEAST_SCALE, most) / most) ** max(self.saving - 1, 0.0)
        # cells are counted in pixels of the picture: on the screen they stay as wide
        return most * share, max(COARSEST ** min(self.saving, 1.0) * share, 1.0)

    def learn(self, seconds: float, rate: float) -> None:
        """Takes note of what a picture took, where `rate` pictures a second are wanted. One that is late alone is the
        first of something new and says nothing of the next."""
        share = min(seconds, self._last or seconds) * rate / (1 - OVERHEAD * min(rate, 50))
        self._last = seconds
        if share > 1:
            self.saving = min(self.saving + min(0.5 * math.log2(share) + 0.02, 0.5), 2.0)
        elif share < 0.5:
            self.saving = max(self.saving - STEP, 0.0)
