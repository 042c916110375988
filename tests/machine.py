"""How slow this machine is at the moment, so that a limit in seconds holds on any."""

import time
import zlib

import numpy as np

QUIET = 0.033  # seconds of the work below on the machine that the limits were written on, when it was quiet


def slowness(clock=time.perf_counter) -> float:
    """How many times longer than there a known piece of work takes here and now; at least 1.

    clock: time.process_time for limits in processor time, which other work on the machine disturbs less.
    The work runs on one thread and uses no vector instructions.
    """
    data = np.random.default_rng(0).integers(0, 16, 1_000_000, np.uint8).tobytes()
    seconds = []
    for _ in range(3):
        start = clock()
        zlib.compress(data, 6)
        seconds.append(clock() - start)
    return max(1.0, sorted(seconds)[1] / QUIET)
