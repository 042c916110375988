"""What is written to a pipe goes on when somebody reads, and who writes does not wait."""

import contextlib
import os
import threading

from near_blender.client.outbox import Outbox

PARTS = [bytes([number]) * 100_000 for number in range(5)]  # each more than a pipe holds


def test_all_arrives_in_order_when_it_is_read():
    end, pipe = os.pipe()
    with os.fdopen(end, "rb") as read, os.fdopen(pipe, "wb") as write:
        outbox = Outbox(write, lambda: None)
        for part in PARTS:
            outbox.write(part)
        assert read.read(500_000) == b"".join(PARTS)
        outbox.close()


def test_a_pipe_that_nobody_reads_any_more_is_said():
    end, pipe = os.pipe()
    write, lost = os.fdopen(pipe, "wb"), threading.Event()
    Outbox(write, lost.set).write(PARTS[0])
    os.close(end)  # while it waits for room
    assert lost.wait(10)
    with contextlib.suppress(BrokenPipeError):
        write.close()
