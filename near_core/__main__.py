"""`python -m near_core`: the command line (cli.py)."""

import os
import signal
import sys

from . import DRAWING, STOPPED


def _stop_at_once(*_) -> None:
    """While it loads: nothing is written yet, and an exception would be told with all that was being loaded."""
    try:
        os.write(2, b"near_core: stopped.\n")
    finally:  # nobody may listen
        os._exit(STOPPED)


def _heed(handler) -> None:
    """Has what ends the command do as Ctrl-C does, unless who started it wants it ignored: half a file goes."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), handler)


def run() -> int:
    """The command that the arguments name; returns the exit status."""
    _heed(_stop_at_once)
    if sys.argv[1:2] in (["render"], ["bench"]):  # as Blender's worker that draws, before numpy is loaded
        os.environ.update(DRAWING)
    from .commands.cli import main
    from .commands.terminal import stop, take_streams

    take_streams()
    _heed(stop)
    return main()


if __name__ == "__main__":
    status = run()
    if status == STOPPED:
        os._exit(status)  # what other threads compute is not waited for
    sys.exit(status)
