"""Folders for temporary files, named after the process that they belong to."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy

LONGEST = 980  # bytes of a folder's path: with a name Blender takes 1023
KEPT = 24 * 3600  # seconds; a process that seems to be gone may live in another container


def find_folder() -> str:
    """Where they go: what Blender's preferences name, where files can be made in it, else the system's."""
    chosen: str = bpy.context.preferences.filepaths.temporary_directory
    rights, own = os.R_OK | os.W_OK | os.X_OK, os.access in os.supports_effective_ids
    return chosen if os.path.isdir(chosen) and os.access(chosen, rights, effective_ids=own) else tempfile.gettempdir()


def prefix() -> str:
    """How the names of this process's folders begin."""
    return f"near-{os.getpid()}-"


def hand_over(block: Any, kind: str) -> tuple[str, tempfile.TemporaryDirectory | None]:
    """The .blend file that has a data-block: its library, which a written file would only point at, or one that is
    written, and the folder of the latter, which goes with its last holder. kind: for the name. Raises OSError where
    there is no room."""
    if block.library is not None:
        return bpy.path.abspath(block.library.filepath), None
    return write(block, kind)


def write(block: Any, kind: str) -> tuple[str, tempfile.TemporaryDirectory]:
    """A .blend file of a data-block and what that uses, and its folder, as hand_over. Raises OSError."""
    folder = make_folder(kind)
    path = str(Path(folder.name) / f"{kind}.blend")
    try:
        bpy.data.libraries.write(path, {block}, path_remap="ABSOLUTE", fake_user=True)
    except RuntimeError as error:
        raise OSError(str(error).strip()) from error
    return path, folder


def make_folder(kind: str) -> tempfile.TemporaryDirectory:
    """A folder for files that Blender writes. Raises OSError where there is no room."""
    folder = tempfile.TemporaryDirectory(prefix=f"{prefix()}{kind}-", dir=find_folder(), ignore_cleanup_errors=True)
    if len(os.fsencode(folder.name)) > LONGEST:
        folder.cleanup()
        raise OSError("the path of the folder is too long for Blender")  # it would write to the beginning of it
    return folder


def clear() -> None:
    """Removes yesterday's folders of processes that are gone: one that was killed could not do so itself."""
    for path in Path(find_folder()).glob("near-*-*"):
        owner = re.match(r"near-(\d+)-", path.name)
        with suppress(OSError):
            if owner and time.time() - path.stat().st_mtime > KEPT and not _is_running(int(owner[1])):
                shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end it there
        return _is_running_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def _is_running_on_windows(pid: int) -> bool:
    synchronize, denied, still = 0x0010_0000, 5, 258  # SYNCHRONIZE, ERROR_ACCESS_DENIED, WAIT_TIMEOUT
    system: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    system.OpenProcess.restype = ctypes.c_void_p
    handle = system.OpenProcess(synchronize, False, ctypes.c_uint32(pid))
    if handle is None:
        return ctypes.get_last_error() == denied  # type: ignore[attr-defined]
    try:
        return system.WaitForSingleObject(ctypes.c_void_p(handle), 0) == still
    finally:
        system.CloseHandle(ctypes.c_void_p(handle))
