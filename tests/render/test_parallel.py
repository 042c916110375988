"""Results come in order; the first error and a stop end the map."""

import threading
import time

import pytest

from near_core.errors import Cancelled
from near_core.render.parallel import parallel_map


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_the_order_of_the_items(count):
    def square_late(number):
        time.sleep(0.001 * (number % 3))
        return number * number
    assert parallel_map(square_late, range(count), 4) == [number * number for number in range(count)]


def test_items_are_computed_at_once_on_as_many_threads_as_asked_for():
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(parallel_map(lambda item: meeting.wait(), "abc", 3)) == [0, 1, 2]  # else the barrier breaks
    threads = set()
    parallel_map(lambda item: threads.add(threading.get_ident()), range(100), 2)
    assert len(threads) <= 2


def test_progress_is_told_here_and_may_stop_the_rest():
    here, begun, reports, told = threading.get_ident(), [], [], threading.Condition()

    def go_on():
        with told:
            reports.append(("Gone on", 2.0))
            told.notify_all()

    def report(phase, fraction):
        assert threading.get_ident() == here
        with told:
            reports.append((phase, fraction))
            told.notify_all()
        if fraction >= 0.5:
            threading.Timer(1, go_on).start()  # for those that have begun, which the stop waits for
            raise Cancelled

    def work(item):
        begun.append(item)
        with told:  # who is quicker than the reports waits
            told.wait_for(lambda: len(reports) + 4 > item or reports[-1:] == [("Gone on", 2.0)], timeout=60)
    with pytest.raises(Cancelled):
        parallel_map(work, range(100), 2, "Work", report)
    assert [each for each in reports if each[0] == "Work"][-1] == ("Work", 0.5) and 50 <= len(begun) < 60


def test_the_first_error_is_raised():
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda item: 1 / (item - 3), range(10), 2)
