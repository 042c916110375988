"""Files that lie beside a mesh file and belong to it."""

from __future__ import annotations

from pathlib import Path

from ..errors import NearError
from .mesh import MAX_BYTES


def read_beside(path: Path, name: str) -> bytes:
    """The file `name`, given relative to the file at `path`; nothing outside of that file's folder is opened."""
    folder = path.resolve().parent
    other = (folder / name.replace("\\", "/")).resolve()
    if not other.is_relative_to(folder) or not other.is_file() or other.stat().st_size > MAX_BYTES:
        raise NearError("{file} needs {name}, which is not in its folder.",
                        "Put the file there, or export as .glb, which holds everything.", file=path.name,
                        name=Path(name).name)
    return other.read_bytes()
