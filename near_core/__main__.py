"""`python -m near_core`: the command line (cli.py)."""

import os
import sys

# numpy's own threads spin while they wait, a quarter of a crowd's time, and its products here are small
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
