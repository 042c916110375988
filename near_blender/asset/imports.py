"""What comes from other files, by append, link or paste, made tidy: Blender gives a payload that nothing displays an
object of its own, and every append or paste brings another one of the same bytes."""

from __future__ import annotations

from typing import Any

import bpy

from .. import handlers
from . import payload

_known = 0  # meshes, when they were last looked at


def tidy() -> None:
    """Takes away objects that display a payload, and has equal payloads of this file be one."""
    data: Any = bpy.data
    kept: dict[str | None, Any] = {}
    for ob in [ob for ob in data.objects if ob.type == "MESH" and ob.data is not None and payload.is_payload(ob.data)]:
        data.objects.remove(ob)
    for mesh in [mesh for mesh in data.meshes if not mesh.library and payload.find_hash(mesh)]:
        first = kept.setdefault(payload.find_hash(mesh), mesh)
        if first != mesh:
            mesh.user_remap(first)
            data.meshes.remove(mesh)


@bpy.app.handlers.persistent
def _on_import(*_: Any) -> None:
    tidy()


@bpy.app.handlers.persistent
def _on_update(*_: Any) -> None:
    """Before Blender told of imports: looks whenever there are other meshes."""
    global _known
    if len(bpy.data.meshes) == _known:
        return
    _known = len(bpy.data.meshes)
    if bpy.app.background:
        tidy()
    elif not bpy.app.timers.is_registered(tidy):  # not while the scene is evaluated
        bpy.app.timers.register(tidy)


@bpy.app.handlers.persistent
def _on_load(*_: Any) -> None:
    """Another file's meshes may be as many."""
    global _known
    _known = 0


# where Blender tells of imports, what is tidied belongs to their undo step; before, every step back is tidied again
_HANDLERS = ({"blend_import_post": _on_import} if hasattr(bpy.app.handlers, "blend_import_post") else
             {"depsgraph_update_post": _on_update, "undo_post": _on_import, "redo_post": _on_import,
              "load_post": _on_load})


def register() -> None:
    handlers.add(_HANDLERS)


def unregister() -> None:
    handlers.remove(_HANDLERS)
    if bpy.app.timers.is_registered(tidy):
        bpy.app.timers.unregister(tidy)
