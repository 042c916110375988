"""Time and memory: of a call, where it goes inside, a process's highest memory."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def time_call(function: Callable[[int], object], number: int = 0, clock: Callable[[], float] = time.perf_counter
              ) -> float:
    """Seconds of function(number). clock: time.process_time for work on one thread beside other work."""
    start = clock()
    function(number)
    return clock() - start


def find_least(function: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The least seconds of a short call: what else the machine does can only make it slower. clock: as time_call's."""
    return min(time_call(lambda number: function(), clock=clock) for _ in range(runs + 1))


def read_peak_memory(pid: int | str = "self") -> float:
    """GB of a process at its highest, 0 where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((float(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM")), 0.0)


@contextmanager
def divide(places: dict[str, Sequence[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Processor seconds that calls take inside of the `with` block, without those of the others that they make.

    places: a name -> functions, each as what has it as an attribute and the attribute's name. What runs must run one
    after the other: a thread that waits for another counts as that other.
    Gives a dict that fills: name -> seconds.
    """
    spent: dict[str, float] = defaultdict(float)
    inside = [0.0]  # seconds that the calls below have taken, for each call under way

    def watch(name: str, function: Callable) -> Callable:
        def watched(*arguments: Any, **options: Any) -> Any:
            inside.append(0.0)
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                seconds = time.process_time() - start
                spent[name] += seconds - inside.pop()
                inside[-1] += seconds
        return watched

    kept = [(owner, attribute, getattr(owner, attribute)) for each in places.values() for owner, attribute in each]
    for name, each in places.items():
        for owner, attribute in each:
            setattr(owner, attribute, watch(name, getattr(owner, attribute)))
    try:
        yield spent
    finally:
        for owner, attribute, function in kept:
            setattr(owner, attribute, function)
