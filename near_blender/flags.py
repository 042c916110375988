"""What is said after `--` on Blender's command line, for scripts and farms: it wins over what the file says.

    blender -b scene.blend -a -- --near-quality draft --near-threads 4 --near-device cpu
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._core import errors

QUALITIES = ("draft", "final")
DEVICES = ("auto", "cpu", "cuda", "mps")
_ALL = "Known are --near-quality draft|final, --near-threads N and --near-device auto|cpu|cuda|mps."


@dataclass(frozen=True)
class Flags:
    """quality: of scene.Settings. threads: 0 for all. device: of a published model. "" or None: nothing is said."""

    quality: str = ""
    threads: int | None = None
    device: str = ""


def read(argv: Sequence[str] | None = None) -> Flags:
    """What the command line says. Raises NearError for what cannot be meant."""
    argv = list(sys.argv if argv is None else argv)
    words = iter(argv[argv.index("--") + 1:] if "--" in argv else [])
    found: dict[str, str] = {}
    for word in words:
        if not word.startswith("--near-"):
            continue  # another add-on's
        name, given, value = word.partition("=")
        found[name] = value if given else next(words, "")
    said: dict[str, Any] = {}
    for name, value in found.items():
        if name == "--near-quality" and value in QUALITIES or name == "--near-device" and value in DEVICES:
            said[name.removeprefix("--near-")] = value
        elif name == "--near-threads" and value.isdecimal() and int(value) <= 1024:
            said["threads"] = int(value)
        else:
            raise errors.NearError("{name} {value} after -- means nothing.", _ALL, name=name, value=value)
    return Flags(**said)


def list_cycles(argv: Sequence[str] | None = None) -> list[str]:
    """What the command line says to Cycles: the device, which the second Blender computes on, too."""
    argv = list(sys.argv if argv is None else argv)
    words = argv[argv.index("--") + 1:] if "--" in argv else []
    return [each for word, value in zip(words, [*words[1:], ""])
            for each in ((word, value) if word == "--cycles-device" else
                         (word,) if word.startswith("--cycles-device=") else ())]


def choose_quality(frame: Any) -> str:
    """As scene.Settings.quality, for the scene `frame`."""
    return read().quality or frame.near.quality.lower()


def choose_device(preferred: str) -> str:
    """The device of a published model, where the preferences say `preferred`. What means nothing is left to the picture
    to tell: the add-on would not be enabled, and another engine would draw."""
    try:
        return read().device or preferred
    except errors.NearError:
        return preferred


def choose_threads(frame: Any) -> int:
    """As scene.Settings.threads, for the scene `frame`."""
    said, render = read().threads, frame.render
    return said if said is not None else render.threads if render.threads_mode == "FIXED" else 0
