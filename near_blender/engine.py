"""The render engine NeAR: final renders and the way into the viewport."""

from __future__ import annotations

import traceback

import bpy
import numpy as np

from . import client, lamps, log, passes, sync, viewport, worker_process, world
from ._core import errors

_CHECK_EVERY = 0.05  # seconds between looks at Esc and the worker


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

    def update_render_passes(self, frame, view_layer):
        passes.declare(self, frame, view_layer)

    def render(self, depsgraph):
        # Blender takes an exception for a finished render and writes an empty file; only a report stops it
        try:
            self._render(depsgraph)
        except errors.Cancelled:
            pass
        except errors.NearError as error:
            self.report({"ERROR"}, str(error))
        except Exception as error:
            log.add(traceback.format_exc())
            self.report({"ERROR"}, f"NeAR failed ({type(error).__name__}: {error}). See the log in Check Setup.")

    def _render(self, depsgraph: bpy.types.Depsgraph) -> None:
        view_layer = depsgraph.view_layer_eval
        wanted, ranks = passes.list_wanted(view_layer), passes.count_ranks(view_layer)
        passes.add(self, view_layer)
        assets = sync.collect_assets(depsgraph)
        self._tell_about(assets, view_layer.name)
        light, shining = self._wait_for_light(depsgraph), lamps.collect_lamps(depsgraph)
        frame = depsgraph.scene_eval
        seen = view_layer.use_sky and not frame.render.film_transparent
        result = self.begin_result(0, 0, self.resolution_x, self.resolution_y, layer=view_layer.name)
        try:
            for view in result.views:
                self.active_view_set(view.name)
                camera = sync.find_camera(self, depsgraph, view.name)
                settings, request = sync.make_request(frame, assets, light, passes.list_neural(wanted), seen, shining)
                job = client.get_worker().submit("render", "final", camera=camera, settings=settings, **request)
                made = self._wait_for(job)
                passes.identify(made, assets.owners, wanted, ranks)
                passes.write(result.layers[0], made, view.name)
        except BaseException:
            self.end_result(result, cancel=True)
            raise
        self.end_result(result)
        passes.describe(self, view_layer, (owner.name for owner in assets.owners))

    def _tell_about(self, assets: sync.VisibleAssets, layer: str) -> None:
        if not assets.instances:
            self.report({"INFO"}, f"No neural asset is visible in {layer}")
        for name in assets.bent:
            self.report({"WARNING"}, f"{name} was edited in a way its asset cannot follow. Undo the edit of its mesh.")

    def _wait_for_light(self, depsgraph: bpy.types.Depsgraph) -> world.WorldLight:
        while not isinstance(light := world.read_light(depsgraph), world.WorldLight):
            self.update_stats("", f"Baking the World {light.name}")
            while not light.wait(_CHECK_EVERY):
                if self.test_break():
                    raise errors.Cancelled
        return light

    def _wait_for(self, job: worker_process.JobHandle) -> dict[str, np.ndarray]:
        shown = ""
        while not job.wait(_CHECK_EVERY):
            if self.test_break():
                job.cancel()
            if job.phase != shown:
                shown = job.phase
                self.update_stats("", shown)
            self.update_progress(job.fraction)
        answer = job.result()
        if job.warning:
            self.report({"WARNING"}, job.warning)
        return answer["passes"]

    def view_update(self, context, depsgraph):
        if self._view is None:
            self._view = viewport.ViewportPicture()
        self._view.update(depsgraph, context.space_data)

    def view_draw(self, context, depsgraph):
        if self._view is None:
            self._view = viewport.ViewportPicture()
            self._view.update(depsgraph, context.space_data)
        self._view.draw(self, context, depsgraph)


def register() -> None:
    bpy.utils.register_class(NearRenderEngine)


def unregister() -> None:
    viewport.unregister()
    bpy.utils.unregister_class(NearRenderEngine)
    world.unregister()
