"""The one creation that may be under way: started by an operator, watched by a modal one, seen in the sidebar.

Blender's data changes once, when the worker is done, as one undo step. Scripts and background mode wait instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np
from bpy.utils import previews

from .. import opening, translations
from .._core import asset as assets
from .._core import errors
from .._core import image as images
from ..client import worker_process
from ..references import Reference
from . import watching
from .landing import Landing, follow, land, stand
from .place import (
    AssetReading,
    MeshSource,
    in_scene,
    keep_family,
    list_linked,
    place_asset,
    read_choice,
    replace_asset,
    report_errors,
    restore_choice,
    stand_for,
)
from .provenance import Origin, remember
from .status import shorten, show_status

INTERVAL = 0.1  # seconds between looks at the worker


@dataclass(frozen=True)
class Start:
    """What is made, by its name, and what begins that; may raise NearError."""

    name: str
    begin: Callable[[], Creation]


@dataclass
class Series:
    """Creations one after the other. made: the new objects, each with its source where it is made from a mesh.
    left_out: names of what failed."""

    count: int
    made: list[tuple[Reference, Reference | None]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass
class Creation:
    """A job on its way and what it will be called. origin: the photo that the asset remembers. instead: the object
    whose asset is made again. source: gives the object whose mesh it is made from, once that is read. landing:
    where it goes and how large it is where no camera saw that, None for its own size around the 3D cursor. rest:
    what is made after it. series: all that it is one of. scene: in which it was asked for. started:
    time.monotonic() seconds. chosen: as place.read_choice, while an artist has chosen nothing since it was asked
    for."""

    job: worker_process.JobHandle
    name: str
    origin: Origin | None = None
    instead: Reference | None = None
    source: Callable[[], MeshSource] | None = None
    landing: Landing | None = None
    rest: Sequence[Start] = ()
    series: Series | None = None
    scene: Reference = field(default_factory=lambda: Reference.to_scene(bpy.context.scene))
    started: float = field(default_factory=time.monotonic)
    chosen: tuple[int, frozenset[int]] = field(default_factory=lambda: read_choice(bpy.context))
    icons: Any = None  # bpy's preview collection with the matte and the crop, once they are known
    reading: AssetReading | None = None
    is_cancelled: bool = False
    seen: tuple[float, float] = 0.0, 0.0  # the last fraction, and how long the whole takes, as that told: seconds

    def cancel(self) -> None:
        """Stops it, though its asset be made already and only read, or held."""
        self.is_cancelled = True
        self.job.cancel()

    def is_ready(self) -> bool:
        """Whether the asset can be put into the scene without keeping Blender waiting."""
        if not self.job.done:
            return False
        return self._begin().done

    @property
    def is_held(self) -> bool:
        """Whether the object whose asset is made again, or a linked duplicate, is edited, sculpted or painted: Blender
        keeps its mesh then."""
        again = self.instead.find() if self.instead is not None and not self.is_cancelled else None
        return again is not None and any(each.mode != "OBJECT" for each in list_linked(again))

    def read(self) -> Any:
        """AssetReading.result; waits. Raises Cancelled where it was stopped."""
        answer = self._begin().result()
        if self.is_cancelled:
            raise errors.Cancelled
        return answer

    def _begin(self) -> AssetReading:
        def read() -> tuple[bytes, assets.NeuralAsset]:
            data = self.job.result()["asset"].tobytes()
            return data, assets.from_bytes(data, self.name)

        self.reading = self.reading or AssetReading(read)
        return self.reading

    @property
    def status(self) -> str:
        """Phase, percentage and the time it still takes, for one line of the interface."""
        if self.job.done and self.is_held:
            return translations.say("Done: go back to Object Mode to get it")
        fraction = self.job.fraction
        line = translations.say("{phase}, {fraction:.0%}", phase=errors.Message(self.job.phase), fraction=fraction)
        if self.series is not None:
            line = translations.say("{number} of {count}: {status}", number=self.series.count - len(self.rest),
                                    count=self.series.count, status=line)
        left = self.tell_left(time.monotonic() - self.started)
        return translations.say("{status}, {seconds} s left", status=line, seconds=left) if left else line

    def tell_left(self, spent: float) -> int:
        """The seconds that it still takes after so many, counted down from what its last step forward told; 0 where
        that is not known, or was wrong."""
        fraction = self.job.fraction
        if fraction != self.seen[0]:
            self.seen = fraction, spent / fraction if fraction > 0.05 and spent > 1 else 0.0
        return max(round(self.seen[1] - spent), 0)

    def show_preview(self) -> None:
        """Turns the job's first pictures into icons, once."""
        if self.icons is not None or self.job.preview is None:
            return
        self.icons = previews.new()
        for key in ("crop", "matte"):
            if self.job.preview.get(key) is not None:
                set_pixels(self.icons.new(key), self.job.preview[key])

    def end(self) -> None:
        """Frees the icons."""
        if self.icons is not None:
            previews.remove(self.icons)
            self.icons = None


_current: Creation | None = None


def get_current() -> Creation | None:
    """The creation under way, for panels."""
    return _current


def set_pixels(preview: Any, picture: np.ndarray) -> None:
    """Shows a mask (h, w) or a linear picture (h, w, 3), 0..1, row 0 on top, as an icon."""
    values = np.atleast_3d(picture).astype(np.float32)
    values = values.repeat(3, 2) if values.shape[2] == 1 else images.srgb_encode(values)
    values = np.concatenate([values, np.ones_like(values[..., :1])], 2)[::-1]
    preview.image_size = values.shape[1::-1]
    preview.image_pixels_float.foreach_set(np.ascontiguousarray(values).ravel())


def run(operator: bpy.types.Operator, context: bpy.types.Context, creation: Creation, wait: bool) -> set[str]:
    """Brings a creation to its end: now where `wait`, otherwise under the eyes of a modal operator. For execute()."""
    if _current is not None:
        creation.job.cancel()
    return run_all(operator, context, [Start(creation.name, lambda: creation)], wait)


def run_all(operator: bpy.types.Operator, context: bpy.types.Context, starts: Sequence[Start], wait: bool) -> set[str]:
    """The same for several, one after the other, as one undo step; what fails is named and left out. Raises NearError
    where another creation is under way: poll() was asked before a file dialog opened."""
    global _current
    if _current is not None:
        raise errors.NearError("{name} is being created.", "Wait for it, or press Esc to stop it.", name=_current.name)
    if len(starts) == 1:
        _current = starts[0].begin()
    elif not _begin_next(operator, starts, series=(series := Series(len(starts)))):
        _conclude(operator, series)
        return {"CANCELLED"}
    if not wait:
        with context.temp_override(window=watching.find_main_window(context)):
            _watch()
        return {"FINISHED"}
    try:
        done = finish(operator, context)
        while advance(operator):
            done |= finish(operator, context)
        return {"FINISHED"} if "FINISHED" in done else {"CANCELLED"}
    except KeyboardInterrupt:
        _current.cancel()
        raise
    finally:
        _stop()


def advance(operator: bpy.types.Operator) -> bool:
    """Starts what comes after the current creation; says whether anything does, and concludes several where not."""
    series, before = _current.series, _current
    if series is None:
        return False
    if _begin_next(operator, before.rest, series=series, scene=before.scene, chosen=before.chosen):
        before.end()
        return True
    _conclude(operator, series)
    return False


def _begin_next(operator: bpy.types.Operator, starts: Sequence[Start], **shared: Any) -> bool:
    """Begins the first of several creations that can begin; says whether one does. shared: fields of all of them, with
    the series."""
    global _current
    for number, start in enumerate(starts):
        with report_errors(operator, "WARNING", start.name):
            _current = replace(start.begin(), rest=starts[number + 1:], **shared)
            return True
        shared["series"].left_out.append(start.name)
    return False


def _conclude(operator: bpy.types.Operator, series: Series) -> None:
    """Names what failed of several creations, an error where all did; what was made is chosen, unless an artist has
    gone on with something else, and children stay those of their parents."""
    names = ", ".join(series.left_out)
    if len(series.left_out) == series.count:
        operator.report({"ERROR"}, translations.say("Nothing was made of {names}: the warnings say why", names=names))
    elif names:
        operator.report({"WARNING"}, translations.say("Left out: {names}", names=names))
    keep_family(bpy.context, series.made)
    made = [ob for ob in (made.find() for made, _ in series.made) if ob is not None]
    for ob in made if bpy.context.mode == "OBJECT" and bpy.context.view_layer.objects.active in made else ():
        if ob.name in bpy.context.view_layer.objects:
            ob.select_set(True)


def finish(operator: bpy.types.Operator, context: bpy.types.Context) -> set[str]:
    """Waits for the current job and puts its asset into the scene."""
    creation, series = _current, _current.series
    with report_errors(operator, *(("ERROR",) if series is None else ("WARNING", creation.name))):
        try:
            data, asset, surface = creation.read()
        except errors.Cancelled:
            creation.rest = ()  # who stops one means all
            operator.report({"INFO"}, translations.say("Creation cancelled"))
            return {"CANCELLED"}
        if creation.job.warning:
            operator.report({"WARNING"}, translations.translate(creation.job.warning))
        with in_scene(context, creation.scene):
            chosen = read_choice(context)
            ob = _put(context, creation, asset, data, surface)
            if chosen == creation.chosen:
                creation.chosen = read_choice(context)
            elif context.mode == "OBJECT":  # an artist has gone on with something else
                restore_choice(context, chosen)
        if series is not None:
            series.made.append((Reference.to_object(ob), creation.source and creation.source().ob))
        if creation.origin is not None:
            answer = creation.job.result()
            for each in list_linked(ob):
                remember(each, creation.origin, answer["views"], answer["frame"])
        spent = time.monotonic() - creation.started
        operator.report({"INFO"}, translations.say(
            "{name}: {voxels:,} voxels, {size:.1f} MB, {seconds:.1f} s", name=ob.name, voxels=len(asset.coords),
            size=len(data) / 1e6, seconds=spent))
        return {"FINISHED"}
    if series is not None:
        series.left_out.append(creation.name)
    return {"CANCELLED"}


def _put(context: bpy.types.Context, creation: Creation, asset: assets.NeuralAsset, data: bytes, surface: Any
         ) -> bpy.types.Object:
    """Gives an asset to the object whose it was, or one where it belongs."""
    again = creation.instead.find() if creation.instead is not None else None
    frame = creation.job.result().get("frame")  # of photos alone
    if again is not None:
        ob = replace_asset(again, asset, data, surface)
        for each in list_linked(ob) if frame else ():
            before = each.near.origin.frame  # type: ignore[attr-defined]
            if each == ob or before[3]:  # others stay where an artist has put them
                follow(each, before, frame)
        return ob
    ob = place_asset(context, asset, data, surface)
    if creation.source is not None:
        stand_for(context, ob, creation.source())
    elif frame:
        stand(ob, frame)
    elif creation.landing is not None:
        land(ob, creation.landing)
    return ob


def is_idle(operator: type[bpy.types.Operator]) -> bool:
    """For poll(): one creation at a time."""
    if _current is None:
        return True
    operator.poll_message_set("Another neural asset is being created, press Esc to stop it")
    return False


def _watch() -> None:
    """Has the current creation be watched in the window of bpy.context, unless it has ended."""
    ops: Any = bpy.ops
    if _current is not None:
        ops.near.watch_creation("INVOKE_DEFAULT")


def _stop() -> None:
    global _current
    if _current is not None:
        _current.end()
    _current = None


class NEAR_OT_watch_creation(bpy.types.Operator):
    bl_idname = "near.watch_creation"
    bl_label = "Create Neural Asset"
    bl_options = {"INTERNAL", "UNDO"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return watching.watch(self, context, INTERVAL)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC" and event.value == "PRESS":
            series = _current.series
            if series is not None:
                _conclude(self, series)
            self.cancel(context)  # at once: the worker may take half a second to notice
            self.report({"INFO"}, translations.say("Creation cancelled"))
            return {"FINISHED"} if series is not None and series.made else {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        _current.show_preview()
        show_status(context, translations.say("NeAR: {name}: {status} (Esc stops it)", name=shorten(_current.name),
                                              status=_current.status))
        if watching.needs_pause(context):
            return watching.pause(self, context, _watch)
        if not _current.is_ready() or _current.is_held:
            return {"PASS_THROUGH"}
        series = _current.series
        try:
            done = finish(self, context)
            if advance(self):
                return {"PASS_THROUGH"}
        except BaseException:
            self._leave(context)
            raise
        self._leave(context)
        return {"FINISHED"} if "FINISHED" in done or series is not None and series.made else {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened or the window closed."""
        _current.cancel()
        self._leave(context)

    def _leave(self, context: bpy.types.Context) -> None:
        watching.leave(self, context)
        _stop()
        show_status(context, None)


CLASSES = (NEAR_OT_watch_creation,)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]


def _forget() -> None:
    """Ends what no operator watches just now."""
    if _current is not None:
        _current.cancel()
        _stop()


def register() -> None:
    _register()
    opening.add(_forget)


def unregister() -> None:
    opening.remove(_forget)
    _unregister()
