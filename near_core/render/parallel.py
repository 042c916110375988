"""Work in pieces: side by side on threads, reported and stopped between two of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..progress import Progress


def spread(function: Callable[[Any], None], pieces: Sequence[Any], threads: int, phase: str, progress: Progress) -> None:
    """Calls function with every piece, on up to `threads` threads (0 = all cores).

    progress(phase, 0..1) is called in this thread as pieces are done; what it or a piece raises is raised here, after
    the pieces that were begun.
    """
    if len(pieces) < 2:
        for piece in pieces:
            function(piece)
        return
    with ThreadPoolExecutor(min(threads or os.cpu_count() or 1, len(pieces))) as pool:
        try:
            for number, future in enumerate([pool.submit(function, piece) for piece in pieces]):
                future.result()
                progress(phase, (number + 1) / len(pieces))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
