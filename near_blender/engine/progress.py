"""How far a final render is: a bar that goes on over layers and views, and never back."""

from __future__ import annotations

from typing import Any


class Progress:
    """Of one frame after the other. What is done once more, as where Cycles' scene was out of date, has it wait."""

    def __init__(self) -> None:
        self._layer, self._layers = 0, 1
        self._view, self._views = 0, 1
        self._reached = 0.0

    def begin_layer(self, scene: Any, name: str) -> None:
        """The layer of that name is drawn now."""
        names = [layer.name for layer in scene.view_layers if layer.use or layer.name == name]
        shown = [name] if scene.render.use_single_layer else names
        self._layer, self._layers = shown.index(name), len(shown)
        self._view, self._views = 0, 1
        if self._layer == 0:
            self._reached = 0.0

    def begin_view(self, number: int, count: int) -> None:
        """One of the layer's views is drawn now, of an eye where there are two."""
        self._view, self._views = number, count

    def reach(self, fraction: float) -> float:
        """What the bar shows, 0..1, where so much of a view is done, its layer's light counted with the first."""
        drawn = (self._view + fraction) / self._views
        self._reached = max(self._reached, (self._layer + drawn) / self._layers)
        return self._reached
