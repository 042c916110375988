"""A function of many items at once, on threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..progress import Progress, silent

SHARES = 64  # of each thread at most: to hand over thousands of small items takes as long as to compute them
Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], threads: int = 0, phase: str = "",
                 progress: Progress = silent) -> list[Result]:
    """The function's results, in the order of the items, computed on up to `threads` threads (0 = one per core).

    progress(phase, 0..1) is called in this thread as items are done; what it or the function raises is raised here,
    after the items that were begun. A single item is computed in this thread, without a report.
    """
    if len(items) < 2:
        return [function(item) for item in items]
    results: list[Result] = []
    count = min(threads or os.cpu_count() or 1, len(items))
    size = -(-len(items) // (SHARES * count))
    shares = [items[start:start + size] for start in range(0, len(items), size)]
    with ThreadPoolExecutor(count) as pool:
        try:
            for future in [pool.submit(lambda share: [function(item) for item in share], share) for share in shares]:
                results += future.result()
                progress(phase, len(results) / len(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return results
