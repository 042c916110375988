"""How long each of our functions that Blender calls holds its main thread, whichever way it is called.

What a window without a graphics card takes to draw itself, or Blender to begin a render, is none of it.
"""

import contextlib
import functools
import inspect
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import bpy

import near_blender
from near_blender.cycles import scene as cycles_scene
from near_blender.engine import viewport

CALLED = ("invoke", "execute", "modal", "cancel", "draw", "draw_header", "poll", "view_update", "view_draw",
          "update_render_passes")
longest: dict[str, list[float]] = {}  # name -> seconds that the longest call held it, and of them of the processor
_SCHEDULED = Path(f"/proc/self/task/{os.getpid()}/schedstat")
_depth = threading.local()
handlers: list = []  # as they were


def watch() -> None:
    """Has every call noted. To be called before anything is registered: Blender remembers what it was given."""
    for base in (bpy.types.Operator, bpy.types.Panel, bpy.types.Menu, bpy.types.RenderEngine,
                 bpy.types.AddonPreferences):
        for kind in _list_classes(base):
            for name in CALLED:
                owner = next((each for each in kind.__mro__ if name in vars(each)), None)  # where others share it
                if owner is not None and _is_ours(owner):
                    _wrap(kind, name, f"{kind.__name__}.{name}")
    _wrap(cycles_scene, "_write", "cycles_scene._write")
    _wrap(viewport, "_look", "viewport._look")


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Notes nothing meanwhile: a script, or Blender that repeats something, waits for what an artist watches."""
    _depth.inside = True
    try:
        yield
    finally:
        _depth.inside = False


def watch_handlers() -> None:
    """The same for what is called when a scene changes; once it is registered."""
    for listed in (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)):
        for number, handler in enumerate(listed if isinstance(listed, list) else ()):
            if _is_ours(handler):
                handlers.append(handler)
                listed[number] = _watched(handler, handler.__qualname__)


def leave_handlers() -> None:
    """Gives them back, so that they can be unregistered."""
    for listed in (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)):
        for number, handler in enumerate(listed if isinstance(listed, list) else ()):
            listed[number] = next((each for each in handlers if each is getattr(handler, "__wrapped__", None)), handler)


def _is_ours(owner: object) -> bool:
    return getattr(owner, "__module__", "").startswith(near_blender.__name__)


def _list_classes(base: type):
    for kind in base.__subclasses__():
        if _is_ours(kind):
            yield kind
        yield from _list_classes(kind)


def _wrap(owner: object, name: str, called: str) -> None:
    kept = inspect.getattr_static(owner, name)
    if isinstance(kept, classmethod):
        setattr(owner, name, classmethod(_watched(kept.__func__, called)))
    else:
        setattr(owner, name, _watched(kept, called))


def _watched(function, called: str):
    def call(*arguments):
        if threading.current_thread() is not threading.main_thread() or getattr(_depth, "inside", False):
            return function(*arguments)
        _depth.inside = True
        start, waited, own = time.monotonic(), _count_waited(), time.thread_time()
        try:
            return function(*arguments)
        finally:
            _depth.inside = False
            own, waited = time.thread_time() - own, _count_waited() - waited
            _note(called, time.monotonic() - start - waited, own)

    names = ", ".join(function.__code__.co_varnames[:function.__code__.co_argcount])  # Blender counts them
    if function.__code__.co_flags & inspect.CO_VARARGS:
        return functools.wraps(function)(call)
    return functools.wraps(function)(eval(f"lambda {names}: call({names})", {"call": call}))


def _count_waited() -> float:
    """Seconds that the main thread was ready to run and another program had the processor: nobody's hold."""
    return int(_SCHEDULED.read_text().split()[1]) / 1e9


def _note(called: str, wall: float, own: float) -> None:
    kept = longest.setdefault(called, [0.0, 0.0])
    kept[:] = round(max(kept[0], wall), 3), round(max(kept[1], own), 3)


def list_long(seconds: float = 0.02) -> dict[str, list[float]]:
    """Those that held it for so long at least, the longest first."""
    found = {name: times for name, times in longest.items() if times[0] >= seconds}
    return dict(sorted(found.items(), key=lambda each: -each[1][0]))
