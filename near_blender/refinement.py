"""Light from around for a viewport at rest: probes and what casts shadows, from the second Blender as final renders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from . import surroundings, sync, translations, worker_process
from ._core import errors, scene


class Refinement:
    """What one viewport knows of the light around its assets. Runs in the main thread and waits for nothing.

    occluders: what casts the lamps' shadows on the assets. message: why there is no such light, for the artist.
    """

    def __init__(self) -> None:
        self.occluders: scene.Occluders | None = None
        self.message = ""
        self._around: surroundings.OrdinaryThings | None = None
        self._assets: sync.VisibleAssets | None = None
        self._jobs: list[worker_process.JobHandle | None] = []
        self._kept: dict[str, tuple[str, Callable[[], dict]]] = {}  # by an object's name: its probe

    def start(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, shadows: bool) -> None:
        """Asks for what is not known yet. Not from within drawing: the scene may have to be written."""
        self.message = ""
        try:
            self._around, self._assets = surroundings.OrdinaryThings(depsgraph, assets), assets
            self._jobs = list(self._around.ask_light(shadows))
        except errors.NearError as error:
            self._around, self.message = None, translations.explain(error)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to be taken."""
        return self._around is not None

    @property
    def is_done(self) -> bool:
        """Whether the answer has come."""
        return self.is_busy and all(job is None or job.done for job in self._jobs)

    def collect(self) -> bool:
        """Takes the answer where it has come; says whether there is new light."""
        if not self.is_done:
            return False
        around, self._around = self._around, None
        assert around is not None and self._assets is not None
        try:
            if not around.take_light(*self._jobs):
                return False
        except errors.Cancelled:
            return False
        except errors.NearError as error:
            self.message = translations.explain(error)
            return False
        self.occluders = around.occluders
        # by names: undo may have exchanged the objects meanwhile
        self._kept = {each["name"]: (each["probe"], self._assets.needs[each["probe"]])
                      for each in self._assets.instances if each.get("probe")}
        return True

    def carry_over(self, assets: sync.VisibleAssets) -> None:
        """Lights assets that were read anew by the probes known so far."""
        for number, each in enumerate(assets.instances):
            if each["name"] in self._kept and number not in assets.held:
                each["probe"], need = self._kept[each["name"]]
                assets.needs[each["probe"]] = need


def find_depsgraph(scene: str, layer: str) -> Any:
    """The evaluated scene, by its name_full, of a window that shows this view layer of it; None where none does."""
    for window in bpy.context.window_manager.windows:
        if (window.scene.name_full, window.view_layer.name) == (scene, layer):
            return window.view_layer.depsgraph
    return None
