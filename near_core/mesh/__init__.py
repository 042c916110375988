"""Triangle meshes with materials: what one is, how files become one, how it meets a grid."""

from .files import load
from .mesh import (
    BRIGHTEST,
    COATED,
    MAX_TRIANGLES,
    Material,
    Mesh,
    check,
    compute_bounds,
    compute_face_normals,
    find_unwrapping,
    merge,
    normalize,
    too_many,
)
from .texture import encode_light
from .voxelize import find_occupied

__all__ = ["BRIGHTEST", "COATED", "MAX_TRIANGLES", "Material", "Mesh", "check", "compute_bounds",
           "compute_face_normals", "encode_light", "find_occupied", "find_unwrapping", "load", "merge", "normalize",
           "too_many"]
