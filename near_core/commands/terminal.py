"""What every command shares: its parser, progress on standard error, arguments that many have."""

from __future__ import annotations

import argparse
import io
import math
import os
import re
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from .. import files
from .._kernels import library
from ..errors import NearError, to_line
from ..scene import camera

FAILED = 2  # exit status
stopped = threading.Event()  # a library that is interrupted while it is loaded says something else
_heeded = -math.inf  # time.monotonic() seconds of the last signal
SAME_STOP = 1.0  # seconds within which signals are of one wish
AS_DESCRIBED = "Compare it with docs/formats.md."


class Parser(argparse.ArgumentParser):
    """Complains in one line and takes numbers such as -1e-3 for numbers, not for options, and nan and inf for none."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._negative_number_matcher = re.compile(r"^-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$", re.I)

    def _get_value(self, action: argparse.Action, text: str):
        value = super()._get_value(action, text)  # type: ignore[misc]
        if isinstance(value, float) and not math.isfinite(value):
            raise argparse.ArgumentError(action, f"{text!r} is no number")
        return value

    def _print_message(self, message: str, file=None) -> None:
        answer(message.rstrip("\n"))  # help and versions; what is wrong is raised

    def error(self, message: str):
        """Raises NearError in place of printing the usage and ending the process."""
        raise NearError(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


@contextmanager
def name_missing_package(name: str):
    """Says which Python package a developers' command lacks."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith(__package__.rpartition(".")[0]):
            raise NearError(f"`{name}` is not part of this installation.", "Run it in a checkout.") from error
        raise NearError(f"`{name}` needs the Python package {error.name}.",
                        "Run it with the environment that build.py makes.") from error


def describe_failure(error: Exception) -> str:
    """What went wrong, in a line for the person."""
    if isinstance(error, NearError):
        return to_line(str(error))
    if isinstance(error, library.KernelsMissing):
        return f"{error}."
    if isinstance(error, MemoryError):
        return "The computer ran out of memory. Close other programs or ask for less."
    return (f"{type(error).__name__}: {' '.join(str(error).split())}. This is a fault of NeAR: set NEAR_DEBUG=1 to see "
            "where, and report it.")


def take_streams() -> None:
    """Standard streams that are closed go nowhere: else a file that is opened would have the number of one, and what
    libraries print would get into it. What the encoding of standard output lacks is written as Python writes it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def stop(*_) -> None:
    """What a signal does that ends the command. Raises KeyboardInterrupt. Some come twice, as of a terminal and of
    whoever started the command, and must not break off what the first one ended."""
    global _heeded
    before, _heeded = _heeded, time.monotonic()
    stopped.set()
    if _heeded - before > SAME_STOP:
        raise KeyboardInterrupt


def heed_stop() -> None:
    """Raises KeyboardInterrupt again where a library has kept that to itself."""
    if stopped.is_set():
        raise KeyboardInterrupt


def answer(text: str) -> None:
    """Prints to standard output. Raises NearError where there is no room, BrokenPipeError where nobody listens."""
    try:
        print(text, flush=True)
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # the rest of it would be tried again at the end
        if isinstance(error, BrokenPipeError):
            raise
        raise NearError(f"The answer could not be written ({error.strerror}).", "Send it to another place.") from error


def tell(text: str, end: str = "\n") -> None:
    """Prints to standard error; where that cannot be, the work goes on in silence."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = open(os.devnull, "w")


class Reporter:
    """Progress on standard error: one line that changes in a terminal, a line per phase elsewhere."""

    def __init__(self, prefix: str = ""):
        self.prefix, self.phase, self.live = to_line(prefix), "", sys.stderr.isatty()

    def __call__(self, phase: str, fraction: float) -> None:
        if self.live:
            tell(f"\r{self.prefix}{phase}: {100 * fraction:3.0f} %\033[K", end="")
        elif phase != self.phase:
            tell(f"{self.prefix}{phase}")
        self.phase = phase

    def close(self, text: str) -> None:
        """Puts a last line in the place of the progress."""
        text = to_line(self.prefix + text)
        tell(f"\r{text}\033[K" if self.live else text)


def add_model_arguments(parser: argparse.ArgumentParser, use: str) -> argparse._ArgumentGroup:
    """Adds the options that choose a published checkpoint, as a group. use: what it does, and what is done without."""
    group = parser.add_argument_group("the published model")
    group.add_argument("--model", type=Path, metavar="FOLDER", help=f"a published checkpoint, which {use}")
    group.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto",
                       help="where --model runs; default: auto, a graphics processor where there is one")
    group.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto",
                       help="what --model computes in; default: auto, half precision on a graphics processor and "
                            "float32 elsewhere")
    return group


def parse_size(text: str) -> tuple[int, int]:
    """"WxH" -> width and height in pixels. Raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if not match or not all(0 < int(n) <= camera.MAX_SIDE for n in match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WxH with 1 to {camera.MAX_SIDE} pixels a side")
    return int(match[1]), int(match[2])


def read_cameras(path: Path | None, frames: Path | None, size: tuple[int, int] | None) -> list[camera.Camera]:
    """The cameras of a file `frames`, one where there is none; what they leave out is taken from the file `path`.

    size: width and height in pixels, in place of what the files say. Raises NearError.
    """
    base = files.read_json(path, AS_DESCRIBED) if path else {}
    base = base.get("camera", base) if isinstance(base, dict) else base
    listed = files.read_json(frames, AS_DESCRIBED) if frames else [{}]
    if isinstance(listed, dict):
        listed = listed.get("frames")
    if isinstance(listed, list):
        listed = [frame.get("camera", frame) if isinstance(frame, dict) else frame for frame in listed]
    if not isinstance(base, dict) or not isinstance(listed, list) or not all(isinstance(f, dict) for f in listed):
        raise NearError(f"{(frames or path).name} does not describe cameras.", AS_DESCRIBED)
    if not listed:
        raise NearError(f"{frames.name} lists no cameras.", "Add one at least.")
    return [camera.from_json({**base, **frame}, size) for frame in listed]


def require_suffix(path: Path, *suffixes: str) -> None:
    """Raises NearError where a file to be written is called otherwise, or its folder is missing."""
    if path.suffix.lower() not in suffixes:
        raise NearError(f"{path.name} does not end in {' or '.join(suffixes)}.", "Name the file so.")
    try:
        path = path.absolute()
    except OSError as error:
        raise NearError("The folder that this runs in is gone.", "Go to another one.") from error
    if not os.path.isdir(path.parent):
        raise NearError(f"There is no folder {path.parent}.", "Make it first.")
