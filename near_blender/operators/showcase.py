"""Turntable and light sweep: pictures of the scene from all around, or in many lights, with a contact sheet."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty
from mathutils import Matrix, Vector

from .._core import errors
from ..client import client, worker_process
from ..cycles import contact_sheet
from ..paths import RELATIVE
from ..translations import say
from . import watching
from .jobs import INTERVAL
from .place import report_errors
from .status import shorten, show_status

_OWN = ("location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale")  # place of an object


class _Showcase(watching.Called):
    """An operator that renders a row of stills into a folder: one render after the other, each Blender's own, where an
    artist calls it; waited for where a script does."""

    _job: worker_process.JobHandle | None = None  # what the second Blender makes of the stills

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene is None or context.scene.camera is None:
            cls.poll_message_set("The scene has no camera")  # type: ignore[attr-defined]
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        self._is_interactive = True
        return context.window_manager.invoke_props_dialog(  # it takes a while: ask first
            self, confirm_text="Render")  # type: ignore[arg-type]

    def execute(self, context: bpy.types.Context) -> Any:
        with report_errors(self):  # type: ignore[arg-type]
            context.view_layer.update()  # what a script has just moved
            self._folder, self._paths = self._open_folder(), list[Path]()
            self._count, self._stills = self.list_stills(context, self._folder)
            _remove_old(self.plan(context, self._folder))
            if bpy.app.background or not self._is_interactive:
                with contextlib.closing(self._stills):  # where one fails, too, all is as it was
                    for path in self._stills:
                        _draw_still(context.scene, path)
                        self._paths.append(path)
                return self._tell(contact_sheet.gather(self._paths, **self.plan(context, self._folder)))
            self._path: Path | None = None  # of the still that is being rendered
            self._ended = ""  # how
            bpy.app.handlers.render_complete.append(self._on_complete)
            bpy.app.handlers.render_cancel.append(self._on_cancel)
            return watching.watch(self, context, INTERVAL)
        return {"CANCELLED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Nothing else is done meanwhile: an undo would take the scene away from under the render."""
        if event.type == "ESC" and event.value == "PRESS":
            self._ended = "cancelled"
        app: Any = bpy.app
        rendering = app.is_job_running("RENDER")
        if rendering or event.type != "TIMER" and self._ended != "cancelled":
            return {"RUNNING_MODAL"}
        if self._ended == "cancelled":
            self.cancel(context)
            if self._paths and self._job is None:  # beside the artist, who goes on
                client.gather([str(path) for path in self._paths], **self.plan(context, self._folder) | {"movie": ""})
            self.report({"INFO"}, say("Stopped after {done} of {count} pictures",  # type: ignore[attr-defined]
                                      done=len(self._paths), count=self._count))
            return {"CANCELLED"}
        return self._gather(context) if self._job is not None else self._go_on(context)

    def _go_on(self, context: bpy.types.Context) -> set[str]:
        """Has the next still rendered, or what becomes of all made."""
        with report_errors(self):  # type: ignore[arg-type]
            if self._path is not None and self._ended:
                if not os.path.isfile(self._path):
                    raise errors.NearError("{file} could not be rendered.", "See the message above.",
                                           file=self._path.name)
                self._paths.append(self._path)
                self._path = None
            if self._path is None:
                self._path, self._ended = next(self._stills, None), ""
                if self._path is None:
                    self._job = client.gather([str(path) for path in self._paths], **self.plan(context, self._folder))
                    return {"RUNNING_MODAL"}
                show_status(context, say("NeAR: picture {number} of {count} (Esc stops)", number=len(self._paths) + 1,
                                         count=self._count))
                _draw_still(context.scene, self._path, waits=False)
            return {"RUNNING_MODAL"}
        self.cancel(context)
        return {"CANCELLED"}

    def _gather(self, context: bpy.types.Context) -> set[str]:
        """Waits for what becomes of the stills."""
        assert self._job is not None
        show_status(context, say("NeAR: {name}: {status} (Esc stops it)", name=shorten(self._folder.name),
                                 status=errors.Message(self._job.phase)))
        if not self._job.done:
            return {"RUNNING_MODAL"}
        self.cancel(context)
        with report_errors(self), contextlib.suppress(errors.Cancelled):  # type: ignore[arg-type]
            return self._tell(self._job.result()["wrote"])
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> Any:
        """Called by Blender too, when another file is opened."""
        if self._job is not None:
            self._job.cancel()
        self._stills.close()  # all is as it was
        for handlers, own in ((bpy.app.handlers.render_complete, self._on_complete),
                              (bpy.app.handlers.render_cancel, self._on_cancel)):
            if own in handlers:
                handlers.remove(own)
        watching.leave(self, context)
        show_status(context, None)

    def _on_complete(self, *_: Any) -> None:
        self._ended = self._ended or "complete"

    def _on_cancel(self, *_: Any) -> None:
        self._ended = "cancelled"

    def _tell(self, wrote: bool) -> set[str]:
        """wrote: a movie."""
        self.report({"INFO"}, self.describe(len(self._paths), self._folder, wrote))  # type: ignore[attr-defined]
        return {"FINISHED"}

    def _open_folder(self) -> Path:
        """The folder that is written into. Raises NearError where none can be made."""
        directory: str = self.directory  # type: ignore[attr-defined]
        if directory.startswith("//") and not bpy.data.filepath:
            raise errors.NearError("This file has no folder yet.", "Save it, or choose a folder.")
        folder = Path(bpy.path.abspath(directory))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.NearError("{folder} could not be made ({reason}).", "Choose another folder.",
                                   folder=folder.name, reason=error.strerror) from error
        return folder

    def list_stills(self, context: bpy.types.Context, folder: Path) -> tuple[int, Generator[Path, None, None]]:
        """How many stills there are, and what gives the file of one after the other while the scene is set up for it;
        after each, all is as it was."""
        raise NotImplementedError

    def plan(self, context: bpy.types.Context, folder: Path) -> dict[str, Any]:
        """What becomes of the stills, as contact_sheet.gather takes it."""
        raise NotImplementedError

    def describe(self, count: int, folder: Path, wrote: bool) -> str:
        """What to report. wrote: a movie."""
        raise NotImplementedError


class NEAR_OT_render_turntable(_Showcase, bpy.types.Operator):
    bl_idname = "near.render_turntable"
    bl_label = "Render Turntable"
    bl_description = "Render the scene with its camera going around the active object: frames, contact sheet, movie"
    bl_options = {"REGISTER"}

    directory: StringProperty(
        name="Folder", subtype="DIR_PATH", options=RELATIVE, default="//turntable", description="Where to write")
    frames: IntProperty(name="Frames", default=48, min=2, max=2000, description="Pictures of one turn")
    movie: BoolProperty(name="Movie", default=True, description="Write turntable.mp4 as well")

    def list_stills(self, context: bpy.types.Context, folder: Path) -> tuple[int, Generator[Path, None, None]]:
        scene, camera, ob = context.scene, context.scene.camera, context.object
        middle = Vector() if ob is None else ob.matrix_world @ (sum(
            (Vector(corner) for corner in ob.bound_box), Vector()) / 8)
        start = camera.matrix_world.copy()

        def turn() -> Generator[Path, None, None]:
            for number in range(self.frames):
                around = (Matrix.Translation(middle) @ Matrix.Rotation(2 * math.pi * number / self.frames, 4, "Z")
                          @ Matrix.Translation(-middle))
                with _left_as_it_was(scene), _standing(camera, around @ start):
                    yield folder / f"turntable_{number:04}.png"

        return self.frames, turn()

    def plan(self, context: bpy.types.Context, folder: Path) -> dict[str, Any]:
        return {"sheet": str(folder / "turntable_sheet.png"), "most": 24, "rate": context.scene.render.fps,
                "movie": str(folder / "turntable.mp4") if self.movie else ""}

    def describe(self, count: int, folder: Path, wrote: bool) -> str:
        if wrote:
            return say("{count} frames, a contact sheet and a movie in {folder}", count=count, folder=folder)
        return say("{count} frames and a contact sheet in {folder}", count=count, folder=folder)


class NEAR_OT_render_light_sweep(_Showcase, bpy.types.Operator):
    bl_idname = "near.render_light_sweep"
    bl_label = "Render Light Sweep"
    bl_description = ("Render the scene in the light of every World of the file, from every camera, with a contact "
                      "sheet")
    bl_options = {"REGISTER"}

    directory: StringProperty(
        name="Folder", subtype="DIR_PATH", options=RELATIVE, default="//light_sweep", description="Where to write")

    def list_stills(self, context: bpy.types.Context, folder: Path) -> tuple[int, Generator[Path, None, None]]:
        scene = context.scene
        cameras = sorted((ob for ob in scene.objects if ob.type == "CAMERA"), key=lambda ob: ob.name)
        worlds = sorted(bpy.data.worlds, key=lambda world: world.name_full)
        self._columns = len(cameras) if len(cameras) > 1 else contact_sheet.COLUMNS

        def sweep() -> Generator[Path, None, None]:
            pairs = [(world, camera) for world in worlds for camera in cameras]
            names = name_files([f"{world.name}_{camera.name}" for world, camera in pairs])
            for (world, camera), name in zip(pairs, names):
                with _left_as_it_was(scene):
                    scene.world, scene.camera = world, camera
                    yield folder / f"{name}.png"

        return len(worlds) * len(cameras), sweep()

    def plan(self, context: bpy.types.Context, folder: Path) -> dict[str, Any]:
        return {"sheet": str(folder / "light_sweep_sheet.png"), "columns": self._columns}

    def describe(self, count: int, folder: Path, wrote: bool) -> str:
        return say("{count} pictures, one of every World and camera, in {folder}", count=count, folder=folder)


def _remove_old(planned: dict[str, Any]) -> None:
    """Takes away contact sheet and movie of other pictures. planned: as of contact_sheet.gather."""
    for path in filter(None, (planned["sheet"], planned.get("movie"))):
        with contextlib.suppress(OSError):  # who writes it anew says why it can't be written
            os.unlink(path)


def name_files(names: list[str]) -> list[str]:
    """Names that a file system takes, no two alike, not even where capitals do not count."""
    found: list[str] = []
    for name in names:
        clean = own = bpy.path.clean_name(name)
        number = 1
        while own.lower() in {other.lower() for other in found}:
            number += 1
            own = f"{clean}_{number}"
        found.append(own)
    return found


@contextlib.contextmanager
def _left_as_it_was(scene: Any) -> Iterator[None]:
    """Gives the scene its camera, World and file back."""
    render, settings = scene.render, scene.render.image_settings
    kept = scene.camera, scene.world, render.filepath, settings.file_format, settings.color_mode, settings.color_depth
    media, views = getattr(settings, "media_type", None), render.use_multiview
    try:
        yield
    finally:
        if media is not None:
            settings.media_type = media
        (scene.camera, scene.world, render.filepath, settings.file_format, settings.color_mode,
         settings.color_depth) = kept
        render.use_multiview = views


@contextlib.contextmanager
def _standing(ob: Any, matrix: Matrix) -> Iterator[None]:
    """Meanwhile ob stands at matrix, whatever else moves it."""
    muted = [each for each in ob.constraints if not each.mute]
    animation, own = ob.animation_data, {name: tuple(getattr(ob, name)) for name in _OWN}
    action = animation.action if animation else None
    try:
        for each in muted:
            each.mute = True
        if action is not None:
            animation.action = None
        ob.matrix_world = matrix
        yield
    finally:
        for each in muted:
            each.mute = False
        if action is not None:
            animation.action = action
        for name, values in own.items():
            setattr(ob, name, values)


def _draw_still(scene: Any, path: Path, waits: bool = True) -> None:
    """Renders a .png, or begins to. Raises NearError."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, scene.render.filepath = "PNG", "RGBA", str(path)
    scene.render.use_multiview = False  # whose pictures go to two files, of other names
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise errors.NearError("{file} could not be written ({reason}).", "Choose another folder.", file=path.name,
                               reason=error.strerror) from error
    view: Any = bpy.context.preferences.view
    display = view.render_display_type
    try:
        if waits:
            bpy.ops.render.render(write_still=True, scene=scene.name)
        else:
            view.render_display_type = "NONE"  # no window for each of them
            bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    except RuntimeError as error:
        raise errors.NearError("{file} could not be rendered ({reason}).", "See the message above.", file=path.name,
                               reason=str(error).strip()) from error
    finally:
        view.render_display_type = display


CLASSES = (NEAR_OT_render_turntable, NEAR_OT_render_light_sweep)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
