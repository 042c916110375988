"""What is known of a file, to be forgotten when another one is opened."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from . import handlers

_forgetters: list[Callable[[], None]] = []


def add(forget: Callable[[], None]) -> None:
    """Has forget called after another file was opened."""
    _forgetters.append(forget)


def remove(forget: Callable[[], None]) -> None:
    """No more; forgets now."""
    _forgetters.remove(forget)
    forget()


@bpy.app.handlers.persistent
def _on_load(_file: str) -> None:
    for forget in _forgetters:
        forget()


_HANDLERS = {"load_post": _on_load}


def register() -> None:
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
