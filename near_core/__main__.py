"""`python -m near_core`: the command line (cli.py)."""

import os
import signal
import sys

from . import DRAWING

if sys.argv[1:2] in (["render"], ["bench"]):  # as Blender's worker that draws, before numpy is loaded
    os.environ.update(DRAWING)

from .commands.cli import main
from .commands.terminal import take_streams

if __name__ == "__main__":
    take_streams()
    for name in ("SIGTERM", "SIGHUP"):  # as Ctrl-C, unless they are to be ignored: half a file goes
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    sys.exit(main())
