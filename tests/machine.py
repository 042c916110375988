"""How slow this machine is at the moment, so that a limit in seconds holds on any; and rights as others have them."""

import contextlib
import ctypes
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

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


@contextlib.contextmanager
def short_of_memory(spare: int) -> Iterator[None]:
    """Meanwhile this process gets no more than `spare` MB beside what it has. Nothing on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + spare * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def bound_by_rights() -> Iterator[None]:
    """Meanwhile this thread opens only what its owner allows, though it be root's. Nothing on other systems than Linux,
    where tests run as somebody."""
    if not sys.platform.startswith("linux"):
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head, before = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # capabilities, effective ones first
    assert libc.capget(head, before) == 0
    now = (ctypes.c_uint32 * 6)(before[0] & ~0b110, *before[1:])  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(head, now) == 0
    try:
        yield
    finally:
        assert libc.capset(head, before) == 0
