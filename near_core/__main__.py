"""`python -m near_core`: the command line (cli.py)."""

import sys

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
