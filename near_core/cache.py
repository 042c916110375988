"""The last few results of a computation, by key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

Result = TypeVar("Result")


class RecentResults(Generic[Result]):
    """Keeps what was asked for last and drops what was not asked for the longest.

    Any number of threads may use it. Two that miss the same key at once both compute it, and both get the result of the
    first to end: nothing waits while another thread computes.
    """

    def __init__(self, capacity: float, measure: Callable[[Result], float] = lambda result: 1, beside: float = 1.0
                 ) -> None:
        """capacity: what the kept results measure together at most; the newest is kept whatever it measures, and so is
        what is held.
        measure: of one result, a constant; by default results are counted.
        beside: as much room as this times what is held, there is beside it at least."""
        self._capacity, self._measure, self._beside = capacity, measure, beside
        self._results: OrderedDict[Hashable, Result] = OrderedDict()
        self._sizes: dict[Hashable, float] = {}
        self._total = 0.0
        self._held: frozenset[Hashable] = frozenset()
        self._used: set[Hashable] | None = None  # since begin()
        self._kept: set[Hashable] = set()  # these, and what is held; and what they measure
        self._kept_size = 0.0
        self._page: Hashable = None
        self._is_whole = False  # whether that picture came to its end
        # by kind and whether it came to its end: what the last such picture asked for
        self._pages: dict[tuple[Hashable, bool], frozenset[Hashable]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._results

    @property
    def size(self) -> float:
        """What the kept results measure together."""
        return self._total

    def __getitem__(self, key: Hashable) -> Result:
        """The result of a key, which counts as used now. Raises KeyError where it is not kept."""
        with self._lock:
            self._results.move_to_end(key)
            self._note(key)
            return self._results[key]

    def get_or(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """The result of a key, made and kept where there is none. What make raises is raised here and nothing kept."""
        try:
            return self[key]
        except KeyError:
            made = make()
        with self._lock:
            if key not in self._results:
                self._keep(key, made)
            return self._results[key]

    def put(self, key: Hashable, result: Result) -> None:
        """Keeps a result, instead of an earlier one of the same key."""
        with self._lock:
            self._keep(key, result)

    def hold(self, keys: Iterable[Hashable]) -> None:
        """Keeps the results of these keys until others are held, those that come later, too. They count as used now.
        Others have room beside them, so that what takes their place does not push itself out."""
        with self._lock:
            self._held = frozenset(keys)
            self._count_kept()
            for key in self._held & self._results.keys():
                self._results.move_to_end(key)
            self._shrink()

    def begin(self, kind: Hashable = None) -> None:
        """Begins a picture of some kind. What the last one of each kind asked for is kept, if it asked for anything,
        what one that was broken off after the last whole one did, and what this one asks for; the capacity is what
        anything older has beside that."""
        with self._lock:
            if self._used:
                if self._is_whole:
                    self._pages.pop((self._page, False), None)
                self._pages[self._page, self._is_whole] = frozenset(self._used)
            self._held, self._used, self._page = frozenset().union(*self._pages.values()), set(), kind
            self._is_whole = False
            self._count_kept()
            for key in [key for key in self._results if key in self._kept]:
                self._results.move_to_end(key)  # what may go is found first
            self._shrink()

    def end(self) -> None:
        """The picture that was begun is whole."""
        self._is_whole = True

    def use(self, keys: Iterable[Hashable]) -> None:
        """The results of these keys, as far as they are kept, count as used now."""
        with self._lock:
            for key in keys:
                if key in self._results:
                    self._results.move_to_end(key)
                    self._note(key)

    def discard(self, chosen: Callable[[Any], bool]) -> None:
        """Drops the results of chosen keys."""
        with self._lock:
            for key in filter(chosen, list(self._results)):
                del self._results[key]
                size = self._sizes.pop(key)
                self._total -= size
                self._kept_size -= size * (key in self._kept)

    def clear(self) -> None:
        """Drops everything."""
        with self._lock:
            self._results.clear()
            self._sizes.clear()
            self._total = self._kept_size = 0.0

    def _count_kept(self) -> None:
        self._kept, self._kept_size = set(self._held), sum(self._sizes.get(key, 0) for key in self._held)

    def _note(self, key: Hashable) -> None:
        if self._used is None:
            return
        self._used.add(key)
        if key not in self._kept:
            self._kept.add(key)
            self._kept_size += self._sizes.get(key, 0)

    def _keep(self, key: Hashable, result: Result) -> None:
        self._note(key)
        self._results[key] = result
        self._results.move_to_end(key)
        size = self._measure(result)
        more = size - self._sizes.get(key, 0)
        self._total += more
        self._kept_size += more * (key in self._kept)
        self._sizes[key] = size
        self._shrink()

    def _shrink(self) -> None:
        if self._used is None:
            room = max(self._capacity, (1 + self._beside) * self._kept_size)
        else:
            room = self._capacity + self._kept_size
        while self._total > room:
            # of what may go, the newest stays
            dropped = next((key for key in self._results if key not in self._kept), None)
            if dropped is None or dropped == next(reversed(self._results)):
                return
            del self._results[dropped]
            self._total -= self._sizes.pop(dropped)


def count_bytes(result: Any, *others: Any) -> int:
    """Bytes of the arrays in a result, each counted once: an array, or what is made of them, dataclasses and lists.
    others: what else is counted elsewhere; its arrays are not counted."""
    elsewhere = _find_arrays(others)
    return sum(array.nbytes for key, array in _find_arrays(result).items() if key not in elsewhere)


def _find_arrays(result: Any) -> dict[int, np.ndarray]:
    found, left = {}, [result]
    while left:
        part = left.pop()
        if isinstance(part, np.ndarray):
            found[id(part)] = part
        else:
            left.extend(part if isinstance(part, (tuple, list)) else getattr(part, "__dict__", {}).values())
    return found
