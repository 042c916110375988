"""Correct Matte: an artist draws on the photo what of it is the object, and sees at once what is taken for it."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .. import client, photo_options, translations
from .._core import errors
from ..references import Reference
from ..sketch import Sketch
from ..translations import say
from . import jobs
from .origin import find_origin
from .photo_editor import PhotoEditor, is_image_editor, run_in_editor
from .pictures import find_photo
from .place import report_errors

INTERVAL = 0.05  # seconds between looks at the worker
LARGER = 1.25  # times; a step of the brush's radius
HELP = ("Drag: this is object, with Ctrl: this is not.  B and drag: box.  N: next object.  [ ]: brush.  Z: undo.  "
        "Enter: make the asset again.  Esc: leave")
NAME = "NeAR Matte"


class NEAR_OT_correct_matte(bpy.types.Operator):
    bl_idname = "near.correct_matte"
    bl_label = "Correct Matte"
    bl_description = "Draw on the active asset's photo what of it is the object, in an Image Editor"
    bl_options = {"REGISTER"}

    photo: bpy.props.IntProperty(
        name="Photo", min=0, description="Which one of several photos, from 0", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        origin = find_origin(context.object)
        if origin is None or context.window is None or all(each.mask for each in origin.photos or [origin]):
            cls.poll_message_set("The active object was not made from a photo without a mask")
            return False
        if not context.object.is_editable:
            cls.poll_message_set("The active object is linked: make a library override to change it")
            return False
        return jobs.is_idle(cls)

    def execute(self, context: bpy.types.Context) -> set[str]:
        with report_errors(self):
            name = context.object.name  # another window may have another active object
            drawn_on = _find_drawn_on(context.object, self.photo)
            if drawn_on is None or drawn_on.mask:
                raise errors.NearError("That photo has a mask, or is none of the asset's.", "Choose another one.")
            ops: Any = bpy.ops
            run_in_editor(context, ops.near.draw_hints, object_name=name, photo=self.photo,
                          filepath=str(find_photo(drawn_on)))
            return {"FINISHED"}
        return {"CANCELLED"}


class NEAR_OT_draw_hints(bpy.types.Operator):
    bl_idname = "near.draw_hints"
    bl_label = "Draw Hints"
    bl_description = "Draw on the photo that this Image Editor shows"
    bl_options = {"INTERNAL"}

    object_name: bpy.props.StringProperty(
        name="Object", description="Object whose photo is drawn on", options={"SKIP_SAVE"})
    photo: bpy.props.IntProperty(
        name="Photo", min=0, description="Which one of several photos, from 0", options={"SKIP_SAVE"})
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_image_editor(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        ob: Any = bpy.data.objects.get(self.object_name)
        drawn_on = _find_drawn_on(ob, self.photo)
        if drawn_on is None:
            return {"CANCELLED"}
        self._asset = Reference.to_object(ob)
        self._sketch = Sketch(photo_options.read_hints(drawn_on.hints))
        self._path = self.filepath
        self._editor = PhotoEditor(context, NAME)
        self._draws = self._boxes = self._waits = False
        self._matting = photo_options.name_matting(find_origin(ob))
        self._job: Any = client.find_matte(self._path, self._sketch.hints, self._matting)
        self._timer = context.window_manager.event_timer_add(INTERVAL, window=context.window)
        context.window_manager.modal_handler_add(self)
        self._editor.tell(say("Looking at the photo"))
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self._editor.is_open():  # the editor was closed or became another
            self.cancel(context)
            return {"CANCELLED"}
        if event.type == "TIMER":
            self._look()
        elif event.type in ("RET", "NUMPAD_ENTER") and event.value == "PRESS":
            return self._accept(context)
        elif event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        elif not self._handle(event):
            return {"PASS_THROUGH"}
        return {"RUNNING_MODAL"}

    def _handle(self, event: bpy.types.Event) -> bool:
        """Follows the mouse and keys; whether the event meant something."""
        if self._draws:
            if event.type == "MOUSEMOVE":
                self._sketch.extend(*self._editor.place(event))
                self._show()
            elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
                self._draws = False
                self._ask()
            return True
        if not self._editor.is_inside(event) or event.value != "PRESS":
            return False
        if event.type == "LEFTMOUSE":
            kind = "box" if self._boxes else "outside" if event.ctrl else "inside"
            self._sketch.begin(kind, *self._editor.place(event))
            self._draws, self._boxes = True, False
            self._show()
            return True
        return self._press(event.type)

    def _press(self, key: str) -> bool:
        """Does what a key means; whether it means something."""
        sketch = self._sketch
        if key == "B":
            self._boxes = True
        elif key == "N":
            sketch.choose(sketch.hints.number + 1)
            self._ask()
        elif key in ("Z", "BACK_SPACE"):
            sketch.undo()
            self._ask()
        elif key in ("LEFT_BRACKET", "RIGHT_BRACKET"):
            sketch.radius = float(np.clip(sketch.radius * LARGER ** (1 if key == "RIGHT_BRACKET" else -1), 0.003, 0.2))
        else:
            return False
        return True

    def _ask(self) -> None:
        """Has the worker follow the hints, once it has followed the last ones."""
        self._waits = self._job is not None
        if not self._waits:
            self._job = client.find_matte(self._path, self._sketch.hints, self._matting)
        self._show()

    def _look(self) -> None:
        """Shows what the worker has found."""
        if self._job is None or not self._job.done:
            return
        job, self._job = self._job, None
        if self._waits:
            self._ask()
        try:
            found = job.result()
        except errors.Cancelled:
            return
        except errors.NearError as error:
            if self._sketch.hints.number > 1:  # there is no further object: again what stands out
                self._sketch.choose(0)
                self._ask()
            else:
                self._editor.tell(translations.explain(error))
            return
        self._sketch.picture, self._sketch.matte = found["picture"], found["matte"]
        self._show()
        number = self._sketch.hints.number
        line = translations.translate(HELP)
        if number:
            line += "   " + say("Object {number} of {count}", number=number, count=found["objects"])
        self._editor.tell(line)

    def _show(self) -> None:
        """Draws the sketch into the image that the editor shows."""
        drawn = self._sketch.draw()
        if drawn is not None:
            self._editor.show(drawn)

    def _accept(self, context: bpy.types.Context) -> set[str]:
        """Writes the hints down and makes the asset again."""
        ob = self._asset.find()
        drawn_on = _find_drawn_on(ob, self.photo)
        self.cancel(context)
        if drawn_on is None:
            self.report({"WARNING"}, say("{name} is gone.", name=self._asset.name))
            return {"CANCELLED"}
        drawn_on.hints = photo_options.write_hints(self._sketch.hints)
        if ob.name in context.view_layer.objects:
            context.view_layer.objects.active = ob
            ops: Any = bpy.ops
            if ops.near.remake_asset.poll():
                ops.near.remake_asset("INVOKE_DEFAULT")
                return {"FINISHED"}
        self.report({"WARNING"}, say("{name} could not be made again now. It keeps what was drawn: use Make Again",
                                     name=ob.name))
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened or the window closed."""
        context.window_manager.event_timer_remove(self._timer)
        self._editor.close()


def _find_drawn_on(ob: Any, number: int) -> Any:
    """The photo of that number among several, or the only one of an object's asset, with its hints; None where it is
    gone."""
    origin = find_origin(ob)
    if origin is None or not origin.photos:
        return origin
    return origin.photos[number] if number < len(origin.photos) else None


CLASSES = (NEAR_OT_correct_matte, NEAR_OT_draw_hints)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
