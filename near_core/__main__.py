"""`python -m near_core`: the command line (cli.py)."""

import os
import sys

if sys.argv[1:2] in (["render"], ["bench"]):  # as Blender's worker that draws: a quarter of a crowd's time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
