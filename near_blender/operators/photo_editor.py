"""An Image Editor in which an operator shows a photo, and listens to the mouse, for as long as it goes on."""

from __future__ import annotations

from functools import partial
from typing import Any

import bpy
import numpy as np

LOOK_EVERY = 0.5  # seconds
_opened: set[int] = set()  # windows, by their pointers, that nothing else was opened for


class PhotoEditor:
    """The Image Editor of a context. name: of the image that it shows meanwhile."""

    def __init__(self, context: bpy.types.Context, name: str) -> None:
        self._area, self._region, self._name = context.area, context.region, name
        self._window = context.window.as_pointer()
        self._said: str | None = None
        self._image = ""  # names: undo elsewhere, while an operator goes on, exchanges what they name
        space: Any = context.area.spaces.active
        self._before = "" if space.image is None else space.image.name

    def show(self, picture: np.ndarray) -> None:
        """Shows a picture (H, W, 4) float32 sRGB, row 0 at the bottom; of one size all the time."""
        image: Any = bpy.data.images.get(self._image)
        if image is None:
            image = bpy.data.images.new(self._name, picture.shape[1], picture.shape[0], alpha=False)
            self._image = image.name
            space: Any = self._area.spaces.active
            space.image = image
            with bpy.context.temp_override(area=self._area, region=self._region):
                bpy.ops.image.view_all(fit_view=True)
        image.pixels.foreach_set(np.ascontiguousarray(picture, np.float32).ravel())
        image.update()
        self._area.tag_redraw()

    def tell(self, text: str | None) -> None:
        """Writes text into the editor's header; None gives it back."""
        if text != self._said:
            self._said = text
            self._area.header_text_set(text)

    def place(self, event: bpy.types.Event) -> tuple[float, float]:
        """Where the mouse is on the photo, in shares of its size from its top left."""
        x, y = self._region.view2d.region_to_view(event.mouse_x - self._region.x, event.mouse_y - self._region.y)
        return x, 1 - y

    def is_open(self) -> bool:
        """Whether it is still there."""
        return any(area == self._area and area.type == "IMAGE_EDITOR"
                   for screen in bpy.data.screens for area in screen.areas)

    def is_inside(self, event: bpy.types.Event) -> bool:
        """Whether the mouse is over it."""
        x, y = event.mouse_x - self._region.x, event.mouse_y - self._region.y
        return 0 <= x < self._region.width and 0 <= y < self._region.height

    def close(self) -> None:
        """Gives the editor what it showed before; a window that was opened for it goes."""
        image: Any = bpy.data.images.get(self._image)
        if self.is_open():
            self.tell(None)
            space: Any = self._area.spaces.active
            if space.image == image:
                space.image = bpy.data.images.get(self._before)
        if image is not None:
            bpy.data.images.remove(image)
        _give_back(self._window)


def is_image_editor(operator: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """For poll(): photos are drawn on in an Image Editor."""
    if context.area is not None and context.area.type == "IMAGE_EDITOR":
        return True
    operator.poll_message_set("Photos are drawn on in an Image Editor")
    return False


def run_in_editor(context: bpy.types.Context, operator: Any, apart: bool = False, **properties: Any) -> None:
    """Has an operator begin in an Image Editor that is open, or in one in a new window. apart: in another window, since
    a dialog holds this one."""
    window, area = _find_editor(context, apart)
    region = next(region for region in area.regions if region.type == "WINDOW")
    began: set[str] = set()
    try:
        with context.temp_override(window=window, area=area, region=region):
            began = operator("INVOKE_DEFAULT", **properties)
    finally:
        if "RUNNING_MODAL" not in began:
            _give_back(window.as_pointer())


def _give_back(pointer: int) -> None:
    """Closes a window that was opened for an editor."""
    if pointer in _opened:
        _opened.remove(pointer)
        bpy.app.timers.register(partial(_close_window, pointer))  # not from within what it handles


def _close_window(pointer: int) -> float | None:
    """For a timer: looks again in so many seconds where Blender lets nobody close it, as while it renders."""
    for window in bpy.context.window_manager.windows:
        if window.as_pointer() == pointer and len(window.screen.areas) == 1:
            try:
                with bpy.context.temp_override(window=window):
                    bpy.ops.wm.window_close()
            except RuntimeError:
                return LOOK_EVERY
    return None


def _find_editor(context: bpy.types.Context, apart: bool) -> tuple[bpy.types.Window, bpy.types.Area]:
    for window in context.window_manager.windows:
        for area in () if apart and window == context.window else window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                return window, area
    bpy.ops.wm.window_new()
    window = context.window_manager.windows[-1]
    _opened.add(window.as_pointer())
    area = max(window.screen.areas, key=lambda each: each.width * each.height)
    area.type = "IMAGE_EDITOR"
    return window, area
