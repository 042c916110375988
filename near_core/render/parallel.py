"""A function of many items at once, on threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from ..progress import Progress, silent

SHARES = 64  # of each thread at most: to hand over thousands of small items takes as long as to compute them
_spare: dict[int, list[ThreadPoolExecutor]] = {}  # by the number of their threads
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spare.clear)  # whose threads are not there
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
    with _lend_pool(count) as pool:
        futures = [pool.submit(lambda share: [function(item) for item in share], share) for share in shares]
        try:
            for future in futures:
                results += future.result()
                progress(phase, len(results) / len(items))
        finally:
            for future in futures:
                future.cancel()
            wait(futures)
    return results


@contextmanager
def _lend_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads of an earlier map that nobody uses, as new ones take a while to begin where others work; or new ones."""
    try:
        pool = _spare[count].pop()
    except (KeyError, IndexError):
        pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        _spare.setdefault(count, []).append(pool)
