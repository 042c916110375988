"""Paths that may begin with `//`, the folder of the file: how a property says so, and where they lead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy

_KNOWN = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
# an option of path properties; Blender since 4.5 marks such paths as mistakes where it is missing, older ones lack it
RELATIVE: Any = {"PATH_SUPPORTS_BLEND_RELATIVE"} if _KNOWN else set()


def locate(owner: Any, path: str) -> Path:
    """Where a path leads that a group of properties holds; what is linked, or overrides that, goes from its library."""
    block = getattr(owner, "id_data", None)
    override = getattr(block, "override_library", None)
    file = Path(bpy.path.abspath(path, library=getattr(block, "library", None)))
    if override is not None and not os.path.isfile(file):
        return Path(bpy.path.abspath(path, library=override.reference.library))
    return file
