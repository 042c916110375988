"""Bake Mesh, Bake Splats, Export: an asset as what other programs read, under the light that it stands in, or as its
own file; each says how near it comes to the picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .._core import errors, files
from ..asset import baked_mesh, following, looks, payload
from ..client import client, worker_process
from ..paths import RELATIVE
from ..references import Reference
from ..scene import lamp_nodes, lamps, sync, world
from ..scene.world_light import LightReading, WorldLight
from ..translations import say
from . import watching
from .jobs import INTERVAL
from .place import report_errors
from .status import shorten, show_status

Light = LightReading | lamp_nodes.PatternBake


class _Baking(watching.Called):
    """An operator that has a worker bake the active asset: watched where an artist calls it, waited for where a script
    does."""

    _job: worker_process.JobHandle | None = None
    _light: Light | None = None  # to be waited for before there is a job

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = context.object
        if ob is not None and payload.read_bytes(payload.find_payload(ob)) is not None:
            return True
        cls.poll_message_set("The active object is no neural asset")  # type: ignore[attr-defined]
        return False

    def start(self, context: bpy.types.Context, kind: str, side: int = 2048) -> set[str]:
        """For execute()."""
        with report_errors(self):  # type: ignore[arg-type]
            self._source, self._wanted = Reference.to_object(context.object), (kind, side)
            self._ask(context)
            if not self._can_be_watched:
                while self._light is not None:
                    self._light.wait(60.0)
                    self._ask(context)
                return self._end(context)
            return watching.watch(self, context, INTERVAL)
        return {"CANCELLED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        if event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        with report_errors(self):  # type: ignore[arg-type]
            if self._light is not None and self._light.done:
                self._ask(context)
            show_status(context, say("NeAR: {name}: {status} (Esc stops it)", name=shorten(self._source.name),
                                     status=self._describe_work()))
            if self._job is None or not self._job.done:
                return {"PASS_THROUGH"}
            self._leave(context)
            return self._end(context)
        self._leave(context)
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> Any:
        """Called by Blender too, when another file is opened."""
        if self._job is not None:
            self._job.cancel()
        self._leave(context)

    def _leave(self, context: bpy.types.Context) -> None:
        watching.leave(self, context)
        show_status(context, None)

    def find_source(self) -> Any:
        """The object whose asset is baked. Raises NearError where it is no more."""
        source = self._source.find()
        if source is None:
            raise errors.NearError("{name} is gone.", "Bake another one.", name=self._source.name)
        return source

    def _ask(self, context: bpy.types.Context) -> None:
        """Has a worker bake it, or the World and lamps baked first."""
        answer = ask(context, self.find_source(), *self._wanted)
        self._job, self._light = (answer, None) if isinstance(answer, worker_process.JobHandle) else (None, answer)

    def _describe_work(self) -> str:
        if isinstance(self._light, lamp_nodes.PatternBake):
            return errors.Message("Baking the light {name}", name=self._light.name)
        if self._job is None:
            return errors.Message("Baking the World {name}", name=self._light.name)
        return errors.Message("{phase}, {fraction:.0%}", phase=errors.Message(self._job.phase),
                              fraction=self._job.fraction)

    def _end(self, context: bpy.types.Context) -> set[str]:
        try:
            answer = self._job.result()
        except errors.Cancelled:
            return {"CANCELLED"}
        return self.finish(context, answer)

    def finish(self, context: bpy.types.Context, answer: dict[str, Any]) -> set[str]:
        """Puts the answer where it belongs."""
        raise NotImplementedError

    def tell(self, what: errors.Message, psnr: float) -> None:
        """Reports what was made and how near it comes."""
        self.report({"INFO"}, say("{made}: the same picture as the neural one, from six views", made=what)  # type: ignore[attr-defined]
                    if psnr > 99 else
                    say("{made}: {psnr:.1f} dB against the neural picture, from six views", made=what, psnr=psnr))


class NEAR_OT_bake_mesh(_Baking, bpy.types.Operator):
    bl_idname = "near.bake_mesh"
    bl_label = "Bake Mesh"
    bl_description = "Make an ordinary mesh with a material and maps of the active neural asset, and a .glb file of it"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE},
                             description="A .glb file to write as well; none where it is empty")
    side: EnumProperty(name="Maps", description="Width of the maps of an asset that has none of its own",
                       default="2048", items=[(size, f"{size} px", "") for size in ("1024", "2048", "4096")])
    hide_source: BoolProperty(name="Hide Asset", default=False,
                              description="Hide the neural asset that the mesh is made from")

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            if self.filepath:
                name_file(self.filepath, ".glb")  # before it is computed
            return self.start(context, "mesh", int(self.side))
        return {"CANCELLED"}

    def finish(self, context: bpy.types.Context, answer: dict[str, Any]) -> set[str]:
        source = self.find_source()
        ob = baked_mesh.build(context, answer["mesh"], source)
        if self.hide_source:
            source.hide_render = True
            if source.name in context.view_layer.objects:
                source.hide_set(True)
        if self.filepath:
            baked_mesh.export_glb(name_file(self.filepath, ".glb"))
        self.tell(errors.Message("{name}, {count:,} faces", name=ob.name, count=len(ob.data.polygons)), answer["psnr"])
        return {"FINISHED"}


class _Saving(_Baking):
    """One that writes a file, which an artist names first."""

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE", *RELATIVE})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    kind: str  # how its name ends

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        self._is_interactive = True
        self.filepath = bpy.path.clean_name(context.object.name) + self.kind
        context.window_manager.fileselect_add(self)  # type: ignore[arg-type]
        return {"RUNNING_MODAL"}


class NEAR_OT_bake_splats(_Saving, bpy.types.Operator):
    bl_idname = "near.bake_splats"
    bl_label = "Bake Splats"
    bl_description = "Save the active neural asset as Gaussian splats (.ply), in the light that it now stands in"
    bl_options = {"REGISTER"}

    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    kind = ".ply"

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            name_file(self.filepath, self.kind)  # before it is computed
            return self.start(context, "splats")
        return {"CANCELLED"}

    def finish(self, context: bpy.types.Context, answer: dict[str, Any]) -> set[str]:
        path = name_file(self.filepath, self.kind)
        files.write(path, answer["ply"].tobytes())
        self.tell(errors.Message("Saved {file}, {size:.1f} MB", file=path.name, size=path.stat().st_size / 1e6),
                  answer["psnr"])
        return {"FINISHED"}


class NEAR_OT_export_asset(_Saving, bpy.types.Operator):
    bl_idname = "near.export_asset"
    bl_label = "Export Neural Asset"
    bl_description = "Save the active object's asset as a .near file, without its Look and what modifiers do to it"
    bl_options = {"REGISTER"}

    filter_glob: StringProperty(default="*.near", options={"HIDDEN"})
    kind = ".near"

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            ob: Any = context.object
            path = name_file(self.filepath, self.kind)
            payload.decode_asset(ob)  # damaged bytes are refused
            files.write(path, payload.share_bytes(ob.near.asset).data)  # encoded anew, it would be another asset
            self._wrote = errors.Message("Saved {file}, {size:.1f} MB", file=path.name, size=path.stat().st_size / 1e6)
            shown = following.follow(ob.evaluated_get(context.evaluated_depsgraph_get()))
            if any(copy.deformation is not None for copy in shown.copies):
                self.report({"INFO"}, say("{wrote}: without what modifiers do to it", wrote=self._wrote))
                return {"FINISHED"}
            if looks.read(ob).is_plain or not ob.visible_get() or ob.hide_render:
                self.tell(self._wrote, 100.0)
                return {"FINISHED"}
            return self.start(context, "asset")
        return {"CANCELLED"}

    def finish(self, context: bpy.types.Context, answer: dict[str, Any]) -> set[str]:
        self.tell(errors.Message("{wrote}, without its look", wrote=self._wrote), answer["psnr"])
        return {"FINISHED"}


def name_file(path: str, kind: str) -> Path:
    """The file to write that an operator was told, with its ending. Raises NearError where it was told none."""
    if path.startswith("//") and not bpy.data.filepath:
        raise errors.NearError("This file has no folder yet.", "Save it, or choose a folder.")
    file = bpy.path.abspath(path)
    if not os.path.basename(file):
        raise errors.NearError("No file is named to write to.", "Give a file.")
    return Path(bpy.path.ensure_ext(file, kind))


def ask(context: bpy.types.Context, ob: Any, kind: str, side: int = 2048
        ) -> worker_process.JobHandle | Light:
    """Has a worker bake ob as it stands; or gives the World's bake, or a lamp's, that has to be waited for before
    asking again.

    Raises NearError where ob is not shown.
    """
    ob.update_tag()  # a script's change of the look tags nothing
    context.view_layer.update()
    depsgraph = context.evaluated_depsgraph_get()
    visible = sync.collect_assets(depsgraph)
    rows = [number for number, each in enumerate(visible.instances) if each["name"] == ob.name_full]
    if payload.find_hash(ob.near.asset) is None:
        raise errors.NearError("The asset of {name} is not in this file.", "Find the missing library.", name=ob.name)
    if not rows:
        raise errors.NearError("{name} is hidden.", "Show it, then bake it.", name=ob.name)
    light = world.read_light(depsgraph)
    if not isinstance(light, WorldLight):
        return light
    shining = lamps.collect_lamps(depsgraph)
    if shining.bakes:
        return shining.bakes[0]
    _, request = sync.make_request(depsgraph.scene_eval, visible, light, ("Combined",), False, shining)
    request["instances"] = [request["instances"][rows[0]]]
    wanted = {request["instances"][0]["asset"], request["instances"][0].get("deformation"),
              request["environment"]["map"]}
    if request["instances"][0].get("deformation"):  # its cube is larger than the one at rest
        shrunk = np.linalg.det(np.array(ob.evaluated_get(depsgraph).matrix_world)[:3, :3])
        if abs(shrunk) > 1e-12:
            grown = np.linalg.det(np.asarray(request["instances"][0]["matrix"])[:3, :3])
            request["extent"] = float(abs(grown / shrunk) ** (1 / 3))
    request["needs"] = {key: read for key, read in request["needs"].items() if key in wanted}
    return client.bake(kind, side=side, **request)


CLASSES = (NEAR_OT_bake_mesh, NEAR_OT_bake_splats, NEAR_OT_export_asset)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
