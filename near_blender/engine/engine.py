"""The render engine NeAR: final renders and the way into the viewport."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import bpy
import numpy as np

from .. import flags, log, translations
from .._core import composite, errors, light_passes, scene
from ..client import client, worker_process
from ..client.cycles_process import NO_SCREENS
from ..cycles import scene as cycles_scene
from ..scene import lamp_nodes, lamps, sync, world
from ..scene.world_light import WorldLight
from ..translations import say
from . import exposure, holdouts, mist, ordinary, passes, position, stamp, surroundings, viewport
from .progress import Progress

_CHECK_EVERY = 0.05  # seconds between looks at Esc and the worker
_TELL_EVERY = 1.0  # seconds between updates of what Blender writes above the picture, with its clock
_STOPS_WITHIN = 3.0  # seconds that whoever disables the add-on waits for what is drawn

_drawing = threading.Condition()  # of the two below
_drawn: list[int] = []  # the threads that draw final renders
_ending = False  # while the add-on is disabled: nothing is drawn


class NearRenderEngine(bpy.types.RenderEngine):
    """What Blender calls for a final render and for a viewport in Rendered mode; the methods are Blender's."""

    bl_idname = "NEAR"
    bl_label = "NeAR"
    bl_use_preview = False
    bl_use_postprocess = True
    bl_use_eevee_viewport = True
    bl_use_shading_nodes_custom = False
    bl_use_stereo_viewport = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._view: viewport.ViewportPicture | None = None
        self._stamp = stamp.Stamp()
        self._progress = Progress()
        self._lamps = lamps.VisibleLamps()
        self._ahead: worker_process.JobHandle | None = None  # that makes assets ready

    def update_render_passes(self, frame, view_layer):
        passes.declare(self, frame, view_layer)

    def render(self, depsgraph):
        # Blender takes an exception for a finished render and writes an empty file; only a report stops it
        try:
            with _count_as_drawing():
                self._render(depsgraph)
        except errors.Cancelled:
            if _ending:
                self.report({"ERROR"}, say("The add-on was disabled"))
        except errors.NearError as error:
            self.report({"ERROR"}, translations.explain(error))
        except Exception as error:
            self.report({"ERROR"}, translations.explain(log.explain_bug(error)))

    def _render(self, depsgraph: bpy.types.Depsgraph) -> None:
        sync.find_camera(self, depsgraph)  # one that cannot be drawn is told before anything is computed
        try:
            with exposure.in_the_middle(self, depsgraph) as middle:
                self._render_frame(depsgraph, middle)
        finally:
            self._stop_ahead()

    def _render_frame(self, depsgraph: bpy.types.Depsgraph, middle: float | None) -> None:
        """middle: of the exposure, where the picture is blurred by motion."""
        view_layer = depsgraph.view_layer_eval
        passes.add(self, view_layer)
        self._stamp = stamp.Stamp()
        self._progress.begin_layer(depsgraph.scene_eval, view_layer.name)
        leaves = view_layer.use_solid and not ordinary.takes_assets(depsgraph)
        assets = sync.collect_assets(depsgraph) if leaves else sync.VisibleAssets()
        self._tell_about(assets, view_layer.name)
        light = self._wait_for_light(depsgraph)
        self._lamps = self._wait_for_lamps(depsgraph) if assets.instances else lamps.VisibleLamps()
        if light.problem:
            self.report({"WARNING"}, translations.translate(light.problem))
        assets.darken_held()
        self._stamp.end("scene")
        around = self._look_around(depsgraph, assets, light)
        self._stamp.end("light from around")
        result = self.begin_result(0, 0, self.resolution_x, self.resolution_y, layer=view_layer.name)
        try:
            motion = exposure.read_motion(self, depsgraph, assets, middle, [view.name for view in result.views])
            self._steps: exposure.Motion | None = None  # from frame to frame
            if motion is None and passes.VECTOR in passes.list_wanted(view_layer):
                self._steps = exposure.read_steps(self, depsgraph, assets, [view.name for view in result.views])
            for number, view in enumerate(result.views):
                self.active_view_set(view.name)
                self._progress.begin_view(number, len(result.views))
                made, around = self._draw_view(depsgraph, assets, light, around, view.name, motion)
                passes.write(result.layers[0], made, view.name)
        except BaseException:
            self.end_result(result, cancel=True)
            raise
        self.end_result(result)
        self._stamp.end("picture")
        passes.describe(self, depsgraph, assets, around is not None)
        self._stamp.write(self, assets, flags.choose_quality(depsgraph.scene_eval))

    def _draw_view(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, light: WorldLight,
                   around: surroundings.OrdinaryThings | None, view: str, motion: exposure.Motion | None
                   ) -> tuple[dict[str, np.ndarray], surroundings.OrdinaryThings | None]:
        """The passes of one view; and what is ordinary, None where that could not be drawn."""
        try:
            return self._draw(depsgraph, assets, light, around, view, motion), around
        except errors.NearError as error:
            if around is None:
                raise
            self._leave_out(error)
            return self._draw(depsgraph, assets, light, None, view, motion), None

    def _draw(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, light: WorldLight,
              around: surroundings.OrdinaryThings | None, view: str, motion: exposure.Motion | None
              ) -> dict[str, np.ndarray]:
        """The passes of one view."""
        frame: Any = depsgraph.scene_eval
        wanted = light_passes.complete(passes.list_wanted(depsgraph.view_layer_eval, self._steps is not None))
        ranks = passes.count_ranks(depsgraph.view_layer_eval)
        seen, camera = not frame.render.film_transparent, sync.find_camera(self, depsgraph, view)
        occluders = None if around is None else around.occluders
        around = None if frame.near.ordinary == "LIGHT" else around
        needed = wanted if around is None else tuple(dict.fromkeys((*wanted, "Depth")))
        settings, request = sync.make_request(
            frame, assets, light, passes.list_neural(needed, bool(assets.held), around is None),
            seen and around is None, self._lamps, occluders)
        blur = exposure.make_blur(sync.find_camera_object(self, depsgraph, view), motion, view)
        jobs = [client.get_worker().submit("render", "final", camera=camera, settings=settings, **request, **blur)]
        if around is not None:
            window = self._describe_view(depsgraph, view, motion)
            around.moving = None if motion is None else motion.standing
            ask, screens = partial(around.ask_picture, window, wanted, not seen), NO_SCREENS
            jobs += [] if (waits := not blur and around.waits(camera)) else [ask(screens)]
        answers = self._wait_for(jobs, *((0.0, 1.0) if around is None else (0.3, 0.3 + 0.25 * len(jobs))))
        made, self._stamp.model = answers[0]["passes"], answers[0]["model"]
        held = self._complete(made, assets, camera, frame, view, wanted)
        if around is None:
            holdouts.cut_out(made, held)
        passes.identify(made, assets, needed, ranks)
        if around is None:
            return made
        if waits:
            screens = around.find_screens(made, camera, held)
            answers += self._wait_for([ask(screens)], 0.55, 0.8)
        if answers[1]["stale"]:
            around.renew(depsgraph)
            answers[1:] = self._wait_for([ask(screens)], 0.3, 0.8)
        behind = surroundings.convert(answers[1]["passes"], wanted, ranks)
        front, cut = self._draw_front(depsgraph, around, window, camera, wanted, made, behind, ranks)
        pixel = camera.measure_pixel(made["Depth"][..., 0])
        return composite.compose(made, behind, front, held, cut, pixel, answers[0]["blurred"])

    def _draw_front(self, depsgraph: bpy.types.Depsgraph, around: surroundings.OrdinaryThings, window: dict[str, Any],
                    camera: scene.Camera, wanted: tuple[str, ...], made: dict[str, np.ndarray],
                    behind: dict[str, np.ndarray], ranks: int) -> tuple[dict[str, np.ndarray] | None, np.ndarray]:
        """What is ordinary and before assets, and what cuts them, as composite.compose takes both."""
        jobs = around.ask_front(depsgraph, window, camera, wanted, made, behind)
        if not jobs:
            return None, np.zeros(1, np.float32)
        drawn = [answer["passes"] for answer in self._wait_for(jobs, 0.8, 1.0)]
        return around.take_front(drawn, behind, wanted, ranks)

    def _complete(self, made: dict[str, np.ndarray], assets: sync.VisibleAssets, camera: scene.Camera, frame: Any,
                  view: str, wanted: tuple[str, ...]) -> np.ndarray:
        """Exposes what the worker drew of the assets, and adds what it does not know. Returns what holdouts measures of
        it."""
        held = holdouts.measure(made, assets)
        passes.expose(made, sync.find_exposure(frame))
        made |= exposure.make_vectors(made, camera, self._steps, view)
        if passes.POSITION in wanted:
            made[passes.POSITION] = position.make_positions(made, camera)
        if passes.MIST in wanted:
            made[composite.CLEAR] = mist.make_clear(made, camera, frame.world, held)
        return held

    def _describe_view(self, depsgraph: bpy.types.Depsgraph, view: str, motion: exposure.Motion | None
                       ) -> dict[str, Any]:
        size, camera = (self.resolution_x, self.resolution_y), cycles_scene.describe_camera(self, depsgraph, view)
        if motion is not None:
            camera["motion"] = motion.describe(view)
        elif self._steps is not None:
            camera["motion"] = self._steps.describe(view) | {"blurs": False}
        return {"camera": camera, "size": size,
                "border": sync.find_border(depsgraph.scene_eval.render, *size)}

    def _look_around(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, light: WorldLight
                     ) -> surroundings.OrdinaryThings | None:
        """What is ordinary, with the probes of all assets; None where nothing is, or where it cannot be drawn."""
        if not ordinary.counts(depsgraph):
            return None
        shadows = light.has_sun or any(lamp.shadow for lamp in self._lamps.lamps)
        ahead = self._describe_ahead(depsgraph, assets, light)  # what is wrong with it is wrong with the picture
        try:
            self.update_stats("", say("Handing the scene over"))  # holds Blender up while it is written
            for anyway in (False, True):
                around = surroundings.OrdinaryThings(depsgraph, assets)
                jobs = around.ask_light(shadows)
                asked = [job for job in jobs if job is not None]
                if asked and ahead and self._ahead is None:
                    self._ahead = client.get_worker().submit("prepare", "prepare", **ahead)
                self._wait_for(asked, 0.0, 0.3)
                if around.take_light(*jobs, anyway=anyway):
                    break
                cycles_scene.forget()
            return around
        except errors.NearError as error:
            self._leave_out(error)
            return None

    def _describe_ahead(self, depsgraph: bpy.types.Depsgraph, assets: sync.VisibleAssets, light: WorldLight
                        ) -> dict[str, Any]:
        """What has the worker make assets ready, which takes about as long as light from around. Nothing for a draft
        with motion blur, which takes other meshes than one without. What moves into the picture is not known yet."""
        frame = depsgraph.scene_eval
        settings, request = sync.make_request(frame, assets, light, ("Combined",), False)
        if settings.quality == "draft" and exposure.find_middle(frame, depsgraph.view_layer_eval) is not None:
            return {}
        lens = exposure.make_blur(sync.find_camera_object(self, depsgraph), None, "")
        return {"camera": sync.find_camera(self, depsgraph), "settings": settings, **request, **lens}

    def _stop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def _leave_out(self, error: errors.NearError) -> None:
        """Tells that the picture goes on without what is ordinary."""
        self.report({"WARNING"}, say("Ordinary objects are left out. {reason}", reason=error))

    def _tell_about(self, assets: sync.VisibleAssets, layer: str) -> None:
        if not assets.instances:
            self.report({"INFO"}, say("No neural asset is visible in {layer}", layer=layer))
        for problem in assets.problems:
            self.report({"WARNING"}, translations.translate(problem))

    def _wait_for_light(self, depsgraph: bpy.types.Depsgraph) -> WorldLight:
        while not isinstance(light := world.read_light(depsgraph), WorldLight):
            self.update_stats("", say("Baking the World {name}", name=light.name))
            while not light.wait(_CHECK_EVERY):
                if self._is_stopped():
                    raise errors.Cancelled
        return light

    def _wait_for_lamps(self, depsgraph: bpy.types.Depsgraph) -> lamps.VisibleLamps:
        """Every lamp, once what their nodes compute is baked."""
        while bakes := (found := lamps.collect_lamps(depsgraph)).bakes:
            self.update_stats("", say("Baking the light {name}", name=bakes[0].name))
            while not bakes[0].wait(_CHECK_EVERY):
                if self._is_stopped():
                    raise errors.Cancelled
        return found

    def _wait_for(self, jobs: list[worker_process.JobHandle], start: float, end: float) -> list[dict[str, Any]]:
        """The answers of jobs that are done side by side, between two fractions of the whole. Raises the error of the
        first that failed, which stopped the others."""
        shown, told = "", 0.0
        while not all(job.wait(_CHECK_EVERY / len(jobs)) for job in jobs):
            if self._is_stopped() or any(job.failed for job in jobs):
                self._stop_ahead()
                for job in jobs:
                    job.cancel()
            phase = next(job.phase for job in [*jobs, jobs[0]] if not job.done or job is jobs[0])
            if phase != shown or time.monotonic() - told > _TELL_EVERY:
                shown, told = phase, time.monotonic()
                self.update_stats("", translations.translate(shown))
            self.update_progress(self._progress.reach(
                start + (end - start) * sum(job.fraction for job in jobs) / len(jobs)))
        answers = [job.result() for job in sorted(jobs, key=lambda job: not isinstance(job.error, errors.NearError))]
        for warning in dict.fromkeys(job.warning for job in jobs if job.warning):
            self.report({"WARNING"}, translations.translate(warning))
        return answers

    def _is_stopped(self) -> bool:
        """Whether Esc was pressed, or the add-on is disabled."""
        return _ending or self.test_break()

    def view_update(self, context, depsgraph):
        if self._view is None:
            self._view = viewport.ViewportPicture()
        self._view.update(depsgraph, context.space_data)

    def view_draw(self, context, depsgraph):
        if self._view is None:
            self._view = viewport.ViewportPicture()
            self._view.update(depsgraph, context.space_data)
        self._view.draw(self, context, depsgraph)


@contextlib.contextmanager
def _count_as_drawing() -> Iterator[None]:
    """Around a final render, so that nothing that it needs goes meanwhile. Raises Cancelled where it comes too late."""
    with _drawing:
        if _ending:
            raise errors.Cancelled
        _drawn.append(threading.get_ident())
    try:
        yield
    finally:
        with _drawing:
            _drawn.remove(threading.get_ident())
            _drawing.notify_all()


def stop_drawing() -> None:
    """Ends the final renders of other threads, and waits for that. None begins before register()."""
    global _ending
    with _drawing:
        _ending = True
        _drawing.wait_for(lambda: set(_drawn) <= {threading.get_ident()}, _STOPS_WITHIN)


def _leave() -> float | None:
    """Takes the engine from Blender once a render is over, in which Blender still uses it; for a timer."""
    app: Any = bpy.app
    engine: Any = NearRenderEngine
    if not app.background and app.is_job_running("RENDER"):
        return _CHECK_EVERY
    if engine.is_registered:  # not where another version of the add-on has taken its place
        bpy.utils.unregister_class(engine)
    return None


def register() -> None:
    global _ending
    _ending = False
    if bpy.app.timers.is_registered(_leave):
        bpy.app.timers.unregister(_leave)
    else:
        bpy.utils.register_class(NearRenderEngine)


def unregister() -> None:
    viewport.unregister()
    delay = _leave()
    if delay is not None:
        bpy.app.timers.register(_leave, first_interval=delay, persistent=True)
    world.unregister()
    lamp_nodes.forget()
