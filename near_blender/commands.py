"""`blender --command near ...`: the command line of near_core, and a check that a farm can rely on.

    blender --command near create --image photo.jpg --out chair.near
    blender --command near render --asset chair.near --env studio.exr --out chair.exr
    blender --command near info
    blender --command near check

A Blender without the add-on ends the last one with an error, too: what follows in a farm's job is not drawn by another
engine in its place.
"""

from __future__ import annotations

import functools
import os
import subprocess
from typing import Any

import bpy

from ._core import errors, worker
from .client import worker_process
from .operators import setup

COMMANDS = ("create", "render", "info", "check")
_handles: list[Any] = []


def run(argv: list[str]) -> int:
    """What stands after `near`; returns the exit status, 0 where all is well."""
    if not argv or argv[0] not in COMMANDS:
        print(f"near: Choose one of {', '.join(COMMANDS)}; each has --help.")
        return 0 if argv in (["--help"], ["-h"]) else 2
    if argv[0] == "check":
        return check()
    try:
        command = worker_process.make_command("near_core", *argv)
    except errors.NearError as error:
        print(f"near: {error}")
        return 2
    follow = functools.partial(worker.die_with, os.getpid()) if os.name == "posix" else None
    return subprocess.call(command, preexec_fn=follow)  # a farm that ends Blender means this, too


def check() -> int:
    """Check Setup, line by line; 0 where all of it is well."""
    wrong = 0
    for well, text in setup.check_setup():
        print(("ok    " if well else "WRONG ") + text, flush=True)
        wrong += not well
    return 1 if wrong else 0


def register() -> None:
    made: Any = bpy.utils.register_cli_command  # the stubs say that it returns nothing
    _handles.append(made("near", run))


def unregister() -> None:
    while _handles:
        bpy.utils.unregister_cli_command(_handles.pop())
