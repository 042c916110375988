"""The status bar, which says what is under way."""

from __future__ import annotations

import bpy

LONGEST = 40  # letters of a name
LOOK_EVERY = 0.5  # seconds

_told: set[str] = set()  # names of the workspaces whose bar says something
_is_busy = False  # whether anything is under way
_said: tuple[str, str | None] = "", None  # the workspace and the text of the last time


def shorten(name: str) -> str:
    """A name that leaves room for the rest of a line."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST - 1]}\u2026"


def show_status(context: bpy.types.Context, text: str | None) -> None:
    """Writes text into the bar of the workspace in front (None gives it back), and has the sidebars drawn again, where
    that is new: a window that is drawn ten times a second takes much of a processor, its 3D views more."""
    global _is_busy, _said
    workspace = context.workspace
    said = workspace.name if workspace is not None else "", text
    _is_busy, is_new, _said = text is not None, said != _said, said
    if workspace is not None and (is_new or text is None):
        workspace.status_text_set(text)
        (_told.add if _is_busy else _told.discard)(workspace.name)
    if _told and not _is_busy and not bpy.app.timers.is_registered(_give_back):
        bpy.app.timers.register(_give_back, first_interval=LOOK_EVERY)
    areas = [area for window in context.window_manager.windows for area in window.screen.areas if is_new]
    for region in (region for area in areas if area.type == "VIEW_3D" for region in area.regions):
        if region.type == "UI":
            region.tag_redraw()


def _give_back() -> float | None:
    """Blender writes into the workspace in front alone: others, where an artist was meanwhile, are given back their bar
    once they are there again."""
    if not _is_busy:
        for window in bpy.context.window_manager.windows:
            if window.workspace.name in _told:
                with bpy.context.temp_override(window=window):
                    window.workspace.status_text_set(None)
                _told.discard(window.workspace.name)
        _told.intersection_update(workspace.name for workspace in bpy.data.workspaces)
    return LOOK_EVERY if _told else None


def register() -> None:
    pass


def unregister() -> None:
    global _is_busy, _said
    _is_busy, _said = False, ("", None)
    _give_back()
    _told.clear()
    if bpy.app.timers.is_registered(_give_back):
        bpy.app.timers.unregister(_give_back)
