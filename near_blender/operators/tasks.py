"""The one long task of the preferences that may be under way, in a worker process of its own that Blender looks at now
and then: fetching and checking what published models need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bpy

from .. import log, translations
from .._core import errors
from ..client import worker_process

INTERVAL = 0.2  # seconds between looks at the task


@dataclass
class BackgroundTask:
    """Work under way. done: called on the main thread with the worker's answer; returns the sentence to report."""

    title: errors.Message
    worker: worker_process.WorkerProcess
    job: worker_process.JobHandle
    done: Callable[[dict[str, Any]], str]


_current: BackgroundTask | None = None
_outcome: tuple[bool, str] | None = None


def get_current() -> BackgroundTask | None:
    """The task under way, for the preferences."""
    return _current


def get_outcome() -> tuple[bool, str] | None:
    """Whether the last task went well, and the sentence it ended with."""
    return _outcome


def start(operator: bpy.types.Operator, title: errors.Message, op: str, done: Callable[[dict[str, Any]], str],
          python: str = "", **fields: Any) -> set[str]:
    """Has a worker of its own do `op`; for execute(). Scripts and background mode wait for it."""
    global _current, _outcome
    worker = worker_process.WorkerProcess(worker_process.Backend(python))
    _current, _outcome = BackgroundTask(title, worker, worker.submit(op, **fields), done), None
    if not bpy.app.background:
        # a timer, not a modal operator: closing the preferences or opening another file must not stop a download
        bpy.app.timers.register(_look, first_interval=INTERVAL, persistent=True)
        return {"FINISHED"}
    try:
        _current.job.wait()
    except KeyboardInterrupt:
        _current.job.cancel()
        raise
    well, text = conclude()
    operator.report({"INFO"} if well else {"ERROR"}, text)
    return {"FINISHED"} if well else {"CANCELLED"}


def conclude() -> tuple[bool, str]:
    """Ends the current task, which is done; returns its outcome."""
    global _current, _outcome
    task, _current = _current, None
    try:
        _outcome = True, task.done(task.job.result())
    except errors.Cancelled:
        _outcome = True, translations.say("{title} stopped; starting it again goes on from there",
                                          title=task.title)
    except errors.NearError as error:
        log.add(str(error))
        _outcome = False, translations.explain(error)
    task.worker.stop()
    return _outcome


def _look() -> float | None:
    """Redraws the preferences while a task is under way; concludes it when it is done."""
    if _current is not None and _current.job.done:
        conclude()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()
    return INTERVAL if _current is not None else None


def is_idle(operator: type[bpy.types.Operator]) -> bool:
    """For poll(): one task at a time."""
    if _current is None:
        return True
    operator.poll_message_set(translations.say("{title} is under way", title=_current.title))
    return False


def register() -> None:
    pass


def unregister() -> None:
    global _current
    if _current is not None:
        _current.worker.stop()
        _current = None
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
