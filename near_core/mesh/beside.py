"""Files that lie beside a mesh file and belong to it."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path, PureWindowsPath

from .. import files
from ..errors import NearError
from .mesh import MAX_BYTES


def read_beside(path: Path, name: str) -> bytes:
    """The file `name`, given relative to the file at `path`; nothing outside of that file's folder is opened, and what
    is another machine's is not even looked for: Windows would tell a server that a name holds who is here."""
    named = PureWindowsPath(name)  # knows slashes of both kinds
    other = _find(path, named)
    if other is None:
        raise NearError("{file} needs {name}, which is not in its folder.",
                        "Put the file there, or export as .glb, which holds everything.", file=path.name,
                        name=(named.name or name)[:100])
    try:
        return files.read(other)
    except OSError as error:
        raise NearError("{file} could not be read ({reason}).", "Check the file.", file=other.name,
                        reason=error.strerror or error) from error


def _find(path: Path, named: PureWindowsPath) -> Path | None:
    """Where it lies, though it may not be read; None where it is not there."""
    try:
        folder = path.resolve().parent
        if named.anchor:
            return None
        other = folder.joinpath(*named.parts).resolve()
        if not other.is_relative_to(folder):
            return None
        with suppress(PermissionError):  # of a folder that may not be looked into
            return other if stat.S_ISREG(other.stat().st_mode) and other.stat().st_size <= MAX_BYTES else None
        return other
    except (OSError, ValueError, RuntimeError):  # no name at all, too long, or a link to itself
        return None
