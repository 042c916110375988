"""Modal operators that look at work under way now and then. Blender drops one without a word when its class goes, so
they end with the add-on."""

from __future__ import annotations

from typing import Any

import bpy

from .. import log

_watching: list[tuple[Any, Any]] = []  # operators that go on, with their timers


def watch(operator: Any, context: bpy.types.Context, interval: float) -> set[str]:
    """Has an operator's modal() be called every so many seconds, until leave(); for invoke()."""
    manager = context.window_manager
    timer = manager.event_timer_add(interval, window=context.window)
    manager.modal_handler_add(operator)
    _watching.append((operator, timer))
    return {"RUNNING_MODAL"}


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
