"""near_core as this package finds it: beside near_blender in a checkout, inside the extension once it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

# the add-on's module name: what preferences and extension_path_user go by
ADDON = __package__.rpartition(".")[0] or __package__
# the folder of near_blender, near_core and kernels: what the worker's sys.path needs
PATH = Path(__file__).resolve().parent.parent

if TYPE_CHECKING or __package__ == "near_blender":
    from near_core import DRAWING, asset, cache, directions, errors, files, image, mesh, progress, scene
    from near_core.asset import deformation, proxy_mesh, textured_mesh
    from near_core.create import hints, shot
    from near_core.image import cryptomatte, filters
    from near_core.published import checkpoints, interpreter
    from near_core.render import composite, light_passes, screens, thumbnail
    from near_core.scene import camera, environment
    from near_core.worker import answers, protocol, worker
else:
    from ..near_core import DRAWING, asset, cache, directions, errors, files, image, mesh, progress, scene
    from ..near_core.asset import deformation, proxy_mesh, textured_mesh
    from ..near_core.create import hints, shot
    from ..near_core.image import cryptomatte, filters
    from ..near_core.published import checkpoints, interpreter
    from ..near_core.render import composite, light_passes, screens, thumbnail
    from ..near_core.scene import camera, environment
    from ..near_core.worker import answers, protocol, worker

__all__ = ["ADDON", "DRAWING", "PATH", "answers", "asset", "cache", "camera", "checkpoints", "composite",
           "cryptomatte", "deformation", "directions", "environment", "errors", "files", "filters", "hints", "image",
           "interpreter", "light_passes", "mesh", "progress", "protocol", "proxy_mesh", "scene", "screens", "shot",
           "textured_mesh", "thumbnail", "worker"]
