"""The passes that a compositor puts a picture together from, as Cycles divides light: (Diffuse Direct + Diffuse
Indirect) times Diffuse Color, the same of Glossy and Transmission, Volume, Emission and Environment add up to Combined.

On its way light has its colour in it, so that what is mixed of it adds up; files and Blender get it without.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .. import scene

KINDS = (*scene.KINDS, "Transmission")  # the latter of ordinary things alone
PATHS = ("Direct", "Indirect")
COLORED = tuple(f"{kind} {part}" for kind in KINDS for part in (*PATHS, "Color"))
NAMES = (*COLORED, "Volume Direct", "Volume Indirect", "Emission", "Environment")
OF_ASSETS = tuple(name for name in NAMES if name in scene.CHANNELS)


def complete(wanted: Iterable[str]) -> tuple[str, ...]:
    """The wanted passes and those that they cannot be made without: the colours, and the World of light groups."""
    wanted = tuple(wanted)
    needed = (f"{kind} Color" for kind in KINDS if {f"{kind} {path}" for path in PATHS} & {*wanted})
    return tuple(dict.fromkeys((*wanted, *needed, *["Environment"] * bool(scene.list_groups(wanted)))))


def take_color(made: dict[str, np.ndarray]) -> None:
    """Divides light by its colour, in place; there is none where that is black."""
    for kind in KINDS:
        color = made.get(f"{kind} Color")
        for light in (made[name] for path in PATHS if (name := f"{kind} {path}") in made):
            np.divide(light, color, out=light, where=color > 0)
            light[color <= 0] = 0
