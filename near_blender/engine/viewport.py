"""Rendered mode: the last picture is drawn at once, a small new one follows a change, a full one the rest.

Among ordinary objects, which a draft shows, the assets' picture stands at its depth; while the view moves, and before
the first picture, their proxies stand for them, so that everything moves at once. Light from around comes from the
second Blender at rest.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from .. import log, translations
from .._core import environment, errors, scene
from ..client import client
from ..scene import lamps, surfaces, sync, world
from ..scene.world_light import LightReading, WorldLight
from ..translations import say
from . import arrival, border, draft, exposure, pace, refinement
from .arrival import upload

SETTLED = 0.25  # seconds without a change until the full picture is asked for
REST = 0.6  # seconds without a change until light from around is asked for
MOST_TO_WRITE = 500_000  # triangles: a larger scene takes the main thread too long to hand over
MOST_SHOWN = 2_000  # instances: the same
LOOK_EVERY = 0.01  # seconds between looks at what is pending

_views: weakref.WeakSet[ViewportPicture] = weakref.WeakSet()


class ViewportPicture:
    """What one viewport shows and waits for. All methods run in the main thread and return at once."""

    def __init__(self) -> None:
        self._texture: Any = None
        self._depth: Any = None  # of self._texture, where ordinary objects are drawn around it
        self._surfaces = surfaces.Surfaces()
        self._draft: draft.Draft | None = None
        self._is_new = False  # whether that has drawn but once, of which Blender shows nothing
        self._lamps = lamps.VisibleLamps()
        self._refinement = refinement.Refinement()
        self._worker: Any = None  # which draws, as chosen
        self._refined = -1  # the version that light from around was asked for
        self._lit = -1  # the version in which nothing but that is new
        self._is_among = False  # whether ordinary objects were drawn the last time
        self._assets: sync.VisibleAssets | None = None
        self._light: WorldLight | None = None
        self._bake: LightReading | None = None
        self._job: arrival.Arrival | None = None
        self._asked: tuple[Any, float] = (None, 0.0)  # what self._job draws, and its scale
        self._shown: tuple[Any, float] = (None, 0.0)
        self._summary: Any = None  # of what was asked for, and of what is shown: sync.summarize; None of drafts
        self._kept: Any = None
        self._wanted: Any = None  # the camera and the version of the scene that should be on the screen
        self._changed = 0.0  # when that last changed
        self._version = 0
        self._local = False  # whether the viewport is in local view
        self._scene = self._layer = ""  # names
        self._pace = pace.Pace()
        self._rate = 12.0  # pictures a second that are asked for
        self._message = ""
        _views.add(self)

    def update(self, depsgraph: bpy.types.Depsgraph, space: Any = None) -> None:
        """Reads the scene again: something in it changed. space: the viewport's SpaceView3D."""
        self._message = ""
        self._version += 1
        self._bake, self._local = None, _is_local(space)
        self._scene, self._layer = depsgraph.scene.name_full, depsgraph.view_layer.name
        try:
            self._assets = sync.collect_assets(depsgraph, space)
            self._lamps = lamps.collect_lamps(depsgraph)
            self._surfaces.drop_changed(depsgraph)
            self._surfaces.read(depsgraph, space)
            self._read_light(depsgraph)
        except errors.NearError as error:
            self._assets, self._message = None, translations.explain(error)

    def _read_light(self, depsgraph: bpy.types.Depsgraph) -> None:
        light = world.read_light(depsgraph)
        if isinstance(light, WorldLight):
            self._light, self._bake = light, None
        else:
            self._bake = light

    def draw(self, engine: bpy.types.RenderEngine, context: Any, depsgraph: bpy.types.Depsgraph) -> None:
        """Draws the newest picture there is and asks for the next one where that is out of date."""
        self._is_new = False
        with self._told():
            self._follow(context, depsgraph)
        engine.update_stats("NeAR", self._message or self._describe_work())
        if self._texture is not None or self._surfaces.shown:
            with self._told():
                self._show(engine, context, depsgraph)
        if self.is_busy() and not bpy.app.timers.is_registered(_look):
            bpy.app.timers.register(_look, first_interval=LOOK_EVERY)

    def _follow(self, context: Any, depsgraph: Any) -> None:
        """Takes what has arrived and asks for what is missing."""
        if self._worker is not client.get_worker():  # another model was chosen: nothing is as it would draw it
            self._worker, self._summary, self._kept, self._version = client.get_worker(), None, None, self._version + 1
        if _is_local(context.space_data) != self._local:  # Blender tells of it by a redraw only
            self.update(depsgraph, context.space_data)
        if self._bake is not None and self._bake.done:
            self._version += 1
            self._read_light(depsgraph)
        if self._are_lamps_baked():
            self._version += 1
            self._lamps = lamps.collect_lamps(depsgraph)
        if not self._surfaces.is_complete:
            self._surfaces.read(depsgraph, context.space_data)
        if self._refinement.collect():
            is_newest = self._refined == self._version  # else something changed while it was on its way
            self._lit = self._version = self._version + 1
            self._refined = self._version if is_newest else self._refined
        self._is_among = self._has_draft(depsgraph)
        self._collect()
        self._ask(context, depsgraph)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Has an error be a message in the viewport."""
        try:
            yield
        except errors.NearError as error:
            self._give_up(translations.explain(error))
        except Exception as error:
            self._give_up(translations.explain(log.explain_bug(error)))

    def _give_up(self, message: str) -> None:
        """Leaves the picture as it is until something changes."""
        self._message, self._job, self._bake = message, None, None
        self._shown = (self._wanted, 1.0)

    def is_busy(self) -> bool:
        """Whether the picture on the screen is not the last word."""
        return (self._job is not None or self._bake is not None or bool(self._lamps.bakes)
                or self._shown != (self._wanted, 1.0) or not self._surfaces.is_complete or self._refinement.is_busy
                or self._wants_light())

    def has_news(self) -> bool:
        """Whether drawing again now would show or ask for something."""
        if self._is_new or not self._surfaces.is_complete or self._refinement.is_done or self._are_lamps_baked():
            return True
        if self._job is not None:
            return self._job.done
        if self._bake is not None:
            return self._bake.done
        return self._shown != (self._wanted, 1.0) and self._is_settled()

    def _are_lamps_baked(self) -> bool:
        """Whether what lamps were read without has come."""
        return bool(self._lamps.bakes) and all(bake.done for bake in self._lamps.bakes)

    def _wants_light(self) -> bool:
        """Whether light from around belongs to an older version of the scene."""
        is_old = self._refined != self._version or self._refinement.is_lost
        return (self._is_among and is_old and not self._message and not self._refinement.is_busy
                and self._assets is not None and bool(self._assets.instances))

    def refine(self) -> None:
        """Asks for light from around where the viewport has come to rest without it, be its picture a draft as yet: the
        second Blender works beside the worker. Not called from drawing."""
        rests = self._shown[1] > 0 and self._shown[0] == self._wanted and time.monotonic() - self._changed > REST
        if not (self._wants_light() and rests and self._surfaces.is_complete) or self._refinement.waits:
            return
        self._refined = self._version
        depsgraph = refinement.find_depsgraph(self._scene, self._layer)
        if depsgraph is None or self._surfaces.boxes or self._shows_too_much():
            return
        shadows = self._light is not None and self._light.has_sun or any(lamp.shadow for lamp in self._lamps.lamps)
        self._refinement.start(depsgraph, self._assets, shadows)

    def _shows_too_much(self) -> bool:
        """Whether handing it over would keep Blender waiting."""
        shown = self._surfaces
        return shown.count_triangles() > MOST_TO_WRITE or len(shown.shown) > MOST_SHOWN

    def _is_settled(self) -> bool:
        return time.monotonic() - self._changed > SETTLED

    def _describe_work(self) -> str:
        if self._bake is not None:
            return say("Baking the World {name}", name=self._bake.name)
        if self._job is None and self._refinement.message:
            return self._refinement.message
        if self._job is None and self._refinement.is_busy:
            return say("Light from around")
        if self._job is None and self._surfaces.boxes:
            return say("Too many triangles, drawn as boxes: {names}", names=", ".join(self._surfaces.boxes[:3]))
        if self._job is None and self._is_among and self._shows_too_much():
            return say("Light from around comes with F12 only: too much is shown")
        return translations.translate(self._job.phase if self._job is not None else self._find_problem())

    def _find_problem(self) -> str:
        """What of the scene is gone, for the artist, or that there is nothing to be seen."""
        gone = [self._light.problem] if self._light is not None and self._light.problem else []
        assets = self._assets or sync.VisibleAssets()
        nothing = [] if assets.instances or self._is_among else [
            errors.Message("No neural asset is visible in {layer}", layer=self._layer)]
        return next(iter([*gone, *assets.problems, *nothing]), "")

    def _has_draft(self, depsgraph: Any) -> bool:
        """Whether ordinary objects are drawn around the assets."""
        return depsgraph.scene.near.ordinary == "CYCLES" and self._surfaces.has_ordinary()

    def _collect(self) -> None:
        """Takes the picture that has arrived, if one has."""
        if self._job is None or not self._job.done:
            return
        job, self._job = self._job, None
        try:
            answer = job.take()
        except errors.Cancelled:
            return
        picture, depth = answer["passes"]["Combined"], answer["passes"].get("Depth")
        if self._asked[1] < 1:
            self._pace.learn(answer["seconds"], self._rate)
        self._texture, self._depth = upload(picture), None if depth is None else upload(depth)
        self._shown, self._kept = self._asked, self._summary

    def _ask(self, context: Any, depsgraph: Any) -> None:
        """Asks for the picture that should come next, where one should."""
        region, window = context.region, context.region_data
        projection, view = np.array(window.window_matrix), np.array(window.view_matrix)
        wanted = (self._version, region.width, region.height, projection.tobytes(), view.tobytes())
        if wanted != self._wanted:
            self._wanted, self._changed = wanted, time.monotonic()
        if self._message:
            self._shown = (wanted, 1.0)  # there will be no other picture before something changes
            return
        if self._assets is None or self._light is None:
            return
        drawing, scale = self._asked
        if self._job is not None and (drawing == wanted or scale < 1):
            return  # let it finish: breaking off every draft would show nothing while something moves
        if self._job is None and self._shown[0] == wanted:
            if self._shown[1] == 1:
                self._foresee(context, depsgraph)
                return
            if not self._is_settled():
                return
            scale, coarseness = 1.0, 1.0
        elif self._shows_it_already(context, depsgraph):
            return
        elif self._is_nearly_shown():
            scale, coarseness = 1.0, 1.0
        else:
            self._rate = float(depsgraph.scene.near.viewport_rate)
            scale, coarseness = self._pace.plan(depsgraph.scene.near.viewport_scale / 100)
        light = self._refinement.light if scale == 1 else self._refinement.ready
        self._summary, self._job = self._submit(context, depsgraph, scale, coarseness, light)
        self._asked = (wanted, scale)

    def _foresee(self, context: Any, depsgraph: Any) -> None:
        """Where light from around is new, has the worker draw the draft that the next change will begin with: nobody
        looks at it, but the next one finds its light ready. Until then drafts have the light of before: what somebody
        does is answered at once."""
        if self._refinement.wants_draft:
            plan = self._pace.plan(depsgraph.scene.near.viewport_scale / 100)
            self._refinement.foresee(self._submit(context, depsgraph, *plan, self._refinement.light)[1])

    def _is_nearly_shown(self) -> bool:
        """Whether all that is new is light from around, on a view that is on the screen: then no draft comes first."""
        return self._version == self._lit and self._shown[0] == (self._version - 1, *self._wanted[1:])

    def _shows_it_already(self, context: Any, depsgraph: Any) -> bool:
        """Whether the picture on the screen, or on its way there, is the one that is wanted, at its best: what changed
        is not seen in it, as what is selected."""
        (view, scale), summary = (self._shown, self._kept) if self._job is None else (self._asked, self._summary)
        if summary is None or scale < 1 or view is None or view[1:] != self._wanted[1:]:
            return False
        through = border.find_camera(context, depsgraph)
        if sync.summarize(*self._describe(depsgraph, through, self._refinement.light)) != summary:
            return False
        if self._job is None:
            self._shown = (self._wanted, 1.0)
        else:
            self._asked = (self._wanted, 1.0)
        return True

    def _describe(self, depsgraph: Any, through: Any, light: refinement.FoundLight
                  ) -> tuple[scene.Settings, dict[str, Any]]:
        """The picture that is wanted at its best, but its camera; film: what its light is then multiplied by. through:
        the camera object, evaluated, whose view it is: its lens blurs pictures of assets alone, as a draft of ordinary
        objects is sharp. light: from around."""
        frame, alone = depsgraph.scene_eval, not self._has_draft(depsgraph)
        settings, request = sync.make_request(frame, light.shine_on(self._assets), self._light,
                                              ("Combined",) if alone else ("Combined", "Depth"),
                                              alone and not frame.render.film_transparent, self._lamps,
                                              None if alone else light.occluders)
        if alone and through is not None and through.type == "CAMERA":
            request["lens"] = exposure.read_lens(through)
        return settings, request | {"film": sync.find_exposure(frame)}

    def _submit(self, context: Any, depsgraph: Any, scale: float, coarseness: float, light: refinement.FoundLight
                ) -> tuple[Any, arrival.Arrival]:
        """Asks for what is wanted; what sync.summarize makes of it, None of drafts, and the picture on its way."""
        settings, request = self._describe(depsgraph, border.find_camera(context, depsgraph), light)
        summary, film = sync.summarize(settings, request) if scale == 1 else None, request.pop("film")
        if scale < 1:
            settings = replace(settings, quality="draft", coarseness=coarseness)
            request.pop("lens", None)
        region, window = context.region, context.region_data
        camera = sync.convert_projection(np.array(window.window_matrix), np.array(window.view_matrix), region.width,
                                         region.height)
        camera = camera.resize(max(1, round(region.width * scale)), max(1, round(region.height * scale)))
        return summary, arrival.Arrival(client.get_worker().submit(
            "render", f"viewport {id(self)}", camera=camera, settings=settings, **request), film)

    def _show(self, engine: bpy.types.RenderEngine, context: Any, depsgraph: Any) -> None:
        from gpu_extras.presets import draw_texture_2d
        region, texture = context.region, self._texture
        if texture is None or self._has_draft(depsgraph):
            texture = self._draw_draft(context, depsgraph)
        box = border.find_box(context, depsgraph)
        with _drawing_state(box):
            engine.bind_display_space_shader(depsgraph.scene)
            try:
                draw_texture_2d(texture, (0, 0), region.width, region.height)
            finally:
                engine.unbind_display_space_shader()

    def _draw_draft(self, context: Any, depsgraph: Any) -> Any:
        """Everything as a texture, the assets' picture in it where it shows the view as it is now. Before the first one
        has come their proxies are all that is drawn where ordinary objects are not."""
        region, window = context.region, context.region_data
        if self._draft is None:
            self._draft, self._is_new = draft.Draft(), True
        light = self._light or WorldLight(environment.uniform((0, 0, 0)))
        backdrop = None if depsgraph.scene.render.film_transparent else light.backdrop or light.environment
        shown = self._shown[0] is not None and self._shown[0][1:] == self._wanted[1:]
        layer = draft.AssetsLayer(self._texture, self._depth) if shown and self._depth is not None else None
        view = draft.View(np.array(window.window_matrix, np.float64), np.array(window.view_matrix, np.float64),
                          (region.width, region.height))
        lit = draft.Light(light.environment, backdrop, self._lamps.lamps, sync.find_exposure(depsgraph.scene_eval))
        drawn = self._surfaces if self._has_draft(depsgraph) else replace(
            self._surfaces, shown=[each for each in self._surfaces.shown if each.is_asset])
        return self._draft.draw(drawn, view, lit, layer)


@contextlib.contextmanager
def _drawing_state(box: Any) -> Iterator[None]:
    """Blender's own drawing goes on with the state as it was, whatever went wrong meanwhile. box: scissors, if any."""
    import gpu
    try:
        if box is not None:
            gpu.state.scissor_test_set(True)
            gpu.state.scissor_set(*box)
        gpu.state.blend_set("ALPHA_PREMULT")
        yield
    finally:
        if box is not None:
            gpu.state.scissor_test_set(False)
        gpu.state.blend_set("NONE")


def _is_local(space: Any) -> bool:
    return space is not None and space.local_view is not None


def redraw() -> None:
    """Has viewports in Rendered mode drawn again."""
    areas: list[Any] = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    for area in areas:
        if area.type == "VIEW_3D" and area.spaces.active.shading.type == "RENDERED":
            for region in area.regions:
                if region.type == "WINDOW":
                    region.tag_redraw()


def _look() -> float | None:
    """Redraws viewports that have news; runs only while one of them is busy."""
    views = list(_views)
    for view in views:
        view.refine()
    if any(view.has_news() for view in views):
        redraw()
    return LOOK_EVERY if any(view.is_busy() for view in views) else None


def unregister() -> None:
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
