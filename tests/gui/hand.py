"""What a script in a Blender with a window does by hand: the mouse over a photo, and screenshots."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

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
