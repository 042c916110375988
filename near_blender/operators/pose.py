"""Fit Pose: from where a photo shows a mesh, drawn over the photo, which an artist corrects before it is painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import StringProperty

from .._core import camera as cameras
from .._core import errors
from ..asset import photo_options
from ..client import client
from ..scene import surface_jobs
from ..translations import say
from . import jobs, landing, watching
from .create import find_mesh, name_source
from .photo_editor import PhotoEditor, is_image_editor
from .pictures import check_picture, find_mask
from .place import report_errors

INTERVAL = 0.05  # seconds between looks at the worker
NAME = "NeAR Pose"
HELP = ("Drag: turn, with Ctrl: move.  Wheel: nearer, farther.  [ ]: roll.  F: fit from here.  Z: as it was found.  "
        "Enter: make the asset.  Esc: leave")
DEGREES = 180.0  # that a drag across the whole photo turns
AWAY = 0.02  # logarithm of the distance that a step of the wheel changes


class NEAR_OT_fit_pose(photo_options.PhotoOptions, landing.PlacementOption, bpy.types.Operator):
    bl_idname = "near.fit_pose"
    bl_label = "Fit Pose"
    bl_description = "Show a mesh over a photo, from where it was taken, to be corrected before it is painted"
    bl_options = {"INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    photo: StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # its name, where the file is a copy
    mesh_object: StringProperty(name="Shape", description="Object that the photo shows", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_image_editor(cls, context) and jobs.is_idle(cls)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        with report_errors(self):
            check_picture(Path(self.filepath))
            ob = find_mesh(context, self.mesh_object)
            finds = {angle: getattr(self, switch) for angle, switch in photo_options.FOUND.items()}
            shot = self._shot = photo_options.take_shot(self, Path(self.filepath), find_mask(self), finds)
            matting = self._matting = photo_options.name_matting(self)
            self._surface: Any = None  # once it is read
            self._editor = PhotoEditor(context, NAME)
            try:
                self._job: Any = surface_jobs.start(
                    ob, context.scene, lambda surface: client.find_pose(shot, surface.shape, matting))
            except errors.NearError:
                self._editor.close()
                raise
            self._found: dict[str, Any] = {}  # the worker's last answer
            self._first: Any = None  # stances: as it was found, and now
            self._stance: Any = None
            self._dragged: Any = None  # where the mouse was
            self._waits = False
            return watching.watch(self, context, INTERVAL)
        return {"CANCELLED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self._editor.is_open():  # it was closed or became another
            self.cancel(context)
            return {"CANCELLED"}
        if event.type == "TIMER":
            return self._look(context)
        if event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type in ("RET", "NUMPAD_ENTER") and event.value == "PRESS" and self._is_settled():
            return self._accept(context)
        return {"RUNNING_MODAL"} if self._stance is not None and self._handle(event) else {"PASS_THROUGH"}

    def _handle(self, event: bpy.types.Event) -> bool:
        """Follows the mouse and keys; whether the event meant something."""
        if self._dragged is not None:
            if event.type == "MOUSEMOVE":
                here = self._editor.place(event)
                self._drag(np.subtract(here, self._dragged), event.ctrl)
                self._dragged = here
            elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
                self._dragged = None
            return True
        if not self._editor.is_inside(event) or event.value != "PRESS":
            return False
        if event.type == "LEFTMOUSE":
            self._dragged = self._editor.place(event)
            return True
        stance = self._stance
        moves = {"WHEELUPMOUSE": ("away", -AWAY), "WHEELDOWNMOUSE": ("away", AWAY), "LEFT_BRACKET": ("roll", -1.0),
                 "RIGHT_BRACKET": ("roll", 1.0)}
        if event.type in moves:
            self._ask(stance.move(*moves[event.type]))
        elif event.type == "F":
            self._ask(stance, fits=True)
        elif event.type == "Z":
            self._ask(self._first)
        return event.type in moves or event.type in "FZ"

    def _drag(self, way: np.ndarray, moves: bool) -> None:
        """Turns the mesh, or moves it, by a way across the photo, in shares of its size."""
        stance, (x, y) = self._stance, way.tolist()
        if moves:
            span = self._found["span"]
            self._ask(replace(stance, right=stance.right + x * span, down=stance.down + y * span))
        else:
            self._ask(stance.move("azimuth", -DEGREES * x).move("elevation", DEGREES * y))

    def _ask(self, stance: Any, fits: bool = False) -> None:
        """Has the worker draw a stance, once it has drawn the last one."""
        self._stance, self._fits = stance, fits
        self._waits = self._job is not None
        if not self._waits:
            self._job = client.find_pose(self._shot, self._surface.shape, self._matting, stance, fits)

    def _look(self, context: bpy.types.Context) -> set[str]:
        """Shows what the worker has found."""
        if self._job is not None and self._stance is None:  # a large mesh takes a while
            self._editor.tell(say("Looking for the pose: {phase}, {fraction:.0%}.  Esc: leave",
                                  phase=errors.Message(self._job.phase), fraction=self._job.fraction))
        if self._job is None or not self._job.done:
            return {"RUNNING_MODAL"}
        job, self._job = self._job, None
        with report_errors(self):
            try:
                self._found = job.result()
                self._surface = self._surface or job.surface
            except errors.Cancelled:
                self.cancel(context)
                return {"CANCELLED"}
            if self._waits:
                self._ask(self._stance, self._fits)
            else:
                self._stance = self._found["stance"]
            self._first = self._first or self._found["stance"]
            self._editor.show(np.pad(self._found["picture"].astype(np.float32) / 255, ((0, 0), (0, 0), (0, 1)),
                                     constant_values=1)[::-1])
            self._editor.tell(say("Outlines overlap by {overlap:.0%}.  {help}", overlap=self._found["overlap"],
                                  help=errors.Message(HELP)))
            return {"RUNNING_MODAL"}
        self.cancel(context)
        return {"CANCELLED"}

    def _is_settled(self) -> bool:
        """Whether what is shown is the last stance."""
        return self._job is None and self._stance is not None

    def _accept(self, context: bpy.types.Context) -> set[str]:
        """Paints the mesh as it is shown."""
        busy = jobs.get_current()
        if busy is not None:
            self._editor.tell(say("{name} is being created: press Enter again after it.  {help}", name=busy.name,
                                  help=errors.Message(HELP)))
            return {"RUNNING_MODAL"}
        self.cancel(context)
        shot = replace(self._shot, camera=cameras.from_json(self._found["camera"]))
        photo = Path(self.photo or self.filepath)
        name = photo.stem
        options = {"name": name, "source": photo.name, **photo_options.list_arguments(self)}
        with report_errors(self):
            job: Any = surface_jobs.SurfaceJob(lambda surface: client.create_from_image(
                [shot], mesh=surface.mesh, normalize=True, **options), self._surface)
            return jobs.run(self, context, jobs.Creation(job, name, source=name_source(context, self, job)), wait=False)
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened or the window closed."""
        watching.leave(self, context)
        if self._job is not None:
            self._job.cancel()
        self._editor.close()


CLASSES = (NEAR_OT_fit_pose,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
