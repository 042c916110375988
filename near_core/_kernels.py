"""The kernels package, found beside near_core both in a checkout and inside the installed extension."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# in the extension near_core is bl_ext.<repo>.near.near_core and kernels its sibling; in a checkout both are top-level
_parent = __package__.rpartition(".")[0]
_name = f"{_parent}.kernels" if _parent else "kernels"

if TYPE_CHECKING:
    from kernels import (
        around,
        attention,
        corners,
        ggx,
        grid,
        groups,
        lamps,
        library,
        microfacets,
        pages,
        principled,
        skin,
        smooth,
        specular,
        splat,
        splat_gradients,
        triangles,
    )
else:
    around = importlib.import_module(f"{_name}.around")
    attention = importlib.import_module(f"{_name}.attention")
    corners = importlib.import_module(f"{_name}.corners")
    ggx = importlib.import_module(f"{_name}.ggx")
    grid = importlib.import_module(f"{_name}.grid")
    groups = importlib.import_module(f"{_name}.groups")
    lamps = importlib.import_module(f"{_name}.lamps")
    library = importlib.import_module(f"{_name}.library")
    microfacets = importlib.import_module(f"{_name}.microfacets")
    pages = importlib.import_module(f"{_name}.pages")
    principled = importlib.import_module(f"{_name}.principled")
    skin = importlib.import_module(f"{_name}.skin")
    smooth = importlib.import_module(f"{_name}.smooth")
    specular = importlib.import_module(f"{_name}.specular")
    splat = importlib.import_module(f"{_name}.splat")
    splat_gradients = importlib.import_module(f"{_name}.splat_gradients")
    triangles = importlib.import_module(f"{_name}.triangles")
