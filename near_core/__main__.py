"""`python -m near_core`: the command line (cli.py)."""

import sys

from .commands.cli import main

sys.exit(main())
