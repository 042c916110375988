"""The end of a pipe that keeps nobody waiting: what is written goes on when the other side reads it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import BinaryIO


class Outbox:
    """Stands before a pipe, whose room is small: a process that does not read would hold up who writes. lost: called on
    the thread that hands on, where nobody will read any more."""

    def __init__(self, pipe: BinaryIO, lost: Callable[[], None]) -> None:
        self._pipe, self._lost = pipe, lost
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._hand_on, name="NeAR outbox", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Returns at once."""
        self._waiting.put(data)

    def flush(self) -> None:
        """What is written goes on by itself."""

    def close(self) -> None:
        """Nothing is handed on after what is written."""
        self._waiting.put(None)

    def _hand_on(self) -> None:
        try:
            while (data := self._waiting.get()) is not None:
                self._pipe.write(data)
                self._pipe.flush()
        except (OSError, ValueError):  # the pipe is cut, or closed
            self._lost()
