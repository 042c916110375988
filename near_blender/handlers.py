"""Blender's handlers: what of ours it calls when something happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import bpy


def add(own: Mapping[str, Callable[..., Any]]) -> None:
    """Has functions called, each by the handler of bpy.app.handlers whose name it has, where this Blender has that."""
    for name, function in own.items():
        if hasattr(bpy.app.handlers, name):
            getattr(bpy.app.handlers, name).append(function)


def remove(own: Mapping[str, Callable[..., Any]]) -> None:
    """No more: the same as were added, unless a script has taken them out already, as one that clears all does."""
    for name, function in own.items():
        if function in getattr(bpy.app.handlers, name, ()):
            getattr(bpy.app.handlers, name).remove(function)
