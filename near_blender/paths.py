"""How a property says that its path may begin with `//`, the folder of the file."""

from __future__ import annotations

from typing import Any

import bpy

_KNOWN = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
# an option of path properties; Blender since 4.5 marks such paths as mistakes where it is missing, older ones lack it
RELATIVE: Any = {"PATH_SUPPORTS_BLEND_RELATIVE"} if _KNOWN else set()
