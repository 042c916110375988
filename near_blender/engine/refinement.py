"""Light from around for a viewport at rest: probes and what casts shadows, from the second Blender as final renders."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import bpy

from .. import translations
from .._core import errors, scene
from ..client import client, worker_process
from ..cycles import scene as cycles_scene
from ..scene import sync
from . import arrival, surroundings


@dataclass(frozen=True)
class FoundLight:
    """What stands around assets. probes: by an object's name, hash and what sends it. occluders: what casts the lamps'
    shadows on the assets."""

    probes: dict[str, tuple[str, Callable[[], dict]]] = field(default_factory=dict)
    occluders: scene.Occluders | None = None

    def shine_on(self, assets: sync.VisibleAssets) -> sync.VisibleAssets:
        """The same assets in this light alone."""
        instances = [each if number in assets.held else each | {"probe": self.probes.get(each["name"], (None,))[0]}
                     for number, each in enumerate(assets.instances)]
        return replace(assets, instances=instances, needs=assets.needs | dict(self.probes.values()))


class Refinement:
    """What one viewport knows of the light around its assets. Runs in the main thread and waits for nothing.

    light: the newest. ready: the newest that the worker has drawn a draft in. message: why there is no such light, for
    the artist. is_lost: whether what was asked for came to nothing, and has to be asked for again.
    """

    def __init__(self) -> None:
        self.light = self.ready = FoundLight()
        self.message, self.is_lost = "", False
        self._is_stale = False  # whether the scene over there was another one the last time
        self._around: surroundings.OrdinaryThings | None = None
        self._assets: sync.VisibleAssets | None = None
        self._jobs: list[worker_process.JobHandle | None] = []
        self._draft: tuple[arrival.Arrival, FoundLight] | None = None

    def start(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, shadows: bool) -> None:
        """Asks for what is not known yet. Not from within drawing: the scene may have to be written."""
        self.message, self.is_lost = "", False
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

    @property
    def waits(self) -> bool:
        """Whether others ask for the same just now: who asked in between would be asked away in turn."""
        return self.is_lost and client.get_cycles().is_asked_for("probes", "occluders")

    @property
    def wants_draft(self) -> bool:
        """Whether a draft in the newest light was neither drawn nor asked for."""
        return self.light is not self.ready and self._draft is None

    def foresee(self, draft: arrival.Arrival) -> None:
        """Takes note of a draft in the newest light that is on its way."""
        self._draft = draft, self.light

    def _collect_draft(self) -> None:
        if self._draft is not None and self._draft[0].done:
            (draft, light), self._draft = self._draft, None
            with contextlib.suppress(errors.Cancelled):  # a change came first
                draft.take()
                self.ready = light

    def collect(self) -> bool:
        """Takes the answer where it has come; says whether there is new light."""
        self._collect_draft()
        if not self.is_done:
            return False
        around, self._around = self._around, None
        assert around is not None and self._assets is not None
        try:
            if not around.take_light(*self._jobs, anyway=self._is_stale):
                self.is_lost = self._is_stale = True
                cycles_scene.forget()
                return False
        except errors.Cancelled:  # a final render or another viewport came in between
            self.is_lost = True
            return False
        except errors.NearError as error:
            self.message = translations.explain(error)
            return False
        self._is_stale = False
        # by names: undo may have exchanged the objects meanwhile
        self.light = FoundLight({each["name"]: (each["probe"], self._assets.needs[each["probe"]])
                                 for each in self._assets.instances if each.get("probe")}, around.occluders)
        return True


def find_depsgraph(scene: str, layer: str) -> Any:
    """The evaluated scene, by its name_full, of a window that shows this view layer of it; None where none does."""
    for window in bpy.context.window_manager.windows:
        if (window.scene.name_full, window.view_layer.name) == (scene, layer):
            return window.view_layer.depsgraph
    return None
