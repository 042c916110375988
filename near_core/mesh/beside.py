"""Files that lie beside a mesh file and belong to it."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from .. import files
from ..errors import NearError
from .mesh import MAX_BYTES


def read_beside(path: Path, name: str) -> bytes:
    """The file `name`, given relative to the file at `path`; nothing outside of that file's folder is opened, and what
    is another machine's is not even looked for: Windows would tell a server that a name holds who is here."""
    named = PureWindowsPath(name)  # knows slashes of both kinds
    try:
        folder = path.resolve().parent
        if not named.anchor:
            other = folder.joinpath(*named.parts).resolve()
            if other.is_relative_to(folder) and os.path.isfile(other) and other.stat().st_size <= MAX_BYTES:
                return files.read(other)
    except (OSError, ValueError, RuntimeError):  # no name at all, too long, or a link to itself
        pass
    raise NearError("{file} needs {name}, which is not in its folder.",
                    "Put the file there, or export as .glb, which holds everything.", file=path.name,
                    name=(named.name or name)[:100])
