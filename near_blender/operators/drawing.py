"""Draw Hints: an artist draws on a photo what of it is the object, and sees at once what is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from .. import translations
from .._core import errors
from ..asset import photo_options
from ..asset.sketch import Sketch
from ..client import client
from ..translations import say
from . import watching
from .photo_editor import PhotoEditor, is_image_editor, run_in_editor
from .place import report_errors

INTERVAL = 0.05  # seconds between looks at the worker
LARGER = 1.25  # times; a step of the brush's radius
HELP = ("Drag: this is object, with Ctrl: this is not.  B and drag: box.  N: next object.  [ ]: brush.  Z: undo.  "
        "Enter: {purpose}.  Esc: leave")
NAME = "NeAR Matte"


@dataclass
class PhotoDrawing:
    """A photo that is drawn on. path: its file. hints: what is drawn on it already, as photo_options.write_hints has
    it. matting: what finds the object, one of create.MATTINGS. purpose: what Enter does. accept: does it, with an
    operator that reports, and what was drawn; gives how the operator ends."""

    path: str
    hints: str
    matting: str
    purpose: errors.Message
    accept: Callable[[bpy.types.Context, bpy.types.Operator, str], set[str]]


_begun: PhotoDrawing | None = None  # for the operator that is started next: its properties hold no functions


def begin(context: bpy.types.Context, drawing: PhotoDrawing, apart: bool = False) -> None:
    """Has an artist draw on a photo. apart: as of run_in_editor."""
    global _begun
    _begun = drawing
    ops: Any = bpy.ops
    try:
        run_in_editor(context, ops.near.draw_hints, apart)
    finally:
        _begun = None


class NEAR_OT_draw_hints(bpy.types.Operator):
    bl_idname = "near.draw_hints"
    bl_label = "Draw Hints"
    bl_description = "Draw on the photo that this Image Editor shows"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return is_image_editor(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if _begun is None:
            return {"CANCELLED"}
        self._drawing = _begun
        self._sketch = Sketch(photo_options.read_hints(self._drawing.hints))
        self._editor = PhotoEditor(context, NAME)
        self._draws = self._boxes = self._waits = False
        self._find()
        self._editor.tell(say("Looking at the photo"))
        return watching.watch(self, context, INTERVAL)

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
            self._find()
        self._show()

    def _find(self) -> None:
        self._job: Any = client.find_matte(self._drawing.path, self._sketch.hints, self._drawing.matting)

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
        line = say(HELP, purpose=self._drawing.purpose)
        if number:
            line += "   " + say("Object {number} of {count}", number=number, count=found["objects"])
        self._editor.tell(line)

    def _show(self) -> None:
        """Draws the sketch into the image that the editor shows."""
        drawn = self._sketch.draw()
        if drawn is not None:
            self._editor.show(drawn)

    def _accept(self, context: bpy.types.Context) -> set[str]:
        """Does what the drawing is for."""
        self.cancel(context)
        with report_errors(self):
            return self._drawing.accept(context, self, photo_options.write_hints(self._sketch.hints))
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender too, when another file is opened or the window closed."""
        if self._job is not None:
            self._job.cancel()
        watching.leave(self, context)
        self._editor.close()


CLASSES = (NEAR_OT_draw_hints,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
