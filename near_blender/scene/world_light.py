"""What a World's light is, and light that is still being made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._core import environment

Environment = environment.Environment

SUN = 20  # times the mean of a map


@dataclass(frozen=True)
class WorldLight:
    """What a World does. environment: lights the assets. backdrop: seen behind them, None where it is the same.
    fog: (3,), the share of light that its volume takes away in a metre, as exp(-fog); None where it has none.
    group: its light group. problem: a sentence about what of it could not be read; "" where all could."""

    environment: Environment
    backdrop: Environment | None = None
    fog: np.ndarray | None = None
    group: str = ""
    problem: str = ""

    @property
    def has_sun(self) -> bool:
        """Whether something in it may outshine all else, as a lamp does."""
        return float(self.environment.map.max()) > SUN * float(self.environment.map.mean())


class LightReading:
    """Light on its way, made on a thread of its own; looked at from anywhere. make: gives it, without a look at
    Blender's data."""

    def __init__(self, name: str, make: Callable[[], WorldLight]) -> None:
        self.name, self._make = name, make
        self._light: WorldLight | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="NeAR light", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._light = self._make()
            for sky in (self._light.environment, self._light.backdrop):
                _ = sky and sky.hash  # worked out here, too
        except Exception as error:
            self._error = error

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.done and self._error is None

    @property
    def is_final(self) -> bool:
        """Whether there is no other way where it failed."""
        return True

    def wait(self, seconds: float) -> bool:
        """Waits seconds at the longest; says whether it is done."""
        self._thread.join(seconds)
        return self.done

    def light(self) -> WorldLight:
        """What was made. Raises NearError where that failed."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._light is not None
        return self._light

    def stop(self) -> None:
        """Gives it up, where that can be; else it ends by itself."""
