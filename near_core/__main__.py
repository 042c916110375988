"""`python -m near_core`: the command line (cli.py)."""

import os
import sys

if sys.argv[1:2] in (["render"], ["bench"]):  # as of Blender's worker that draws
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
