"""Runs a script inside a Blender with a window, step by step, so that the window lives on between them; how long our
functions held it is among the events that it notes."""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

import near_blender
from near_blender import log
from tests.gui import hand, holds

OUT, SCRIPT = Path(sys.argv[-2]), sys.argv[-1]
events: dict = {"blender": bpy.app.version_string}
holds.watch()


def run(script: Iterator[float]) -> None:
    """Takes a step of script when the seconds that the last one gave have passed; in the end writes the events, with
    the log and what went wrong as "error", and quits Blender."""
    def step() -> float | None:
        if not holds.handlers and hasattr(bpy.types.Scene, "near"):
            holds.watch_handlers()
        try:
            return next(script)
        except StopIteration:
            pass
        except Exception:
            events["error"] = traceback.format_exc()
        events.update(log=log.get_text(), holds=holds.list_long())
        (OUT / f"{SCRIPT}.json").write_text(json.dumps(events, indent=1))
        holds.leave_handlers()
        near_blender.unregister()
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(step, first_interval=1.0)


def press_f12(path: Path) -> Iterator[float]:
    """Renders into a file as an artist does, and waits until that is there; yielded from inside a script."""
    ended: list[float] = []
    bpy.app.handlers.render_complete.append(lambda *_: ended.append(time.monotonic()))
    bpy.context.scene.render.filepath = str(path)
    with bpy.context.temp_override(window=hand.window()):
        bpy.ops.render.render("INVOKE_DEFAULT", write_still=True)
    yield from until(lambda: ended, 200)
    yield 1.0


def close_windows() -> Iterator[float]:
    """All but the main one."""
    while len(bpy.context.window_manager.windows) > 1:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
            bpy.ops.wm.window_close()
        yield 0.2


def until(condition: Callable[[], object], seconds: float) -> Iterator[float]:
    """Lets Blender go on until condition() or for so many seconds; yielded from inside a script."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        yield 0.02
