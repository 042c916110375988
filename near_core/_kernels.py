"""The kernels package, found beside near_core both in a checkout and inside the installed extension."""

from __future__ import annotations

import importlib

# in the extension near_core is bl_ext.<repo>.near.near_core and kernels its sibling; in a checkout both are top-level
_parent = __package__.rpartition(".")[0]
_name = f"{_parent}.kernels" if _parent else "kernels"

attention = importlib.import_module(f"{_name}.attention")
library = importlib.import_module(f"{_name}.library")
splat = importlib.import_module(f"{_name}.splat")
grid = importlib.import_module(f"{_name}.grid")
ggx = importlib.import_module(f"{_name}.ggx")


def autograd():
    """The differentiable splatter; imports torch, so only training and the published networks ask for it."""
    return importlib.import_module(f"{_name}.autograd")
