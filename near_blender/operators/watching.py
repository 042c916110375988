"""Modal operators that look at work under way now and then. Blender drops one without a word when its class goes, so
they end with the add-on; and it saves nothing by itself while one goes on, so that long ones pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import bpy

from .. import log

PAUSE_EVERY = 60.0  # seconds, the least that Auto Save can be set to
PAUSE = 0.1  # seconds; where it is due, Auto Save looks ten times as often whether it may

_watching: list[tuple[Any, Any]] = []  # operators that go on, with their timers
_since: float = 0.0  # time.monotonic() seconds, when one began or went on


class Called:
    """An operator that knows who calls it: an artist, through invoke(), or a script, who waits for its end."""

    _is_interactive = False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        self._is_interactive = True
        return self.execute(context)  # type: ignore[attr-defined]

    @property
    def _can_be_watched(self) -> bool:
        """Not one that is repeated: Blender lists it already, and must not once more at its end."""
        again: Any = self.options  # type: ignore[attr-defined]
        return self._is_interactive and not (bpy.app.background or again.is_repeat or again.is_repeat_last)


def watch(operator: Any, context: bpy.types.Context, interval: float) -> set[str]:
    """Has an operator's modal() be called every so many seconds, until leave(); for invoke()."""
    global _since
    _since = time.monotonic()
    manager = context.window_manager
    timer = manager.event_timer_add(interval, window=context.window)
    manager.modal_handler_add(operator)
    _watching.append((operator, timer))
    return {"RUNNING_MODAL"}


def find_main_window(context: bpy.types.Context) -> bpy.types.Window:
    """What is watched in a window ends with it: an artist closes one that was opened for a photo."""
    window = context.window or context.window_manager.windows[0]
    while window.parent is not None:
        window = window.parent
    return window


def needs_pause(context: bpy.types.Context) -> bool:
    """Whether Auto Save may have waited for the end of what is watched, and of nothing else."""
    saves = bool(context.preferences.filepaths.use_auto_save_temporary_files)
    windows = context.window_manager.windows
    return saves and time.monotonic() - _since > PAUSE_EVERY and sum(map(_count_modal, windows)) <= 1


def pause(operator: Any, context: bpy.types.Context, go_on: Callable[[], Any]) -> set[str]:
    """Ends an operator for a moment, after which go_on() is called in the same window, or a main one where that is
    closed by then; for modal(). go_on sees to it that another file may have been opened."""
    shown = context.window.as_pointer()

    def again() -> float | None:
        windows = bpy.context.window_manager.windows
        window = next((each for each in windows if each.as_pointer() == shown), find_main_window(bpy.context))
        if _count_modal(window):  # what an artist began just then: above it, Esc would end what is watched
            return PAUSE
        with bpy.context.temp_override(window=window):
            go_on()
        return None
    leave(operator, context)
    bpy.app.timers.register(again, first_interval=PAUSE, persistent=True)
    return {"CANCELLED"}


def _count_modal(window: Any) -> int:
    """How many operators are modal just now in a window, as far as this Blender tells."""
    return len(getattr(window, "modal_operators", ()))


def leave(operator: Any, context: bpy.types.Context) -> None:
    """No more, where it is not so already."""
    for each in [each for each in _watching if each[0] is operator]:
        _watching.remove(each)
        context.window_manager.event_timer_remove(each[1])


def register() -> None:
    pass


def unregister() -> None:
    for operator, _ in list(_watching):
        try:
            operator.cancel(bpy.context)
        except Exception as error:  # the others end nevertheless
            log.explain_bug(error)
        leave(operator, bpy.context)
