"""The log: the last lines that the worker and the engine had to say, for Check Setup to show and copy."""

from __future__ import annotations

import time
from collections import deque

_lines: deque[str] = deque(maxlen=1000)


def add(text: str) -> None:
    """Keeps text, which may have several lines; callable from any thread."""
    stamp = time.strftime("%H:%M:%S")
    _lines.extend(f"{stamp} {line}" for line in text.rstrip().splitlines())


def get_text() -> str:
    """Everything that is kept, oldest line first."""
    return "\n".join(list(_lines))
