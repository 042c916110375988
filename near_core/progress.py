"""Progress callbacks: how long calls report and how they are stopped."""

from __future__ import annotations

from collections.abc import Callable

# progress(phase, fraction 0..1): called often from long work; may raise errors.Cancelled to stop it.
Progress = Callable[[str, float], None]


def silent(phase: str, fraction: float) -> None:
    """The callback of callers that do not care."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """A callback for one part of a longer job: its 0..1 becomes start..end of the whole."""
    return lambda phase, fraction: progress(phase, start + (end - start) * fraction)
