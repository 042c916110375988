"""A function of many items at once, on threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..progress import Progress, silent

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
    results = []
    with ThreadPoolExecutor(min(threads or os.cpu_count() or 1, len(items))) as pool:
        try:
            for number, future in enumerate([pool.submit(function, item) for item in items]):
                results.append(future.result())
                progress(phase, (number + 1) / len(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return results
