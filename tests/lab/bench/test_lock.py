"""The lock of measurements: one at a time, and training sees it."""

import subprocess
import sys
import time

from near_core.lab.bench import lock


def test_measurements_exclude_each_other_and_are_seen_by_training():
    assert not lock.wanted()
    other = subprocess.Popen([sys.executable, "-c", "from near_core.lab.bench import lock; import time\n"
                              "with lock.exclusive(0): print('held', flush=True); time.sleep(30)"],
                             stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n" and lock.wanted()
    finally:
        other.kill()
        other.wait()
    for _ in range(20):
        if not lock.wanted():
            break
        time.sleep(0.1)
    with lock.exclusive(0):
        assert lock.wanted()
    assert not lock.wanted()
