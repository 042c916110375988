"""What a finished picture says of how it was made, in its file: EXR attributes, PNG text."""

from __future__ import annotations

import time
from typing import Any

import bpy

from ..scene import sync

MOST = 1000  # characters of a field


class Stamp:
    """Takes note of a picture's phases while it is made, and writes them into it."""

    def __init__(self) -> None:
        self.model = ""
        self._phases: dict[str, float] = {}
        self._last = time.perf_counter()

    def end(self, phase: str) -> None:
        """A phase is over; several of one name add up."""
        now = time.perf_counter()
        self._phases[phase] = self._phases.get(phase, 0.0) + now - self._last
        self._last = now

    def describe(self, assets: sync.VisibleAssets, quality: str) -> dict[str, str]:
        """Fields by name."""
        names = list(dict.fromkeys(owner.name for owner in assets.owners))
        fields = {"Assets": ", ".join(names), "Model": self.model, "Quality": quality,
                  "Time": ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in self._phases.items())}
        return {f"NeAR/{name}": value[:MOST] for name, value in fields.items() if value}

    def write(self, engine: bpy.types.RenderEngine, assets: sync.VisibleAssets, quality: str) -> None:
        """Puts it into the finished picture of an engine."""
        result: Any = engine.get_result()
        for name, value in self.describe(assets, quality).items():
            result.stamp_data_add_field(name, value)
