"""One machine-wide lock: who measures time holds it, and a training run that polls it pauses meanwhile."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SETTLE = 1.5  # seconds a training run may take to notice
POLL = 0.2  # seconds between two tries


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"near-{getpass.getuser()}.lock"


def _take(descriptor: int) -> bool:
    """Takes the lock if it is free. The system gives it back when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def exclusive(settle: float = SETTLE) -> Iterator[None]:
    """Holds the machine for a measurement: waits for other ones, then `settle` seconds for training to pause."""
    descriptor = os.open(_path(), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _take(descriptor):
            time.sleep(POLL)
        time.sleep(settle)
        yield
    finally:
        os.close(descriptor)


def wanted() -> bool:
    """Whether somebody measures now; long background work sleeps until it is False."""
    if not _path().exists():
        return False
    descriptor = os.open(_path(), os.O_RDWR)
    try:
        return not _take(descriptor)
    finally:
        os.close(descriptor)
