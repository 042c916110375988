"""What a script in a Blender with a window does by hand: the mouse over a photo, and screenshots; and what is its share
of the time until that is seen."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy


def window():
    return bpy.context.window_manager.windows[0]


def area(kind: str):
    return next(a for a in window().screen.areas if a.type == kind)


def region():
    return next(r for r in area("IMAGE_EDITOR").regions if r.type == "WINDOW")


def mouse(*actions: str) -> None:
    found = subprocess.run(["xdotool", "search", "--class", "blender"], capture_output=True, text=True).stdout.split()
    subprocess.run(["xdotool", *(word.replace("WINDOW", found[-1]) for word in actions)], check=True)


def press(key: str) -> None:
    """With the mouse over the viewport."""
    subprocess.Popen(["xdotool", "mousemove", "400", "400", "key", key])


def viewport() -> dict[str, Any]:
    """The first 3D View, as temp_override takes it."""
    view = area("VIEW_3D")
    return {"window": window(), "area": view, "region": next(each for each in view.regions if each.type == "WINDOW")}


def in_viewport(operator: Callable, *arguments: str, **options: Any) -> Any:
    """Calls an operator as from there."""
    with bpy.context.temp_override(**viewport()):
        return operator(*arguments, **options)


def at(x: float, y: float) -> list[str]:
    """Moves the mouse to a place on the photo, in shares of its size from its top left."""
    right, up = region().view2d.view_to_region(x, 1 - y, clip=False)
    return ["mousemove", "--window", "WINDOW", str(region().x + right), str(window().height - region().y - up)]


def draw_box(act: Callable[..., None], place: Callable[[float, float], list[str]]) -> Iterator[float]:
    """Steps of a script that put a box around the cup alone. act: as mouse, place: as at, in the photo's window."""
    act(*place(0.5, 0.5), "key", "b")
    yield 0.3
    act(*place(0.26, 0.02), "mousedown", "1")
    yield 0.2
    act(*place(0.5, 0.5))
    yield 0.2
    act(*place(0.71, 0.66), "mouseup", "1")


def screenshot(path: Path) -> None:
    subprocess.run(["import", "-window", "root", str(path)])


class Watch:
    """Counts, from its making on, seconds by the clock and what Blender's main thread and our processes took of the
    processor meanwhile, which other programs do not prolong."""

    def __init__(self) -> None:
        self._start, self._used = time.monotonic(), _list_used()

    def read(self) -> list[float]:
        """Seconds by the clock, of the processor."""
        used = sum(seconds - self._used.get(thread, 0) for thread, seconds in _list_used().items())
        return [round(time.monotonic() - self._start, 3), round(used, 3)]


def _list_used() -> dict[str, float]:
    """Seconds of the processor that each thread has had: Blender's main one and all of its child processes."""
    own = Path("/proc/self/task")
    pids = [pid for listed in own.glob("*/children") for pid in listed.read_text().split()]
    found = {}
    for task in [own / str(os.getpid()), *(task for pid in pids for task in Path(f"/proc/{pid}/task").glob("*"))]:
        with contextlib.suppress(OSError):  # it has ended
            found[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found
