"""The log: the last lines that the worker and the engine had to say, for Check Setup to show and copy."""

from __future__ import annotations

import time
import traceback
from collections import deque

from ._core import errors

_lines: deque[str] = deque(maxlen=1000)


def add(text: str) -> None:
    """Keeps text, which may have several lines; callable from any thread."""
    stamp = time.strftime("%H:%M:%S")
    _lines.extend(f"{stamp} {line}" for line in errors.to_unicode(text).rstrip().splitlines())


def explain_bug(error: Exception) -> errors.NearError:
    """Keeps where a bug of ours comes from, while it is handled; returns what people are told of it."""
    add("".join(traceback.format_exception(error)))
    return errors.NearError("NeAR failed ({kind}: {reason}).", "See the log in Check Setup.", kind=type(error).__name__,
                            reason=error)


def get_text() -> str:
    """Everything that is kept, oldest line first."""
    return "\n".join(list(_lines))
