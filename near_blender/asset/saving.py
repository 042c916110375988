"""What is seen to when a file is saved, and when something of another file comes in: Blender itself keeps neither the
paths in an add-on's properties nor, from 5.0 on, overrides of groups of them that the library never touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import bpy

from .. import handlers
from . import photo_options

_BESIDE = "//"  # how a path begins that goes from the file's folder
_moved: list[tuple[Any, str, str]] = []  # owner, property and path as it was, while a file is written


def _list_paths(objects: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """Where objects of this file name photos and masks by their place beside it."""
    for ob in objects:
        if ob.near.asset is not None and ob.is_editable:
            for owner in (ob.near.origin, *ob.near.origin.photos):
                for name in photo_options.PATHS:
                    if getattr(owner, name).startswith(_BESIDE):
                        yield owner, name


def _move_paths(objects: Iterable[Any], before: str, now: str) -> Iterator[tuple[Any, str, str]]:
    """Has paths from one folder go from another one, where a file is there; gives what they were. now: empty for none,
    of a file that was never saved and of the startup file; then they name the whole way."""
    for owner, name in list(_list_paths(objects)):
        path = getattr(owner, name)
        file = os.path.normpath(os.path.join(before, path.removeprefix(_BESIDE)))
        if os.path.isfile(file):
            moved = file
            with contextlib.suppress(ValueError):  # another drive
                moved = bpy.path.relpath(file, start=now) if now else file
            owner[name] = moved  # told nobody: it is the same photo
            yield owner, name, path


@bpy.app.handlers.persistent
def _on_saving(file: str, *_: Any) -> None:
    _make_groups()
    before, now = (os.path.dirname(os.path.abspath(path)) if path else "" for path in (bpy.data.filepath, file))
    objects: Any = bpy.data.objects
    _moved[:] = _move_paths(objects, before, now) if before and before != now else []
    _name_home(now)


@bpy.app.handlers.persistent
def _on_saved(file: str, *_: Any) -> None:
    """A copy leaves the open file where it is, and so does one that could not be written."""
    if os.path.abspath(file) != os.path.abspath(bpy.data.filepath):
        for owner, name, path in _moved:
            owner[name] = path
        _name_home(os.path.dirname(os.path.abspath(bpy.data.filepath)) if bpy.data.filepath else "")
    _moved.clear()


@bpy.app.handlers.persistent
def _on_import(told: Any) -> None:
    """What is appended brings paths that go from the file that it comes from; what is pasted from another one, as
    Blender copies it into a file of temporary ones."""
    if "LINK" in told.options:
        return
    now = os.path.dirname(bpy.data.filepath)
    for item in told.import_items:
        if isinstance(item.id, bpy.types.Object) and item.source_library is not None:
            library = os.path.abspath(bpy.path.abspath(item.source_library.filepath))
            home: str = item.id.near.origin.home  # type: ignore[attr-defined]
            if not list(_move_paths([item.id], os.path.dirname(library), now)) and home:
                list(_move_paths([item.id], home, now))


def _name_home(folder: str) -> None:
    """Notes the folder that paths go from."""
    for owner, _ in _list_paths(bpy.data.objects):
        owner.id_data.near.origin.home = folder


def _make_groups() -> None:
    for ob in bpy.data.objects:
        near: Any = ob.near  # type: ignore[attr-defined]
        if near.asset is not None and ob.is_editable:
            near.look.id_properties_ensure()
            near.origin.id_properties_ensure()


# of imports Blender tells from 4.3 on
_HANDLERS = {"save_pre": _on_saving, "save_post": _on_saved, "save_post_fail": _on_saved,
             "blend_import_post": _on_import}


def register() -> None:
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
