"""Where time goes: calls are counted without what they call."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from near_core.lab.bench.timing import divide, read_peak_memory, time_call


def work_for(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_time_is_divided_among_calls_without_those_inside():
    work = SimpleNamespace(inner=lambda: work_for(0.02), outer=lambda: (work_for(0.01), work.inner()))
    before = work.outer
    with divide({"a": [(work, "outer")], "b": [(work, "inner")]}) as spent:
        whole = time_call(lambda n: work.outer(), clock=time.process_time)
    assert spent["a"] >= 0.01 and spent["b"] >= 0.02 and spent["a"] + spent["b"] <= whole
    assert work.outer is before

    def fail():
        raise ValueError
    work.outer = fail
    with pytest.raises(ValueError), divide({"a": [(work, "outer")]}):
        work.outer()
    assert work.outer is fail


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells")
def test_memory_is_that_of_this_process():
    assert 0.01 < read_peak_memory() < 1000
