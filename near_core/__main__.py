"""`python -m near_core`: the command line (cli.py)."""

import os
import sys

from . import DRAWING

if sys.argv[1:2] in (["render"], ["bench"]):  # as Blender's worker that draws, before numpy is loaded
    os.environ.update(DRAWING)

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
