"""How a property says that its path may begin with `//`, the folder of the file."""

from __future__ import annotations

from typing import Any

import bpy

# an option of path properties; Blender since 4.5 marks such paths as mistakes where it is missing, older ones lack it
RELATIVE: Any = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()
