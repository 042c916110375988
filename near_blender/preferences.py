"""The add-on's preferences: Check Setup, and where caches are kept."""

from __future__ import annotations

from pathlib import Path

import bpy

from ._core import ADDON
from .operators import setup


def cache_folder() -> Path:
    """Where NeAR keeps what it can compute again; the only place it writes to unasked."""
    if ADDON.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(ADDON, path="cache", create=True))
    return Path(bpy.utils.user_resource("EXTENSIONS", path=".user/checkout/near/cache", create=True))


class NEAR_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = ADDON

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        row = layout.row()
        row.operator("near.check_setup", icon="CHECKMARK")
        row.operator("near.copy_setup", icon="COPYDOWN")
        found = layout.column(align=True)
        for well, text in setup.lines():
            found.label(text=text, icon="CHECKMARK" if well else "ERROR")
        notes = layout.column(align=True)
        notes.label(text="Threads: as many as Render Properties > Performance > Threads says", icon="INFO")
        notes.operator("wm.path_open", text="Open Cache Folder", icon="FILE_FOLDER").filepath = str(cache_folder())


CLASSES = (NEAR_AP_preferences,)
register, unregister = bpy.utils.register_classes_factory(CLASSES)  # type: ignore[func-returns-value, attr-defined]
