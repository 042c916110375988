"""Mesh files by their suffix."""

from __future__ import annotations

from pathlib import Path

from ..errors import NearError
from . import gltf, obj_ply
from .mesh import MAX_BYTES, Mesh, check

SUFFIXES = (".glb", ".gltf", ".obj", ".ply")


def load(path: str | Path, notes: list[str] | None = None) -> Mesh:
    """Reads a mesh file; node transforms are applied and everything becomes one mesh.

    glTF and OBJ are Y-up, front +Z, and are turned to Z-up, front -Y: (x, y, z) -> (x, -z, y). PLY is taken as Z-up.
    Other files (textures, .mtl, .bin) are read from the file's own folder only. notes: takes a sentence for each that
    an .obj or .ply does without. Raises NearError.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise NearError("{file} is not a mesh NeAR can read.", "Use a .glb, .gltf, .obj or .ply file.", file=path.name)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                        reason=error.strerror) from error
    if size > MAX_BYTES:
        raise NearError("{file} is larger than 2 GB.", "Decimate the mesh or export a part of it.", file=path.name)
    try:
        mesh = gltf.read(path) if kind in (".glb", ".gltf") else obj_ply.read(path, notes)
    except MemoryError as error:
        raise NearError("{file} needs more memory than there is.", "Decimate the mesh.", file=path.name) from error
    except OSError as error:  # of a drive that fails meanwhile
        raise NearError("{file} could not be read ({reason}).", "Check the path.", file=path.name,
                        reason=error.strerror or error) from error
    return check(mesh, path.name)
