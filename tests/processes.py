"""Processes that tests start and end."""

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def begin(command: list, **options) -> Iterator[subprocess.Popen]:
    """A process that has said its first line to standard error; after the test it is gone. Not under Windows."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    try:
        assert select.select([process.stderr], [], [], 60)[0], "it says nothing"
        assert process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)
